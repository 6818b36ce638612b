//! The files workers: one for a hosting in use, started when serve asks for it.
//!
//! What one may do is confined in `latchkey-files`. It ends by itself when serve closes its end of the socket.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use latchkey_protocol::{FrameError, FrameSocket};
use rustix::{
    fs::{AtFlags, StatxFlags},
    io::Errno,
};

use crate::{
    admission,
    registry::Hosting,
    slots::Full,
    spawn,
    workers::{StillThere, Workers},
};

/// All that run.
#[derive(Debug)]
pub(crate) struct FilesWorkers {
    program: PathBuf,
    workers: Workers,
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

impl FilesWorkers {
    /// None yet; at most `total` in all, and `per_hosting` of one hosting.
    pub(crate) fn new(program: &Path, total: usize, per_hosting: usize) -> Self {
        Self { program: program.to_owned(), workers: Workers::new("files worker", total, per_hosting) }
    }

    /// Starts one for a hosting. It dies with the broker.
    pub(crate) fn start(&self, hosting: &Hosting) -> Result<Started, StartError> {
        let place = self.workers.place(&hosting.hosting).map_err(StartError::Full)?;
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
        self.workers.start(&hosting.hosting, command, place).map_err(failed)?;
        Ok(Started { socket: serves.into(), mount })
    }

    /// Kills those of a hosting and waits until they are gone.
    pub(crate) fn stop(&self, hosting: &str) -> Result<(), StillThere> {
        self.workers.stop(hosting)
    }
}

fn option(key: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(key);
    argument.push(path);
    argument
}
