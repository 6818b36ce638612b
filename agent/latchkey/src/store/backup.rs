//! Copies of the whole database: made while it is in use, checked before anybody relies on them, put in its place.
//!
//! What of a copy may count again is decided in `state::restore`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, backup};

use super::audit::{self, Head};
use super::{Store, StoreError, migrate};

/// Why a copy was not made or not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The database or the copy cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be handled.
    #[error("cannot {attempt} {}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The copy's audit does not hold together.
    #[error("the audit in {} is broken at row {seq}: {what}", path.display())]
    Audit {
        /// The copy.
        path: PathBuf,
        /// The first row that does not fit.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl BackupError {
    fn file(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { attempt, path: path.to_owned(), source }
    }
}

/// A copy that was found whole: no page damaged, the audit unbroken.
pub(crate) struct Copy {
    /// The copy itself, of the version that this agent knows.
    pub(crate) connection: Connection,
    /// The end of its audit.
    pub(crate) head: Option<Head>,
}

/// Walks the database's pages and rows; refuses one that is not whole. Reads all of it: about a second for a gigabyte.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match super::damage(connection) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(StoreError::Damaged { path: path.to_owned(), what: what.replace('\n', " ") }),
        Err(StoreError::Statement { source, .. }) => Err(super::open_fault(path)(source)),
        Err(error) => Err(error),
    }
}

/// Opens a copy and checks it. One of an older version is brought up to date first; the file changes then.
pub(crate) fn open(path: &Path) -> Result<Copy, BackupError> {
    let fault = super::open_fault(path);
    let mut connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(&fault)
        .map_err(BackupError::Store)?;
    check(&connection, path)?;
    migrate(&mut connection, path)?;
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(&fault)?;
    let (_, head, broken) = audit::verify(&connection)?;
    match broken {
        Some(fault) => Err(BackupError::Audit { path: path.to_owned(), seq: fault.seq, what: fault.what }),
        None => Ok(Copy { connection, head }),
    }
}

impl Store {
    /// Writes a copy of the database as it is at this moment to a new file, and checks the copy. Nobody waits for it.
    /// An older file of that name is replaced. The file is for its owner only, and durable when this returns.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<Option<Head>, BackupError> {
        let made = self.copy_unchecked(path).and_then(|()| open(path).map(|copy| copy.head));
        if made.is_err() {
            // Half a copy must not be taken for one.
            drop(fs::remove_file(path));
        }
        made
    }

    fn copy_unchecked(&self, path: &Path) -> Result<(), BackupError> {
        remove(path)?;
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        new.map_err(BackupError::file("make", path))?;
        let source = self.reader_apart()?;
        let fault = super::open_fault(path);
        let mut copy = Connection::open(path).map_err(&fault)?;
        fill(&source, &mut copy)?;
        // Without its write-ahead log a copy is one file.
        copy.execute_batch("PRAGMA journal_mode = DELETE").map_err(&fault)?;
        drop(copy);
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(BackupError::file("make durable", path))
    }

    /// Puts the content of a copy in the place of what the database holds, all of it or nothing.
    pub(crate) fn take_over(&self, copy: &Connection, writer: &mut Connection) -> Result<(), StoreError> {
        fill(copy, writer)?;
        check(writer, &self.path)
    }
}

fn fill(from: &Connection, to: &mut Connection) -> Result<(), StoreError> {
    let copying = backup::Backup::new(from, to).map_err(StoreError::at("begin to copy the state"))?;
    // In one step, so that writers beside it do not make it begin anew.
    copying.run_to_completion(i32::MAX, Duration::from_millis(10), None).map_err(StoreError::at("copy the state"))
}

/// Keeps a second set of the database's files beside them, and says where. Nobody may write meanwhile.
pub(crate) fn keep_copy_aside(path: &Path, now: Timestamp) -> Result<PathBuf, BackupError> {
    aside(path, now, |from, to| fs::copy(from, to).map(drop))
}

/// Moves the database's files out of the way, and says where to. Nobody may have them open.
pub(crate) fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, BackupError> {
    aside(path, now, |from, to| fs::rename(from, to))
}

fn aside(path: &Path, now: Timestamp, set: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<PathBuf, BackupError> {
    let kept = path.with_file_name(format!("before-restore-{}.db", now.as_millisecond()));
    for ending in ["", "-wal"] {
        let (from, to) = (with_ending(path, ending), with_ending(&kept, ending));
        if from.exists() {
            set(&from, &to).map_err(BackupError::file("keep aside", &from))?;
        }
    }
    Ok(kept)
}

/// Puts a prepared copy where the database was.
pub(crate) fn move_into_place(copy: &Path, path: &Path) -> Result<(), BackupError> {
    for ending in ["-wal", "-shm"] {
        remove(&with_ending(path, ending))?;
    }
    fs::rename(copy, path).map_err(BackupError::file("move into place", copy))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(BackupError::file("make durable", directory))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
