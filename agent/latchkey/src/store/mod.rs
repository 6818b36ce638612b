//! SQLite: where the state of serve survives. One writer, write-ahead log, full sync, immediate transactions.
//!
//! The modules below hold the statements of one concern each; what they mean is decided elsewhere.

pub(crate) mod access_rows;
pub(crate) mod accounts;
pub(crate) mod adapter_state;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cron_entries;
pub(crate) mod gateway_rows;
pub(crate) mod hand_overs;
pub(crate) mod idempotency;
pub(crate) mod jobs;
pub(crate) mod kept_files;
pub(crate) mod live_tokens;
pub(crate) mod mail_queue;
pub(crate) mod phpmyadmin_rows;
pub(crate) mod residue;
pub(crate) mod shown_passwords;
pub(crate) mod sso_scripts;
pub(crate) mod wordpress_sessions;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::problem::{Code, Problem};

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
    include_str!("migrations/0016.sql"),
];

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database file cannot be opened or brought up to date.
    #[error("cannot open the state in {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database was written by a newer agent.
    #[error("the state in {} is of version {found}, this agent knows {known}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// The database file is not whole. Nothing is guessed.
    #[error("the state in {} is damaged ({what}); put a backup in its place: latchkey restore FILE", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found first.
        what: String,
    },
    /// A statement failed.
    #[error("cannot {attempt}")]
    Statement {
        /// What was attempted.
        attempt: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A row does not hold what it should.
    #[error("a stored {what} is malformed: {text:?}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
        /// What stands there.
        text: String,
    },
}

impl StoreError {
    /// Names what was attempted, for `map_err`.
    pub(crate) fn at(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Statement { attempt, source }
    }

    /// What is wrong with the state itself, if it is that.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
        let source = match self {
            Self::Damaged { .. } => return Some(Trouble::Damaged),
            Self::Statement { source, .. } | Self::Open { source, .. } => source,
            Self::TooNew { .. } | Self::Malformed { .. } => return None,
        };
        match source.sqlite_error_code()? {
            DiskFull => Some(Trouble::Full),
            ReadOnly => Some(Trouble::ReadOnly),
            SystemIoFailure | CannotOpen => Some(Trouble::Unwritable),
            DatabaseCorrupt | NotADatabase => Some(Trouble::Damaged),
            _ => None,
        }
    }
}

/// What is wrong with the state as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No space is left.
    Full,
    /// It may not be written.
    ReadOnly,
    /// The system does not write it.
    Unwritable,
    /// Its file is not whole.
    Damaged,
}

impl Trouble {
    /// A sentence about it.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Full => "the agent cannot write its state: no space is left in its state directory",
            Self::ReadOnly => "the agent cannot write its state: its state directory is read-only",
            Self::Unwritable => "the agent cannot write its state: the system reports an error in its state directory",
            Self::Damaged => "the agent's state is damaged on disk; put a backup in its place with `latchkey restore`",
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let Some(trouble) = error.trouble() else { return Self::internal(&error) };
        tracing::error!(error = %crate::problem::chain(&error), "{}", trouble.sentence());
        let detail = format!("{}; nothing was changed", trouble.sentence());
        Self { trouble: Some(trouble), ..Self::new(Code::Unavailable, detail).retry_after(5) }
    }
}

/// The database, with a connection of its own for reading.
pub(crate) struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    path: PathBuf,
    /// What was wrong when it was last used.
    trouble: Mutex<Option<Trouble>>,
}

impl Store {
    /// Opens the database in the state directory, makes it if there is none, and brings it up to date. One that is not
    /// whole is refused: decisions are not made from a guess.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let path = path_in(state_dir);
        let mut writer = connect(&path)?;
        backup::check(&writer, &path)?;
        migrate(&mut writer, &path)?;
        let reader = connect(&path)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), path, trouble: Mutex::default() })
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps in mind how writing went, for whoever asks how the agent is.
    pub(crate) fn note(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong with it, if anything was when it was last used and still is. Blocks.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let known = || *self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        known()?;
        // Space may be back, and nobody has written since.
        let version = MIGRATIONS.len();
        let tried = self.write(|connection| {
            connection.pragma_update(None, "user_version", version).map_err(StoreError::at("try to write the state"))
        });
        drop(tried);
        known()
    }

    /// The connection that writes. Blocks while somebody else writes.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all of it or nothing. Blocks while somebody else writes.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let written = self.write_unnoted(work);
        match &written {
            Ok(_) => self.note(None),
            Err(error) => error.trouble().into_iter().for_each(|trouble| self.note(Some(trouble))),
        }
        written
    }

    fn write_unnoted<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let connection = self.writer();
        let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)
            .map_err(StoreError::at("begin to write"))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StoreError::at("commit what was written"))?;
        Ok(value)
    }

    /// A connection of one's own, for reading at length. Nobody waits for it.
    pub(crate) fn reader_apart(&self) -> Result<Connection, StoreError> {
        connect(&self.path)
    }

    /// The connection that reads. Blocks while somebody else reads.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the database in the state directory for reading only, whether the agent runs or not.
pub(crate) fn open_to_read(state_dir: &Path) -> Result<Connection, StoreError> {
    let path = state_dir.join("latchkey.db");
    let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|connection| connection.busy_timeout(Duration::from_secs(5)).map(|()| connection));
    opened.map_err(|source| StoreError::Open { path, source })
}

/// What SQLite finds wrong with the file, in its own words; nothing if it is whole. Blocks, for long.
pub(crate) fn damage(connection: &Connection) -> Result<Option<String>, StoreError> {
    let said: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(StoreError::at("check the database"))?;
    Ok((said != "ok").then_some(said))
}

/// The database's file in a state directory.
pub(crate) fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("latchkey.db")
}

fn open_fault(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Damaged { path: path.to_owned(), what: source.to_string() }
        }
        _ => StoreError::Open { path: path.to_owned(), source },
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = open_fault(path);
    let connection = Connection::open(path).map_err(&open)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(&open)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;",
        )
        .map_err(open)?;
    Ok(connection)
}

/// A connection to a database that is damaged, if it can be opened at all; to read what can be read.
pub(crate) fn connect_to_damaged(path: &Path) -> Option<Connection> {
    Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).ok()
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let open = open_fault(path);
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&open)?;
    if found > MIGRATIONS.len() {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let step = connection.transaction().map_err(&open)?;
        step.execute_batch(migration).map_err(&open)?;
        step.pragma_update(None, "user_version", index + 1).map_err(&open)?;
        step.commit().map_err(&open)?;
    }
    Ok(())
}

/// A moment as a column.
pub(crate) fn ms(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// A column as a moment.
pub(crate) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN)
}

/// A value as a JSON column.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Malformed { what: "value", text: String::new() })
}

/// A JSON column as a value.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// A text column as an id or another parsed value.
pub(crate) fn parsed<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}
