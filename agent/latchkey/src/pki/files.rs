//! A certificate and its key as two files: written whole or not at all, the key readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o755;

/// What happens to files that are already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// They stay, and writing fails.
    Refuse,
    /// They are replaced.
    Replace,
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// There is a file of that name.
    #[error("{} exists already; --force replaces it", .path.display())]
    Exists { path: PathBuf },
    /// The file could not be read.
    #[error("read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Where a certificate and its key lie: `NAME.pem` and `NAME.key`.
#[derive(Debug)]
pub(crate) struct PemPair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl PemPair {
    /// The files of that name in a folder. The name has no slash.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
    }

    /// Reads both: certificate, then key.
    pub(crate) fn read(&self) -> Result<(String, String), FileError> {
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source });
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    /// Writes both, the folder too if it is missing.
    ///
    /// Fails with [`FileError::Exists`] before anything is written if one is there and must not be replaced.
    pub(crate) fn write(&self, certificate: &str, key: &str, overwrite: Overwrite) -> Result<(), FileError> {
        if let Some(dir) = self.key.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            make_dir(dir).map_err(|source| FileError::Write { path: dir.to_owned(), source })?;
        }
        for path in [&self.certificate, &self.key] {
            if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
                return Err(FileError::Exists { path: path.clone() });
            }
        }
        write_whole(&self.key, key, KEY_MODE, overwrite)?;
        write_whole(&self.certificate, certificate, CERTIFICATE_MODE, overwrite).inspect_err(|_| {
            if overwrite == Overwrite::Refuse {
                // A key without its certificate would only be in the way of the next try.
                let _ = fs::remove_file(&self.key);
            }
        })?;
        self.sync_dir()
    }

    /// Makes the names of the files last through a power cut.
    fn sync_dir(&self) -> Result<(), FileError> {
        let Some(dir) = self.key.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
            return Ok(());
        };
        let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| FileError::Write { path: dir.to_owned(), source })
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

fn write_whole(path: &Path, text: &str, mode: u32, overwrite: Overwrite) -> Result<(), FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.to_owned() },
        _ => FileError::Write { path: path.to_owned(), source },
    };
    if overwrite == Overwrite::Refuse {
        return create(path, text, mode).map_err(failed);
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    create(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path)).map_err(failed)
}

/// Creates a file that was not there. What was written of it is removed when writing fails.
fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
