//! Letters that wait to be sent.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, ms};

/// A letter to put into the queue.
#[derive(Debug)]
pub(crate) struct NewLetter {
    pub(crate) share: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// A letter whose time has come.
#[derive(Debug)]
pub(crate) struct QueuedLetter {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) attempts: u32,
}

/// How the last letter of a share fares.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct LetterState {
    /// Which letter.
    pub(crate) kind: String,
    /// `queued`, `sent`, `failed` (given up) or `dropped` (the share ended first).
    pub(crate) state: String,
    /// What the mail server said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Puts a letter into the queue, due at once.
pub(crate) fn enqueue(connection: &Connection, letter: &NewLetter, now: Timestamp) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO mail_queue (share, kind, recipient, subject, body_text, body_html, state, next_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7)",
            params![letter.share, letter.kind, letter.recipient, letter.subject, letter.text, letter.html, ms(now)],
        )
        .map(drop)
        .map_err(StoreError::at("put a letter into the queue"))
}

/// The letter that is due first, new ones before repeats.
pub(crate) fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<QueuedLetter>, StoreError> {
    connection
        .query_row(
            "SELECT id, kind, recipient, subject, body_text, body_html, attempts FROM mail_queue
             WHERE state = 'queued' AND next_at_ms <= ?1 ORDER BY attempts, id LIMIT 1",
            [ms(now)],
            |row| {
                Ok(QueuedLetter {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    recipient: row.get(2)?,
                    subject: row.get(3)?,
                    text: row.get(4)?,
                    html: row.get(5)?,
                    attempts: row.get(6)?,
                })
            },
        )
        .optional()
        .map_err(StoreError::at("read the mail queue"))
}

/// When the next letter is due.
pub(crate) fn next_at(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    connection
        .query_row("SELECT min(next_at_ms) FROM mail_queue WHERE state = 'queued'", [], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .map(|found| found.map(super::moment))
        .map_err(StoreError::at("read the mail queue"))
}

/// How many letters wait to be sent.
pub(crate) fn count_queued(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row("SELECT count(*) FROM mail_queue WHERE state = 'queued'", [], |row| row.get(0))
        .map_err(StoreError::at("read the mail queue"))
}

/// Notes that a letter was sent, and removes its texts.
pub(crate) fn sent(connection: &Connection, id: i64) -> Result<(), StoreError> {
    finish(connection, id, "sent", None)
}

/// Notes that a letter will not be tried again, and removes its texts.
pub(crate) fn failed(connection: &Connection, id: i64, error: &str) -> Result<(), StoreError> {
    finish(connection, id, "failed", Some(error))
}

fn finish(connection: &Connection, id: i64, state: &str, error: Option<&str>) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE mail_queue SET state = ?2, error = ?3, body_text = NULL, body_html = NULL WHERE id = ?1",
            params![id, state, error],
        )
        .map(drop)
        .map_err(StoreError::at("note what became of a letter"))
}

/// Notes that a letter could not be sent now.
pub(crate) fn postpone(connection: &Connection, id: i64, until: Timestamp, error: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE mail_queue SET attempts = attempts + 1, next_at_ms = ?2, error = ?3 WHERE id = ?1",
            params![id, ms(until), error],
        )
        .map(drop)
        .map_err(StoreError::at("postpone a letter"))
}

/// Takes the waiting invitations of a share out of the queue: their link is dead.
pub(crate) fn drop_invitations(connection: &Connection, share: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE mail_queue SET state = 'dropped', body_text = NULL, body_html = NULL
             WHERE share = ?1 AND kind = 'invitation' AND state = 'queued'",
            [share],
        )
        .map(drop)
        .map_err(StoreError::at("take an invitation out of the queue"))
}

/// The last letter about a share.
pub(crate) fn last_of_share(connection: &Connection, share: &str) -> Result<Option<LetterState>, StoreError> {
    connection
        .query_row(
            "SELECT kind, state, error FROM mail_queue WHERE share = ?1 ORDER BY id DESC LIMIT 1",
            [share],
            |row| Ok(LetterState { kind: row.get(0)?, state: row.get(1)?, error: row.get(2)? }),
        )
        .optional()
        .map_err(StoreError::at("read the mail queue"))
}
