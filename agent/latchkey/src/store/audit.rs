//! The audit: append-only and hash-chained, so that a changed, removed or reordered row is found.

use std::fmt::Write;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::token::hex;

/// What happened, once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuditRow {
    /// Grows by one with each row.
    pub(crate) seq: u64,
    /// When.
    #[schemars(with = "String")]
    pub(crate) at: Timestamp,
    /// `panel`, an email, or `agent` for what the agent did by itself.
    pub(crate) actor: String,
    /// Where it came from: a certificate's URI, `cli`, `gateway`, `redeemer`, or `agent`.
    pub(crate) via: String,
    /// The operation, or the call.
    pub(crate) operation: String,
    /// `allowed`, `denied` or `failed`.
    pub(crate) outcome: Outcome,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// The share that the decision rested on, or that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<String>,
    /// The access rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was allowed and done.
    Allowed,
    /// It was refused.
    Denied,
    /// It was allowed and did not work.
    Failed,
}

/// The end of the chain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Head {
    /// The last row.
    pub(crate) seq: u64,
    /// Its hash, in hexadecimal digits.
    pub(crate) hash: String,
}

/// The first row that does not fit.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ChainFault {
    /// The row.
    pub(crate) seq: u64,
    /// What is wrong with it.
    pub(crate) what: String,
}

/// Appends a row; its number is set here.
pub(crate) fn append(connection: &Connection, mut row: AuditRow) -> Result<Head, StoreError> {
    let (seq, previous) = last(connection)?.map_or((1, Vec::new()), |(seq, hash)| (seq + 1, hash));
    row.seq = seq;
    let text = super::json(&row)?;
    let hash = link(&previous, &text);
    write(connection, seq, &text, row.instance.as_deref(), &hash)?;
    Ok(Head { seq, hash: hex(&hash) })
}

fn last(connection: &Connection) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(StoreError::at("read the head of the audit"))
}

fn write(connection: &Connection, seq: u64, text: &str, instance: Option<&str>, hash: &[u8]) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO audit (seq, row, instance, hash) VALUES (?1, ?2, ?3, ?4)",
            params![seq, text, instance, hash],
        )
        .map(drop)
        .map_err(StoreError::at("append to the audit"))
}

/// The newest row, if there is one.
pub(crate) fn head(connection: &Connection) -> Result<Option<Head>, StoreError> {
    connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Head { seq: row.get(0)?, hash: hex(&row.get::<_, Vec<u8>>(1)?) })
        })
        .optional()
        .map_err(StoreError::at("read the head of the audit"))
}

fn link(previous: &[u8], text: &str) -> [u8; 32] {
    Sha256::new_with_prefix(previous).chain_update(text).finalize().into()
}

/// The rows after a number, oldest first.
pub(crate) fn after(
    connection: &Connection,
    seq: u64,
    instance: Option<&str>,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let failed = StoreError::at;
    // Two statements: one for both would use no index.
    let mut statement = connection
        .prepare_cached(match instance {
            None => "SELECT row FROM audit WHERE seq > ?1 AND ?2 IS NULL ORDER BY seq LIMIT ?3",
            Some(_) => "SELECT row FROM audit WHERE seq > ?1 AND instance = ?2 ORDER BY seq LIMIT ?3",
        })
        .map_err(failed("read the audit"))?;
    let texts = statement
        .query_map(params![seq, instance, limit], |row| row.get::<_, String>(0))
        .map_err(failed("read the audit"))?;
    let mut rows = Vec::new();
    for text in texts {
        rows.push(super::from_json("audit row", &text.map_err(failed("read the audit"))?)?);
    }
    Ok(rows)
}

/// The rows of an instance before a number, or of all, newest first: of the instance that has the name now. What was
/// recorded until one of the same name was forgotten is not this one's.
pub(crate) fn before(
    connection: &Connection,
    seq: Option<u64>,
    instance: &str,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached(
            "SELECT row FROM audit WHERE instance = ?1 AND seq < ?2 AND seq > coalesce((SELECT max(seq)
             FROM audit INDEXED BY audit_deletions WHERE instance = ?1 AND json_extract(row, '$.operation') = 'instance.delete'), 0) ORDER BY seq DESC LIMIT ?3",
        )
        .map_err(failed("read the audit"))?;
    // As far as the database counts.
    let seq = seq.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
    let texts = statement
        .query_map(params![instance, seq, limit], |row| row.get::<_, String>(0))
        .map_err(failed("read the audit"))?;
    let parse =
        |text: rusqlite::Result<String>| super::from_json("audit row", &text.map_err(failed("read the audit"))?);
    texts.map(parse).collect()
}

