//! A process of the operator's, or of a hosting's user: started with a cleared environment and in a process group of its own, watched, and ended.
//!
//! The group ends when its first process does, when its time is over, when it writes too much, and when serve hangs up.
//! A process of root's that makes a group or a session of its own, as daemons do, is not found any more; the unit ends it
//! with the broker. One of a hosting's user is in a PID namespace, which ends as a whole.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use latchkey_protocol::{COMMAND_STDERR_MAX_BYTES, COMMAND_STDOUT_MAX_BYTES, CommandEnd, FrameSocket};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
    time::ClockId,
};

use crate::spawn;

/// Where programs of the operator's find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to run, checked.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// All that its environment is.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// What it reads; no more than a pipe takes at once.
    pub(crate) stdin: Vec<u8>,
    /// User and group; root if there are none.
    pub(crate) user: Option<(u32, u32)>,
    /// Wall-clock time.
    pub(crate) time: Duration,
}

impl Start<'_> {
    /// The environment of what the operator runs.
    pub(crate) fn operators_environment() -> Vec<(&'static str, OsString)> {
        vec![("PATH", PATH.into()), ("LANG", "C".into())]
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Came {
    /// How it ended.
    pub(crate) end: CommandEnd,
    /// What it wrote.
    pub(crate) stdout: Vec<u8>,
    /// And to its standard error.
    pub(crate) stderr: Vec<u8>,
}

/// Why it did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// It cannot be watched; it was killed.
    #[error("cannot {action}")]
    Watch {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    /// serve hung up; it was killed.
    #[error("serve hung up before the command ended")]
    HungUp,
}

/// Runs it. Blocks until it has ended; ends it when there is a connection and that has anything to read.
pub(crate) fn run(start: Start<'_>, connection: Option<&FrameSocket>) -> Result<Came, ProcessError> {
    let mut command = match start.user {
        Some(user) => spawn::bounded_worker_as(user, start.program),
        None => spawn::worker(start.program),
    };
    command
        .args(&start.arguments)
        .envs(start.environment)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let spawned = command.spawn();
    let mut child = spawned.map_err(|source| ProcessError::Start { program: start.program.to_owned(), source })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut group = Group(Some(child));
    if let Some(mut stdin) = stdin {
        // One that reads nothing ends as it likes.
        let _ = stdin.write_all(&start.stdin);
    }
    let mut stdout = Stream::of(stdout.map(OwnedFd::from), COMMAND_STDOUT_MAX_BYTES)?;
    let mut stderr = Stream::of(stderr.map(OwnedFd::from), COMMAND_STDERR_MAX_BYTES)?;
    let stopped = watch(&group.pidfd()?, [&mut stdout, &mut stderr], connection, now() + start.time)?;
    let status = group.end().map_err(watching("wait for a command"))?;
    let end = match stopped {
        Stopped::HungUp => return Err(ProcessError::HungUp),
        Stopped::Overdue => CommandEnd::TimedOut,
        Stopped::TooMuch => CommandEnd::TooMuch,
        Stopped::Ended => ended(status),
    };
    Ok(Came { end, stdout: stdout.read, stderr: stderr.read })
}

/// How it ended. A shell, such as the one that is first in a namespace, tells a signal by such an exit code.
fn ended(status: ExitStatus) -> CommandEnd {
    match (status.code().and_then(|code| u8::try_from(code).ok()), status.signal()) {
        (Some(code @ 129..=192), _) => CommandEnd::Signalled { signal: i32::from(code) - 128 },
        (Some(code), _) => CommandEnd::Exited { code },
        (None, signal) => CommandEnd::Signalled { signal: signal.unwrap_or_default() },
    }
}

enum Stopped {
    Ended,
    HungUp,
    Overdue,
    TooMuch,
}

fn watch(
    pidfd: &OwnedFd,
    mut streams: [&mut Stream; 2],
    connection: Option<&FrameSocket>,
    until: Duration,
) -> Result<Stopped, ProcessError> {
    loop {
        let left = until.saturating_sub(now());
        if left.is_zero() {
            return Ok(Stopped::Overdue);
        }
        let left = Timespec::try_from(left).map_err(|_range| watching("wait that long")(Errno::INVAL.into()))?;
        let mut watched = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        let ends = PollFlags::IN | PollFlags::RDHUP;
        watched.extend(connection.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), ends)));
        let open = streams.iter().filter_map(|stream| stream.open.as_ref());
        watched.extend(open.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
        match rustix::event::poll(&mut watched, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(watching("wait for a command")(error.into())),
        }
        let has_come = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (has_ended, has_hung_up) = (has_come(0), connection.is_some() && has_come(1));
        drop(watched);
        // What it wrote before its end is read after that.
        if streams.iter_mut().any(|stream| stream.read_available().is_err()) {
            return Ok(Stopped::TooMuch);
        }
        if has_ended {
            return Ok(Stopped::Ended);
        }
        if has_hung_up {
            return Ok(Stopped::HungUp);
        }
    }
}

/// What it writes to one of its outputs.
struct Stream {
    open: Option<OwnedFd>,
    read: Vec<u8>,
    most: usize,
}

struct TooMuch;

impl Stream {
    fn of(open: Option<OwnedFd>, most: usize) -> Result<Self, ProcessError> {
        if let Some(fd) = &open {
            rustix::io::ioctl_fionbio(fd, true).map_err(|error| watching("read from a command")(error.into()))?;
        }
        Ok(Self { open, read: Vec::new(), most })
    }

    fn read_available(&mut self) -> Result<(), TooMuch> {
        let mut chunk = [0; 16 * 1024];
        while let Some(fd) = &self.open {
            match rustix::io::read(fd, &mut chunk) {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => self.open = None,
                Ok(count) => self.read.extend(chunk.iter().take(count)),
            }
            if self.read.len() > self.most {
                return Err(TooMuch);
            }
        }
        Ok(())
    }
}

/// A started process and all that stayed in its group; killed on drop.
struct Group(Option<Child>);

impl Group {
    fn pidfd(&self) -> Result<OwnedFd, ProcessError> {
        let opened = self.leader().and_then(|leader| rustix::process::pidfd_open(leader, PidfdFlags::empty()));
        opened.map_err(|error| watching("open a command's pidfd")(error.into()))
    }

    /// Kills what is left of it. The number of the group is its first process's, so that one is not reaped before.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Ok(leader) = self.leader() {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
        self.0.take().map_or_else(|| Err(Errno::CHILD.into()), |mut child| child.wait())
    }

    fn leader(&self) -> Result<Pid, Errno> {
        let id = self.0.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        id.and_then(Pid::from_raw).ok_or(Errno::SRCH)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn now() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn watching(action: &'static str) -> impl FnOnce(io::Error) -> ProcessError {
    move |source| ProcessError::Watch { action, source }
}
