//! The broker's own directories, made and protected at start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Gid, Uid},
};

/// A directory could not be made or protected.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the directory {path:?}")]
pub struct DirectoryError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Makes the directory of the state, if it is not there, and makes it root's alone.
pub fn ensure_state(path: &Path) -> Result<(), DirectoryError> {
    ensure(path, Mode::from_raw_mode(0o700))
}

/// Makes the directory that holds one cache per system user. They find theirs in it; only root adds one.
pub fn ensure_cache(path: &Path) -> Result<(), DirectoryError> {
    ensure(path, Mode::from_raw_mode(0o711))
}

fn ensure(path: &Path, mode: Mode) -> Result<(), DirectoryError> {
    let failed = |action| move |source: io::Error| DirectoryError { action, path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(failed("make"))?;
    let directory = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(io::Error::from)
        .map_err(failed("open"))?;
    rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT))
        .and_then(|()| rustix::fs::fchmod(&directory, mode))
        .map_err(io::Error::from)
        .map_err(failed("protect"))
}
