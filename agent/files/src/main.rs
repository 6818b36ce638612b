//! `latchkey-files`: opens the files of one hosting, as its system user, for whoever holds the other end of descriptor 0.
//!
//! The broker starts it as root with that one descriptor, a socket that carries frames. It ends when the other end is
//! closed, or when the broker ends.

mod asked;

use std::{error::Error, ffi::OsString, io::Write as _, os::fd::AsFd as _, process::ExitCode};

use latchkey_files::{
    confinement,
    worker::{Home, Worker},
};
use latchkey_protocol::{FrameSocket, chain};

use crate::asked::Asked;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // To the broker's log; there is nobody else to tell when that is gone.
            let _ = writeln!(std::io::stderr(), "latchkey-files: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    confinement::forget_inherited()?;
    let asked = Asked::parse(arguments)?;
    let identity = asked.identity;
    confinement::become_user(identity.uid, identity.gid)?;
    identity.end_with_broker()?;
    let socket = FrameSocket::from(rustix::stdio::stdin().as_fd().try_clone_to_owned()?);
    let home = Home::open(&asked.home)?;
    confinement::keep_to(&home, identity.landlock_at_most)?;
    let worker = Worker::start(home, socket)?;
    confinement::keep_to_calls()?;
    Ok(worker.run()?)
}
