//! Processes that stay: started, reaped when they end, ended when serve says so. What each may do is its own business.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
};

use crate::{
    log,
    slots::{Full, Slot, Slots},
};

/// How long a killed worker may take to be gone.
const GRACE: Duration = Duration::from_secs(2);

/// All workers of one kind that run.
#[derive(Debug)]
pub(crate) struct Workers {
    kind: &'static str,
    slots: Slots,
    running: Arc<Mutex<Vec<Running>>>,
}

/// One that runs.
#[derive(Debug)]
struct Running {
    pid: u32,
    name: String,
    pidfd: Arc<OwnedFd>,
}

/// A killed worker is still there.
#[derive(Debug, thiserror::Error)]
#[error("a {0} does not end though it was killed")]
pub(crate) struct StillThere(&'static str);

impl Workers {
    /// None yet; at most `total` in all, and `per_name` of one name. The kind is for the log.
    pub(crate) fn new(kind: &'static str, total: usize, per_name: usize) -> Self {
        Self { kind, slots: Slots::new(total, per_name), running: Arc::default() }
    }

    /// A place for one more of that name.
    pub(crate) fn place(&self, name: &str) -> Result<Slot, Full> {
        self.slots.take(name)
    }

    /// Starts one. It dies with the broker; what it holds is let go when it is gone.
    pub(crate) fn start(&self, name: &str, command: Command, held: impl Send + 'static) -> io::Result<()> {
        let (tell, told) = sync_channel(1);
        let (kind, running, name) = (self.kind, Arc::clone(&self.running), name.to_owned());
        // The kernel ends the worker when the thread that started it ends, so that one stays with it.
        let staying = move || {
            let _held = held;
            stay_with(kind, command, &tell, &running, name);
        };
        thread::Builder::new().spawn(staying)?;
        told.recv().map_err(|_ended| io::Error::from(io::ErrorKind::Other))?
    }

    /// Kills those of a name and waits until they are gone.
    pub(crate) fn stop(&self, name: &str) -> Result<(), StillThere> {
        let pidfds: Vec<Arc<OwnedFd>> = lock(&self.running)
            .iter()
            .filter(|running| running.name == name)
            .map(|running| Arc::clone(&running.pidfd))
            .collect();
        for pidfd in &pidfds {
            // Gone already is as good.
            let _ = rustix::process::pidfd_send_signal(&**pidfd, Signal::KILL);
        }
        pidfds.iter().try_for_each(|pidfd| wait_until_gone(self.kind, pidfd))
    }
}

/// Starts the worker and reaps it.
fn stay_with(
    kind: &'static str,
    mut command: Command,
    tell: &SyncSender<io::Result<()>>,
    running: &Mutex<Vec<Running>>,
    name: String,
) {
    let spawned = command.spawn();
    // Holds the worker's end of the socket, whose closing is how serve learns of its end.
    drop(command);
    let watched = spawned.and_then(watch);
    let (mut child, pidfd) = match watched {
        Ok(watched) => watched,
        Err(error) => return drop(tell.send(Err(error))),
    };
    let pid = child.id();
    lock(running).push(Running { pid, name: name.clone(), pidfd: Arc::new(pidfd) });
    let _ = tell.send(Ok(()));
    let ended = child.wait();
    lock(running).retain(|one| one.pid != pid);
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    log::info(&format!("a {kind} ended"), &[("of", &name), ("end", &how)]);
}

fn watch(mut child: Child) -> io::Result<(Child, OwnedFd)> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
    // Not reaped yet, so the number still means this process.
    match pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty())) {
        Ok(pidfd) => Ok((child, pidfd)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

fn wait_until_gone(kind: &'static str, pidfd: &OwnedFd) -> Result<(), StillThere> {
    let patience = Timespec::try_from(GRACE).map_err(|_range| StillThere(kind))?;
    let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut watched, Some(&patience)) {
            Err(Errno::INTR) => {}
            Ok(1..) => return Ok(()),
            Ok(_) | Err(_) => return Err(StillThere(kind)),
        }
    }
}

fn lock(running: &Mutex<Vec<Running>>) -> MutexGuard<'_, Vec<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
