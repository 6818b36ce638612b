//! Homes in which the file manager keeps something for a while: `kept_files`.

use jiff::Timestamp;
use latchkey_access::HostingId;
use rusqlite::{Connection, params};

use super::{StoreError, ms};

/// Notes that there is something in a home; when it is looked at stays as it was.
pub(crate) fn note(connection: &Connection, hosting: &HostingId, look_at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO kept_files (hosting, look_at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    change(connection, sql, hosting, look_at)
}

/// Says when a home is looked at again.
pub(crate) fn look_at(connection: &Connection, hosting: &HostingId, look_at: Timestamp) -> Result<(), StoreError> {
    change(connection, "UPDATE kept_files SET look_at_ms = ?2 WHERE hosting = ?1", hosting, look_at)
}

/// Nothing is left in a home.
pub(crate) fn forget(connection: &Connection, hosting: &HostingId) -> Result<(), StoreError> {
    let deleted = connection.execute("DELETE FROM kept_files WHERE hosting = ?1", [hosting.as_str()]);
    deleted.map(drop).map_err(StoreError::at("forget what is kept in a home"))
}

/// The homes that it is time to look at.
pub(crate) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<HostingId>, StoreError> {
    let failed = StoreError::at;
    let query = "SELECT hosting FROM kept_files WHERE look_at_ms <= ?1 ORDER BY look_at_ms";
    let mut statement = connection.prepare_cached(query).map_err(failed("read what is kept in homes"))?;
    let rows = statement.query_map([ms(now)], |row| row.get::<_, String>(0));
    let rows = rows.map_err(failed("read what is kept in homes"))?;
    let ids = rows.collect::<Result<Vec<_>, _>>().map_err(failed("read what is kept in homes"))?;
    Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
}

fn change(connection: &Connection, sql: &str, hosting: &HostingId, at: Timestamp) -> Result<(), StoreError> {
    let changed = connection.execute(sql, params![hosting.as_str(), ms(at)]);
    changed.map(drop).map_err(StoreError::at("note what is kept in a home"))
}
