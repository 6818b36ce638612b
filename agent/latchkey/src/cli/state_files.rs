//! Files that root and the agent hand each other in the state directory. The directory belongs to the agent: root follows
//! no link there, and what root makes there belongs to the directory's owner.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::client::CallError;

/// Why a file did not change hands.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}", path.display())]
pub(crate) struct StateFileError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StateFileError {
    fn at<E: Into<io::Error>>(attempt: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self { attempt, path: path.to_owned(), source: source.into() }
    }

    pub(super) fn into_call_error(self) -> CallError {
        CallError::File(Box::new(self))
    }
}

/// A place for a file that is not whole yet: under another name, for its owner only. Dropped before [`Place::take`] it is
/// as if nothing had been.
pub(crate) struct Place {
    file: File,
    half: PathBuf,
    path: PathBuf,
    is_taken: bool,
}

impl Place {
    /// Makes sure that the file can be written there.
    pub(crate) fn reserve(path: &Path) -> Result<Self, StateFileError> {
        let directory = folder(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let half = directory.join(format!(".{name}.{}", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::open(&half, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(made.map_err(StateFileError::at("make", &half))?);
        Ok(Self { file, half, path: path.to_owned(), is_taken: false })
    }

    /// Moves the content of an agent's file here, durably and all at once.
    pub(crate) fn take(mut self, from: &Path) -> Result<(), StateFileError> {
        let mut source = open_regular(from)?;
        io::copy(&mut source, &mut self.file).map_err(StateFileError::at("write", &self.half))?;
        self.file.sync_all().map_err(StateFileError::at("write", &self.half))?;
        fs::rename(&self.half, &self.path).map_err(StateFileError::at("write", &self.path))?;
        self.is_taken = true;
        sync(folder(&self.path))?;
        fs::remove_file(from).map_err(StateFileError::at("remove", from))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_taken {
            // Nobody waits for it.
            drop(fs::remove_file(&self.half));
        }
    }
}

/// Copies a file to where the agent finds it, owned by the owner of that directory.
pub(crate) fn put(from: &Path, to: &Path) -> Result<(), StateFileError> {
    let mut source = open_regular(from)?;
    let directory = folder(to);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    let opened = opened.map_err(StateFileError::at("open", directory))?;
    let owner = rustix::fs::fstat(&opened).map_err(StateFileError::at("look at", directory))?;
    let half = format!("restore.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made =
        rustix::fs::openat(&opened, &half, flags, Mode::RUSR | Mode::WUSR).map_err(StateFileError::at("make", to))?;
    let name = to.file_name().unwrap_or_default();
    let written = (|| {
        let mut file = File::from(made);
        io::copy(&mut source, &mut file)?;
        let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        rustix::fs::fchown(file.as_fd(), Some(uid), Some(gid))?;
        file.sync_all()?;
        rustix::fs::renameat(&opened, &half, &opened, name)?;
        rustix::fs::fsync(&opened)?;
        Ok::<_, io::Error>(())
    })();
    if written.is_err() {
        // The error says why; half a file must not stay.
        let _ = rustix::fs::unlinkat(&opened, &half, AtFlags::empty());
    }
    written.map_err(StateFileError::at("write", to))
}

fn open_regular(path: &Path) -> Result<File, StateFileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(StateFileError::at("open", path))?;
    let found = rustix::fs::fstat(&file).map_err(StateFileError::at("look at", path))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(StateFileError::at("read", path)(io::Error::other("expected a regular file")));
    }
    Ok(file.into())
}

fn sync(directory: &Path) -> Result<(), StateFileError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(StateFileError::at("make durable", directory))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
