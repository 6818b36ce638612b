//! `latchkey-php`: runs PHP with the bridge once, as a hosting's system user, in namespaces of its own.
//!
//! The broker starts it as root with exactly three descriptors: 0 the request, 1 the reply, 2 the log. It has one
//! thread. The child is the first process of a PID namespace, so its death is the death of everything it started.
//! How it ended is told in the exit code ([`latchkey_protocol::PhpEnd::exit_code`]); why it could not start, in the log.

mod call;
mod confine;
mod descriptors;
mod execute;
mod process;
mod watch;

use std::{convert::Infallible, error::Error, ffi::OsString, fmt, io::Write as _, os::fd::AsFd, process::ExitCode};

use latchkey_protocol::PHP_NOT_STARTED;

use crate::{call::Call, process::Forked};

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // To the call's log; there is nobody else to tell when that is gone.
            let _ = writeln!(std::io::stderr(), "latchkey-php: {}", Chain(&*error));
            ExitCode::from(PHP_NOT_STARTED)
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<u8, Box<dyn Error>> {
    process::close_strays()?;
    let call = Call::parse(arguments)?;
    let deadline = watch::Deadline::starting_now(call.deadline);
    let reply = descriptors::arrange()?;
    let stop = process::StopSignal::listen()?;
    process::stop_with_broker(call.broker_pid)?;
    if let Some(cache) = &call.cache {
        confine::ensure_cache(cache, call.uid, call.gid)?;
    }
    process::unshare_namespaces()?;
    confine::make_mounts_private()?;
    let (failure, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let parent = process::own_pidfd()?;
    match process::fork()? {
        Forked::Child => {
            drop(failure);
            let Err(error) = become_php(&call, &parent);
            // The pipe closes unwritten when PHP is executed, so a byte in it is the proof that it was not.
            let _ = rustix::io::write(&report, b"x");
            Err(error)
        }
        Forked::Parent { child } => {
            drop((reply, report));
            descriptors::let_go()?;
            Ok(watch::until_the_end(child, &deadline, &stop, &failure)?)
        }
    }
}

/// In the child: gives everything up in the one safe order, then becomes PHP. Returns only when something fails.
fn become_php(call: &Call, parent: &impl AsFd) -> Result<Infallible, Box<dyn Error>> {
    process::die_with(parent)?;
    confine::mount_own_proc()?;
    confine::limit_resources(call.deadline)?;
    confine::drop_privileges(call.uid, call.gid)?;
    // Changing the uid cleared it.
    process::die_with(parent)?;
    confine::enter_docroot(call)?;
    process::close_on_exec_from_4()?;
    process::unblock_signals()?;
    Err(execute::php(call).into())
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
