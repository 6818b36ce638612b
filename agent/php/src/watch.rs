//! The parent's part: waits for the child by its pidfd, kills it at the deadline, and says how it ended.

use std::{os::fd::AsFd, time::Duration};

use latchkey_protocol::{PHP_NOT_STARTED, PhpEnd};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitOptions},
    time::ClockId,
};

/// Why the child could not be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub(crate) struct WatchError {
    action: &'static str,
    #[source]
    source: Errno,
}

/// A moment on the clock that nobody can set.
pub(crate) struct Deadline {
    at: Duration,
}

impl Deadline {
    /// The moment `after` from now.
    pub(crate) fn starting_now(after: Duration) -> Deadline {
        Deadline { at: now() + after }
    }

    fn left(&self) -> Duration {
        self.at.saturating_sub(now())
    }
}

/// Waits until the child has ended, by itself or killed, and returns the exit code that says which.
///
/// It is killed at the deadline and when `stop` has something to read. The child is the first process of its PID
/// namespace: the kernel reports its end only after every process of the namespace is gone. `failure` has a byte in it
/// when the child did not come as far as PHP.
pub(crate) fn until_the_end(
    child: Pid,
    deadline: &Deadline,
    stop: &impl AsFd,
    failure: &impl AsFd,
) -> Result<u8, WatchError> {
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty()).map_err(watching("open the child's pidfd"))?;
    let first = what_comes_first(&pidfd, deadline, stop)?;
    if !matches!(first, First::End) {
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).map_err(watching("kill the child"))?;
    }
    let status = loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => break status,
            Err(source) => return Err(watching("wait for the child")(source)),
        }
    };
    if matches!(first, First::Deadline) {
        return Ok(PhpEnd::TimedOut.exit_code());
    }
    if rustix::io::read(failure, &mut [0_u8; 1]).is_ok_and(|read| read > 0) {
        return Ok(PHP_NOT_STARTED);
    }
    let end = match status.terminating_signal() {
        Some(signal) => PhpEnd::Signalled { signal },
        None => PhpEnd::Exited { code: status.exit_status().unwrap_or(-1) },
    };
    Ok(end.exit_code())
}

enum First {
    End,
    Deadline,
    Stop,
}

fn what_comes_first(pidfd: &impl AsFd, deadline: &Deadline, stop: &impl AsFd) -> Result<First, WatchError> {
    loop {
        let left = deadline.left();
        if left.is_zero() {
            return Ok(First::Deadline);
        }
        let left = Timespec::try_from(left).map_err(|_out_of_range| watching("wait that long")(Errno::INVAL))?;
        let mut watched = [PollFd::new(pidfd, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match rustix::event::poll(&mut watched, Some(&left)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) if watched.first().is_some_and(|end| !end.revents().is_empty()) => {
                return Ok(First::End);
            }
            Ok(_) => return Ok(First::Stop),
            Err(source) => return Err(watching("wait for the child")(source)),
        }
    }
}

fn now() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn watching(action: &'static str) -> impl Fn(Errno) -> WatchError {
    move |source| WatchError { action, source }
}