/// The rows after a number as lines of JSON with their hashes, oldest first, and the number of the last one.
///
/// A line is the row exactly as it was hashed, with the field `hash` put in at its end.
pub(crate) fn lines_after(
    connection: &Connection,
    seq: u64,
    instance: Option<&str>,
    limit: u32,
) -> Result<(String, Option<u64>), StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached(match instance {
            None => "SELECT seq, row, hash FROM audit WHERE seq > ?1 AND ?2 IS NULL ORDER BY seq LIMIT ?3",
            Some(_) => "SELECT seq, row, hash FROM audit WHERE seq > ?1 AND instance = ?2 ORDER BY seq LIMIT ?3",
        })
        .map_err(failed("read the audit"))?;
    let mut found = statement.query(params![seq, instance, limit]).map_err(failed("read the audit"))?;
    let (mut lines, mut last) = (String::new(), None);
    while let Some(row) = found.next().map_err(failed("read the audit"))? {
        let column = StoreError::at("read a row of the audit");
        let (seq, text, hash): (u64, String, Vec<u8>) =
            (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(column)?;
        let open = text.strip_suffix('}').unwrap_or(&text);
        let _ = writeln!(lines, "{open},\"hash\":\"{}\"}}", hex(&hash));
        last = Some(seq);
    }
    Ok((lines, last))
}

/// When the newest row was written, if there is one.
pub(crate) fn newest_at(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let last = head(connection)?.map_or(0, |head| head.seq);
    Ok(after(connection, last.saturating_sub(1), None, 1)?.first().map(|row| row.at))
}

/// The hash of a row in hexadecimal digits, if there is the row.
pub(crate) fn hash_of(connection: &Connection, seq: u64) -> Result<Option<String>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT hash FROM audit WHERE seq = ?1")
        .map_err(StoreError::at("look a row of the audit up"))?;
    let hash = statement.query_row([seq], |row| row.get::<_, Vec<u8>>(0)).optional();
    hash.map(|hash| hash.map(|hash| hex(&hash))).map_err(StoreError::at("look a row of the audit up"))
}

