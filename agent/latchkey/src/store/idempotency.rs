//! Idempotency keys: a repeated request gets the reply that the first one got.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, ms};

/// Replies are kept this long.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it is noted now, and the request may run.
    New,
    /// Another request used it.
    OtherRequest,
    /// The same request runs now, or was cut off, or its reply held a secret and is not kept.
    NoReply,
    /// The reply of the first request.
    Reply {
        /// Its HTTP status.
        status: u16,
        /// Its body.
        body: Vec<u8>,
    },
}

/// Looks a key up and notes it if it is new.
pub(crate) fn begin(
    connection: &Connection,
    caller: &str,
    key: &str,
    request_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Known, StoreError> {
    let failed = StoreError::at;
    let oldest = now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN);
    connection
        .execute("DELETE FROM idempotency_keys WHERE made_at_ms < ?1", [ms(oldest)])
        .map_err(failed("forget old idempotency keys"))?;
    type Columns = (Vec<u8>, Option<u16>, Option<Vec<u8>>);
    let found: Option<Columns> = connection
        .query_row(
            "SELECT request_hash, status, reply FROM idempotency_keys WHERE caller = ?1 AND key = ?2",
            [caller, key],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .map_err(failed("look an idempotency key up"))?;
    match found {
        Some((hash, _, _)) if hash != request_hash => Ok(Known::OtherRequest),
        Some((_, Some(status), Some(body))) => Ok(Known::Reply { status, body }),
        Some(_) => Ok(Known::NoReply),
        None => connection
            .execute(
                "INSERT INTO idempotency_keys (caller, key, request_hash, made_at_ms) VALUES (?1, ?2, ?3, ?4)",
                params![caller, key, request_hash.as_slice(), ms(now)],
            )
            .map(|_| Known::New)
            .map_err(failed("note an idempotency key")),
    }
}

/// Keeps the reply of a request.
pub(crate) fn finish(
    connection: &Connection,
    caller: &str,
    key: &str,
    status: u16,
    body: &[u8],
) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE idempotency_keys SET status = ?3, reply = ?4 WHERE caller = ?1 AND key = ?2",
            params![caller, key, status, body],
        )
        .map(drop)
        .map_err(StoreError::at("keep a reply"))
}

/// Forgets a key whose request was refused or failed: it may be tried again.
pub(crate) fn forget(connection: &Connection, caller: &str, key: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM idempotency_keys WHERE caller = ?1 AND key = ?2", [caller, key])
        .map(drop)
        .map_err(StoreError::at("forget an idempotency key"))
}
