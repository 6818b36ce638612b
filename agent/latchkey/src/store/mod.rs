//! SQLite: where the state of serve survives. One writer, write-ahead log, full sync, immediate transactions.
//!
//! The modules below hold the statements of one concern each; what they mean is decided elsewhere.

pub(crate) mod access_rows;
pub(crate) mod audit;
pub(crate) mod gateway_rows;
pub(crate) mod hand_overs;
pub(crate) mod idempotency;
pub(crate) mod live_tokens;
pub(crate) mod mail_queue;
pub(crate) mod residue;
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

    fn is_full_or_read_only(&self) -> bool {
        let Self::Statement { source: rusqlite::Error::SqliteFailure(error, _), .. } = self else { return false };
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        matches!(error.code, DiskFull | ReadOnly | SystemIoFailure)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_full_or_read_only() {
            tracing::error!(error = %crate::problem::chain(&error), "state cannot be written");
            return Self::new(Code::Unavailable, "the agent cannot write its state; nothing was changed")
                .retry_after(5);
        }
        Self::internal(&error)
    }
}

/// The database, with a connection of its own for reading.
pub(crate) struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Opens the database in the state directory, makes it if there is none, and brings it up to date.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join("latchkey.db");
        let mut writer = connect(&path)?;
        migrate(&mut writer, &path)?;
        let reader = connect(&path)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), path })
    }

    /// The connection that writes. Blocks while somebody else writes.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all of it or nothing. Blocks while somebody else writes.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
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

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(open)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(open)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;",
        )
        .map_err(open)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
    if found > MIGRATIONS.len() {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let step = connection.transaction().map_err(open)?;
        step.execute_batch(migration).map_err(open)?;
        step.pragma_update(None, "user_version", index + 1).map_err(open)?;
        step.commit().map_err(open)?;
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