/// Walks the whole chain: how many rows, the head, and the first fault.
pub(crate) fn verify(connection: &Connection) -> Result<(u64, Option<Head>, Option<ChainFault>), StoreError> {
    let failed = StoreError::at;
    let mut statement =
        connection.prepare("SELECT seq, row, hash FROM audit ORDER BY seq").map_err(failed("read the audit"))?;
    let mut found = statement.query([]).map_err(failed("read the audit"))?;
    let (mut count, mut head, mut previous) = (0, None, Vec::new());
    while let Some(row) = found.next().map_err(failed("read the audit"))? {
        let column = StoreError::at("read a row of the audit");
        let (seq, text, hash): (u64, String, Vec<u8>) =
            (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(column)?;
        count += 1;
        let fault = |what: &str| Some(ChainFault { seq, what: what.to_owned() });
        if seq != count {
            return Ok((count, head, fault("a row before this one is missing")));
        }
        if hash != link(&previous, &text) {
            return Ok((count, head, fault("the row or its order was changed")));
        }
        head = Some(Head { seq, hash: hex(&hash) });
        previous = hash;
    }
    Ok((count, head, None))
}

/// Whether this audit goes on from that end of a chain.
pub(crate) fn holds(connection: &Connection, head: Option<&Head>) -> Result<bool, StoreError> {
    let Some(head) = head else { return Ok(true) };
    let found: Option<Vec<u8>> = connection
        .query_row("SELECT hash FROM audit WHERE seq = ?1", [head.seq], |row| row.get(0))
        .optional()
        .map_err(StoreError::at("look a row of the audit up"))?;
    Ok(found.is_some_and(|hash| hex(&hash) == head.hash))
}

/// Takes over the rows with which another audit goes on from this one, as far as they can be read and fit.
pub(crate) fn go_on_with(connection: &Connection, other: &Connection) -> Result<(), StoreError> {
    let (mut seq, mut previous) = last(connection)?.unwrap_or_default();
    loop {
        let next = other.query_row("SELECT row, instance, hash FROM audit WHERE seq = ?1", [seq + 1], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        // No further row, one that cannot be read, one of another chain: it ends here.
        let Ok((text, instance, hash)) = next else { return Ok(()) };
        if hash != link(&previous, &text) {
            return Ok(());
        }
        seq += 1;
        write(connection, seq, &text, instance.as_deref(), &hash)?;
        previous = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: &str) -> AuditRow {
        AuditRow {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            actor: "panel".into(),
            via: "cli".into(),
            operation: operation.into(),
            outcome: Outcome::Allowed,
            instance: None,
            share: None,
            rule: None,
            detail: None,
            address: None,
            request_id: None,
        }
    }

    #[track_caller]
    fn check(tamper: &str, fault_at: Option<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let store = super::super::Store::open(dir.path()).unwrap();
        let connection = store.writer();
        for operation in ["a", "b", "c"] {
            append(&connection, row(operation)).unwrap();
        }
        connection.execute_batch(tamper).unwrap();
        assert_eq!(verify(&connection).unwrap().2.map(|fault| fault.seq), fault_at, "{tamper}");
    }

    #[test]
    fn a_changed_removed_or_reordered_row_is_found() {
        check("", None);
        check("UPDATE audit SET row = replace(row, '\"b\"', '\"x\"') WHERE seq = 2", Some(2));
        check("DELETE FROM audit WHERE seq = 2", Some(3));
        check(
            "UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 9",
            Some(1),
        );
    }

    #[test]
    fn exported_lines_can_be_checked_by_anybody_without_this_program() {
        let dir = tempfile::tempdir().unwrap();
        let store = super::super::Store::open(dir.path()).unwrap();
        let connection = store.writer();
        for detail in ["plain", "quotes \" and \\ and ünïcode \n", "}"] {
            let row = AuditRow { detail: Some(detail.into()), instance: Some("live".into()), ..row("a") };
            append(&connection, row).unwrap();
        }
        let (lines, last) = lines_after(&connection, 0, None, 10).unwrap();
        assert_eq!((lines.lines().count(), last), (3, Some(3)));
        let mut previous: Vec<u8> = Vec::new();
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let row = format!("{}}}", &line[..line.len() - ",\"hash\":\"\"}".len() - 64]);
            let hash = Sha256::new_with_prefix(&previous).chain_update(&row).finalize();
            assert_eq!(value["hash"], hex(&hash), "{line}");
            previous = hash.to_vec();
        }
        assert_eq!(lines_after(&connection, 2, Some("live"), 10).unwrap().0.lines().count(), 1);
        assert_eq!(lines_after(&connection, 0, Some("other"), 10).unwrap(), (String::new(), None));
    }

    #[test]
    fn the_rows_of_an_instance_go_back_to_the_end_of_one_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = super::super::Store::open(dir.path()).unwrap();
        let connection = store.writer();
        for (operation, instance) in [
            ("old", "live"),
            ("instance.delete", "live"),
            ("a", "live"),
            ("a", "live1"),
            ("b", "live"),
            ("instance.delete", "live1"),
        ] {
            append(&connection, AuditRow { instance: Some(instance.into()), ..row(operation) }).unwrap();
        }
        let names = |seq, instance, limit| -> Vec<String> {
            before(&connection, seq, instance, limit).unwrap().into_iter().map(|row| row.operation).collect()
        };
        assert_eq!(names(None, "live", 10), ["b", "a"]);
        assert_eq!(names(None, "live", 1), ["b"]);
        assert_eq!(names(Some(5), "live", 10), ["a"]);
        assert_eq!(names(Some(3), "live", 10), Vec::<String>::new(), "a cursor leads no further");
        assert_eq!(names(Some(u64::MAX), "live1", 10), Vec::<String>::new());
    }

    #[test]
    fn rows_of_one_instance_are_found_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = super::super::Store::open(dir.path()).unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT row FROM audit WHERE seq > 5 AND instance = 'live' ORDER BY seq LIMIT 9";
        let plan: String = store.writer().query_row(plan, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX audit_by_instance (instance=? AND"), "{plan}");
    }
}
