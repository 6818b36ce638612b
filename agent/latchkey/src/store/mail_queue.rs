//! Letters that wait to be sent.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, ms};
use crate::clock::later;

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
    /// Why it has not gone: what the mail server said last, or that its address has had as many letters as it gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// When it is tried next, if it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) next_at: Option<Timestamp>,
}

/// An address that has had as many letters as go to one within some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// So many letters ...
    pub(crate) letters: u32,
    /// ... within this time.
    pub(crate) within: Duration,
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

/// Which letters are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// All.
    Any,
    /// Those that were not tried yet.
    Fresh,
}

/// The letter that is due first, if it is to nobody in `busy`.
///
/// What somebody waits for at their screen (an invitation, a link to sign in) goes first and the newest of it before
/// the others: many at once do not delay the one that comes after them. Repeats go last.
pub(crate) fn next_due(
    connection: &Connection,
    due: Due,
    busy: &[String],
    now: Timestamp,
) -> Result<Option<QueuedLetter>, StoreError> {
    let busy = serde_json::Value::from(busy).to_string();
    let most_attempts = if due == Due::Fresh { 0 } else { i64::MAX };
    connection
        .query_row(
            "SELECT id, kind, recipient, subject, body_text, body_html, attempts FROM mail_queue
             WHERE state = 'queued' AND next_at_ms <= ?1 AND attempts <= ?2
               AND recipient NOT IN (SELECT value FROM json_each(?3))
             ORDER BY attempts,
                      CASE WHEN attempts = 0 AND kind IN ('invitation', 'sign_in') THEN -id ELSE 0 END, id
             LIMIT 1",
            params![ms(now), most_attempts, busy],
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

/// What an operator should know of the queue: how often the waiting letter with the most attempts was tried, and how
/// many were given up.
pub(crate) fn trouble(connection: &Connection) -> Result<(Option<u32>, u64), StoreError> {
    connection
        .query_row(
            "SELECT max(attempts) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'failed') FROM mail_queue",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(StoreError::at("read the mail queue"))
}

/// Notes that a letter was sent, and removes its texts.
pub(crate) fn sent(connection: &Connection, id: i64, now: Timestamp) -> Result<(), StoreError> {
    connection
        .execute("UPDATE mail_queue SET sent_at_ms = ?2 WHERE id = ?1", [id, ms(now)])
        .map_err(StoreError::at("note when a letter was sent"))?;
    finish(connection, id, "sent", None)
}

/// When the next letter may go to this address; `None` if one may go now.
pub(crate) fn allowed_at(
    connection: &Connection,
    recipient: &str,
    allowance: Allowance,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let since = now.saturating_sub(SignedDuration::try_from(allowance.within).unwrap_or(SignedDuration::MAX));
    // The one that must be older than that before another may follow.
    connection
        .query_row(
            "SELECT sent_at_ms FROM mail_queue WHERE recipient = ?1 AND sent_at_ms > ?2
             ORDER BY sent_at_ms DESC LIMIT 1 OFFSET ?3",
            params![recipient, ms(since.unwrap_or(Timestamp::MIN)), allowance.letters.saturating_sub(1)],
            |row| row.get(0),
        )
        .optional()
        .map(|found| found.map(|sent| later(super::moment(sent), allowance.within)))
        .map_err(StoreError::at("read what was sent"))
}

/// Notes that a letter waits because its address has had so many; this is no attempt.
pub(crate) fn hold_back(connection: &Connection, id: i64, until: Timestamp, why: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE mail_queue SET next_at_ms = ?2, error = ?3 WHERE id = ?1", params![id, ms(until), why])
        .map(drop)
        .map_err(StoreError::at("hold a letter back"))
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

/// Takes every waiting letter out of the queue.
pub(crate) fn drop_all(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE mail_queue SET state = 'dropped', body_text = NULL, body_html = NULL WHERE state = 'queued'",
            [],
        )
        .map(drop)
        .map_err(StoreError::at("empty the mail queue"))
}

/// The last letter about a share.
pub(crate) fn last_of_share(connection: &Connection, share: &str) -> Result<Option<LetterState>, StoreError> {
    connection
        .query_row(
            "SELECT kind, state, error, iif(state = 'queued' AND error IS NOT NULL, next_at_ms, NULL)
             FROM mail_queue WHERE share = ?1 ORDER BY id DESC LIMIT 1",
            [share],
            |row| {
                let next_at = row.get::<_, Option<i64>>(3)?.map(super::moment);
                Ok(LetterState { kind: row.get(0)?, state: row.get(1)?, error: row.get(2)?, next_at })
            },
        )
        .optional()
        .map_err(StoreError::at("read the mail queue"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn put(connection: &Connection, kind: &'static str, recipient: &str) -> i64 {
        let text = String::new;
        let recipient = recipient.to_owned();
        let letter = NewLetter { share: None, kind, recipient, subject: text(), text: text(), html: text() };
        enqueue(connection, &letter, at(0)).unwrap();
        connection.last_insert_rowid()
    }

    fn next(connection: &Connection, due: Due, busy: &[&str]) -> Option<i64> {
        let busy: Vec<String> = busy.iter().map(|one| (*one).to_owned()).collect();
        next_due(connection, due, &busy, at(0)).unwrap().map(|letter| letter.id)
    }

    #[test]
    fn a_new_invitation_overtakes_a_backlog() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store
            .write(|connection| {
                let news: Vec<i64> = (0..3).map(|_| put(connection, "role_changed", "many@example.org")).collect();
                let invitations: Vec<i64> =
                    (0..3).map(|number| put(connection, "invitation", &format!("{number}@example.org"))).collect();
                // One that failed does not stand in the way of any that was not tried.
                postpone(connection, invitations[2], at(0), "try later").unwrap();
                let fresh = put(connection, "invitation", "fresh@example.org");
                assert_eq!(next(connection, Due::Any, &[]), Some(fresh));
                sent(connection, fresh, at(0)).unwrap();
                for expected in [invitations[1], invitations[0], news[0], news[1], news[2]] {
                    assert_eq!(next(connection, Due::Any, &[]), Some(expected));
                    sent(connection, expected, at(0)).unwrap();
                }
                assert_eq!(next(connection, Due::Fresh, &[]), None);
                assert_eq!(next(connection, Due::Any, &[]), Some(invitations[2]));
                assert_eq!(next(connection, Due::Any, &["2@example.org"]), None);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn an_address_gets_so_many_letters_an_hour() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let allowance = Allowance { letters: 2, within: Duration::from_secs(3600) };
        store
            .write(|connection| {
                let allowed = |second| allowed_at(connection, "a@example.org", allowance, at(second)).unwrap();
                for second in [0, 10] {
                    assert_eq!(allowed(second), None);
                    let id = put(connection, "invitation", "a@example.org");
                    sent(connection, id, at(second)).unwrap();
                }
                assert_eq!(allowed(20), Some(at(3600)));
                assert_eq!(allowed_at(connection, "b@example.org", allowance, at(20)).unwrap(), None);
                assert_eq!(allowed(3601), None);
                Ok(())
            })
            .unwrap();
    }
}
