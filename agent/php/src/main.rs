//! `latchkey-php`: runs PHP with the bridge once, as a hosting's system user, in namespaces of its own.
//!
//! The broker starts it as root with exactly three descriptors: 0 the request, 1 the reply, 2 the log. It has one
//! thread. The child is the first process of a PID namespace, so its death is the death of everything it started. The
//! parent watches it, with no right left but to kill it.
//! How it ended is told in the exit code ([`latchkey_protocol::PhpEnd::exit_code`]); why it could not start, in the log.
//!
//! `latchkey-php --confinement` tells on standard output what the kernel has of what confines a call.

mod call;
mod confine;
mod descriptors;
mod execute;
mod paths;
mod process;
mod system_calls;
mod watch;

use std::{convert::Infallible, error::Error, ffi::OsString, io::Write as _, os::fd::AsFd, process::ExitCode};

use latchkey_confine::privileges;
use latchkey_protocol::{PHP_NOT_STARTED, chain};

use crate::{call::Call, process::Forked};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = if arguments == ["--confinement"] { tell_confinement() } else { run(arguments.into_iter()) };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // To the call's log; there is nobody else to tell when that is gone.
            let _ = writeln!(std::io::stderr(), "latchkey-php: {}", chain(&*error));
            ExitCode::from(PHP_NOT_STARTED)
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<u8, Box<dyn Error>> {
    latchkey_confine::descriptors::close_strays()?;
    privileges::hide_memory()?;
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
            privileges::keep_only_killing()?;
            system_calls::allow_only_watching()?;
            Ok(watch::until_the_end(child, &deadline, &stop, &failure)?)
        }
    }
}

/// In the child: gives everything up in the one safe order, then becomes PHP. Returns only when something fails.
fn become_php(call: &Call, parent: &impl AsFd) -> Result<Infallible, Box<dyn Error>> {
    process::die_with(parent)?;
    confine::mount_own_proc()?;
    confine::mount_own_tmp(call)?;
    confine::limit_resources(call.deadline)?;
    privileges::drop_all(call.uid, call.gid)?;
    // Changing the uid cleared it.
    process::die_with(parent)?;
    let home = confine::enter_docroot(call)?;
    paths::restrict(call, &home)?;
    process::close_on_exec_from_4()?;
    process::unblock_signals()?;
    system_calls::refuse_what_no_site_needs()?;
    Err(execute::php(call).into())
}

/// Confines this process as far as the kernel can, and says how far that is.
fn tell_confinement() -> Result<u8, Box<dyn Error>> {
    let landlock_abi = paths::restrict_to_nothing()?;
    system_calls::refuse_what_no_site_needs()?;
    let confinement = latchkey_protocol::Confinement { landlock_abi, seccomp: true };
    serde_json::to_writer(std::io::stdout(), &confinement)?;
    Ok(0)
}
