//! What adapters keep: a few values for each adapter and hosting.

use rusqlite::{Connection, OptionalExtension as _};

use super::StoreError;

/// Whose values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) adapter: String,
    pub(crate) hosting: String,
}

/// The value of a key.
pub(crate) fn load(connection: &Connection, of: &Of, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .query_row(
            "SELECT value FROM adapter_state WHERE adapter = ?1 AND hosting = ?2 AND key = ?3",
            [&of.adapter, &of.hosting, key],
            |row| row.get(0),
        )
        .optional()
        .map_err(StoreError::at("read what an adapter keeps"))
}

/// Sets the value of a key.
pub(crate) fn save(connection: &Connection, of: &Of, key: &str, value: &[u8]) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT OR REPLACE INTO adapter_state (adapter, hosting, key, value) VALUES (?1, ?2, ?3, ?4)",
            (&of.adapter, &of.hosting, key, value),
        )
        .map(drop)
        .map_err(StoreError::at("write what an adapter keeps"))
}

/// Forgets a key.
pub(crate) fn remove(connection: &Connection, of: &Of, key: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM adapter_state WHERE adapter = ?1 AND hosting = ?2 AND key = ?3",
            [&of.adapter, &of.hosting, key],
        )
        .map(drop)
        .map_err(StoreError::at("forget what an adapter keeps"))
}

/// All keys, in order.
pub(crate) fn keys(connection: &Connection, of: &Of) -> Result<Vec<String>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT key FROM adapter_state WHERE adapter = ?1 AND hosting = ?2 ORDER BY key")
        .map_err(StoreError::at("read what an adapter keeps"))?;
    let rows = statement.query_map([&of.adapter, &of.hosting], |row| row.get(0)).and_then(Iterator::collect);
    rows.map_err(StoreError::at("read what an adapter keeps"))
}

/// How many keys there are beside this one, and how many bytes their values have.
pub(crate) fn beside(connection: &Connection, of: &Of, key: &str) -> Result<(usize, usize), StoreError> {
    connection
        .query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(value)), 0) FROM adapter_state \
             WHERE adapter = ?1 AND hosting = ?2 AND key <> ?3",
            [&of.adapter, &of.hosting, key],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(StoreError::at("count what an adapter keeps"))
}

/// Forgets all that adapters keep for a hosting.
pub(crate) fn forget_hosting(connection: &Connection, hosting: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM adapter_state WHERE hosting = ?1", [hosting])
        .map(drop)
        .map_err(StoreError::at("forget what adapters keep for a hosting"))
}

/// Forgets all that an adapter keeps.
pub(crate) fn forget_adapter(connection: &Connection, adapter: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM adapter_state WHERE adapter = ?1", [adapter])
        .map(drop)
        .map_err(StoreError::at("forget what an adapter keeps"))
}
