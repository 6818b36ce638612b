//! The files workers: started for a hosting, reaped when they end, ended when serve says so.
//!
//! What one may do is confined in `latchkey-files`. It ends by itself when serve closes its end of the socket.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use latchkey_protocol::{FrameError, FrameSocket};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{AtFlags, StatxFlags},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
};

use crate::{
    admission, log,
    registry::Hosting,
    slots::{Full, Slot, Slots},
    spawn,
};

/// How long a killed worker may take to be gone.
const GRACE: Duration = Duration::from_secs(2);

/// All that run.
#[derive(Debug)]
pub(crate) struct FilesWorkers {
    program: PathBuf,
    slots: Slots,
    running: Arc<Mutex<Vec<Running>>>,
}

/// One that runs.
#[derive(Debug)]
struct Running {
    pid: u32,
    hosting: String,
    pidfd: Arc<OwnedFd>,
}

/// A worker that was started.
#[derive(Debug)]
pub(crate) struct Started {
    /// The end of its socket for serve.
    pub(crate) socket: OwnedFd,
    /// The number of the mount that the home lies on.
    pub(crate) mount: u64,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// As many as are allowed run.
    #[error("as many files workers as the broker allows are running")]
    Full(Full),
    /// The home cannot be looked at.
    #[error("cannot look at the home {path:?}")]
    Home {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Its socket cannot be made.
    #[error("cannot make the socket of a files worker")]
    Socket(#[source] FrameError),
    /// The program could not be started.
    #[error("cannot start {program:?}")]
    Program {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A killed worker is still there.
#[derive(Debug, thiserror::Error)]
#[error("a files worker does not end though it was killed")]
pub(crate) struct StillThere;

impl FilesWorkers {
    /// None yet; at most `total` in all, and `per_hosting` of one hosting.
    pub(crate) fn new(program: &Path, total: usize, per_hosting: usize) -> Self {
        Self { program: program.to_owned(), slots: Slots::new(total, per_hosting), running: Arc::default() }
    }

    /// Starts one for a hosting. It dies with the broker.
    pub(crate) fn start(&self, hosting: &Hosting) -> Result<Started, StartError> {
        let slot = self.slots.take(&hosting.hosting).map_err(StartError::Full)?;
        let home = |source: Errno| StartError::Home { path: hosting.home.clone(), source: source.into() };
        let opened = admission::open_without_links(&hosting.home).map_err(home)?;
        let mount = rustix::fs::statx(&opened, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(home)?.stx_mnt_id;
        let (serves, workers) = FrameSocket::pair().map_err(StartError::Socket)?;
        let mut command = spawn::worker(&self.program);
        command
            .arg(format!("--broker-pid={}", std::process::id()))
            .arg(format!("--uid={}", hosting.uid))
            .arg(format!("--gid={}", hosting.gid))
            .arg(option("--home=", &hosting.home))
            .stdin(Stdio::from(OwnedFd::from(workers)))
            .stdout(Stdio::null());
        let failed = |source| StartError::Program { program: self.program.clone(), source };
        let (tell, told) = sync_channel(1);
        let (running, name) = (Arc::clone(&self.running), hosting.hosting.clone());
        // The kernel ends the worker when the thread that started it ends, so that one stays with it.
        let staying = move || stay_with(command, &tell, &running, name, slot);
        thread::Builder::new().spawn(staying).map_err(failed)?;
        let started = told.recv().map_err(|_ended| failed(io::ErrorKind::Other.into()))?;
        started.map_err(failed)?;
        Ok(Started { socket: serves.into(), mount })
    }

    /// Kills those of a hosting and waits until they are gone.
    pub(crate) fn stop(&self, hosting: &str) -> Result<(), StillThere> {
        let pidfds: Vec<Arc<OwnedFd>> = lock(&self.running)
            .iter()
            .filter(|running| running.hosting == hosting)
            .map(|running| Arc::clone(&running.pidfd))
            .collect();
        for pidfd in &pidfds {
            // Gone already is as good.
            let _ = rustix::process::pidfd_send_signal(&**pidfd, Signal::KILL);
        }
        pidfds.iter().try_for_each(|pidfd| wait_until_gone(pidfd))
    }
}

/// Starts the worker and reaps it. The slot is free and the worker forgotten when it is gone.
fn stay_with(
    mut command: std::process::Command,
    tell: &SyncSender<io::Result<()>>,
    running: &Mutex<Vec<Running>>,
    hosting: String,
    _slot: Slot,
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
    lock(running).push(Running { pid, hosting: hosting.clone(), pidfd: Arc::new(pidfd) });
    let _ = tell.send(Ok(()));
    let ended = child.wait();
    lock(running).retain(|one| one.pid != pid);
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    log::info("a files worker ended", &[("hosting", &hosting), ("end", &how)]);
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

fn wait_until_gone(pidfd: &OwnedFd) -> Result<(), StillThere> {
    let patience = Timespec::try_from(GRACE).map_err(|_range| StillThere)?;
    let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut watched, Some(&patience)) {
            Err(Errno::INTR) => {}
            Ok(1..) => return Ok(()),
            Ok(_) | Err(_) => return Err(StillThere),
        }
    }
}

fn option(key: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(key);
    argument.push(path);
    argument
}

fn lock(running: &Mutex<Vec<Running>>) -> MutexGuard<'_, Vec<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
