//! Forking and what belongs to it: the system calls that need `unsafe`, and ties of life between processes.
#![allow(unsafe_code, reason = "fork, unshare and close_range have no safe form")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::sys::{
    signal::SigSet,
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal},
    thread::UnshareFlags,
};

/// Why a process could not be made or tied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the parent is gone already")]
    Orphaned,
}

/// On which side of a fork one is.
pub(crate) enum Forked {
    /// The new process, the first of its PID namespace.
    Child,
    /// The old one.
    Parent {
        /// The child, as this side sees it.
        child: Pid,
    },
}

/// The wish of the broker, or of the kernel when the broker is gone, that the call ends now: SIGTERM.
pub(crate) struct StopSignal(SignalFd);

impl StopSignal {
    /// Blocks SIGTERM and makes it readable instead.
    pub(crate) fn listen() -> Result<StopSignal, ProcessError> {
        let mut signals = SigSet::empty();
        signals.add(nix::sys::signal::Signal::SIGTERM);
        let listen = signals.thread_block().and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC));
        listen
            .map(StopSignal)
            .map_err(|source| ProcessError::System { action: "listen for SIGTERM", source: source.into() })
    }
}

impl AsFd for StopSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// In the child: lets signals through again, since PHP inherits the mask.
pub(crate) fn unblock_signals() -> Result<(), ProcessError> {
    SigSet::empty()
        .thread_set_mask()
        .map_err(|source| ProcessError::System { action: "unblock signals", source: source.into() })
}

/// Has the kernel send SIGTERM to this process when the broker's thread that started it ends.
pub(crate) fn stop_with_broker(broker: Pid) -> Result<(), ProcessError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(system("tie the life to the broker"))?;
    if rustix::process::getppid() == Some(broker) { Ok(()) } else { Err(ProcessError::Orphaned) }
}

/// In the child: has the kernel kill it when the parent, named by its pidfd, ends. Must be repeated after a change of uid.
pub(crate) fn die_with(parent: &impl AsFd) -> Result<(), ProcessError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(system("tie the life to the parent"))?;
    // The parent may have died before; in a PID namespace of its own the child cannot see that by getppid.
    let mut watched = [PollFd::new(parent, PollFlags::IN)];
    let dead = rustix::event::poll(&mut watched, Some(&Timespec::default())).map_err(system("look at the parent"))?;
    if dead == 0 { Ok(()) } else { Err(ProcessError::Orphaned) }
}

/// A descriptor of this process that becomes readable when it ends.
pub(crate) fn own_pidfd() -> Result<OwnedFd, ProcessError> {
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_err(system("open the own pidfd"))
}

/// Leaves the node's mount, IPC and host name namespaces, and its PID namespace with the next fork.
pub(crate) fn unshare_namespaces() -> Result<(), ProcessError> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // SAFETY: the flags do not hold FILES, so no thread can lose sight of a descriptor.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(system("unshare namespaces"))
}

/// Splits the process in two.
pub(crate) fn fork() -> Result<Forked, ProcessError> {
    // SAFETY: this program never starts a thread, so no lock can be held by one that does not exist in the child, and
    // the child may go on with any code.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        child => match Pid::from_raw(child) {
            Some(child) if child.as_raw_nonzero().get() > 0 => Ok(Forked::Parent { child }),
            _ => Err(ProcessError::System { action: "fork", source: io::Error::last_os_error() }),
        },
    }
}

/// Marks every descriptor from 4 upwards close-on-exec; 0 to 3 are PHP's.
pub(crate) fn close_on_exec_from_4() -> Result<(), ProcessError> {
    // SAFETY: close_range with CLOEXEC changes flags of descriptors and closes none, so nothing that owns one is hurt.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 4_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        Ok(())
    } else {
        Err(ProcessError::System { action: "close other descriptors on exec", source: io::Error::last_os_error() })
    }
}

fn system(action: &'static str) -> impl Fn(rustix::io::Errno) -> ProcessError {
    move |source| ProcessError::System { action, source: source.into() }
}
