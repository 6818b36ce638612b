//! One-use scripts that were put into docroots, from before there is a file until it is known to be gone.

use jiff::Timestamp;
use latchkey_access::InstanceId;
use rusqlite::{Connection, Row, params};

use super::wordpress_sessions::Site;
use super::{StoreError, from_json, json, moment, ms, parsed};

/// One script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The name of its file, which lies in the docroot.
    pub(crate) name: String,
    /// The mark of its hand-over, and of the session that it opens.
    pub(crate) mark: String,
    pub(crate) instance: InstanceId,
    /// Where it was then.
    pub(crate) site: Site,
    pub(crate) expires_at: Timestamp,
    /// Its path on the site; `None` until it is written, and so not told to anybody.
    pub(crate) path: Option<String>,
}

const COLUMNS: &str = "name, mark, instance, site, expires_at_ms, path";

/// Writes a script that is about to be put into its docroot. Fails if its hand-over has one.
pub(crate) fn save(connection: &Connection, script: &Script) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO sso_scripts (name, mark, instance, site, expires_at_ms, path) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                script.name,
                script.mark,
                script.instance.as_str(),
                json(&script.site)?,
                ms(script.expires_at),
                script.path,
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write down a script"))
}

/// Notes where a script is, now that it is there.
pub(crate) fn place(connection: &Connection, name: &str, path: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE sso_scripts SET path = ?2 WHERE name = ?1", [name, path])
        .map(drop)
        .map_err(StoreError::at("note where a script is"))
}

/// The script of a hand-over.
pub(crate) fn of_mark(connection: &Connection, mark: &str) -> Result<Option<Script>, StoreError> {
    Ok(select(connection, "mark = ?1", [mark])?.pop())
}

/// The scripts that nobody can use any more at this moment.
pub(crate) fn expired(connection: &Connection, now: Timestamp) -> Result<Vec<Script>, StoreError> {
    select(connection, "expires_at_ms < ?1 ORDER BY expires_at_ms", [ms(now)])
}

/// How many scripts there are, as far as is known.
pub(crate) fn count(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row("SELECT COUNT(*) FROM sso_scripts", [], |row| row.get(0))
        .map_err(StoreError::at("count the scripts"))
}

/// Forgets a script.
pub(crate) fn delete(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM sso_scripts WHERE name = ?1", [name])
        .map(drop)
        .map_err(StoreError::at("forget a script"))
}

fn select(connection: &Connection, which: &str, with: impl rusqlite::Params) -> Result<Vec<Script>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sso_scripts WHERE {which}"))
        .map_err(failed("read the scripts"))?;
    let mut rows = statement.query(with).map_err(failed("read the scripts"))?;
    let mut scripts = Vec::new();
    while let Some(row) = rows.next().map_err(failed("read the scripts"))? {
        scripts.push(script(row)?);
    }
    Ok(scripts)
}

fn script(row: &Row<'_>) -> Result<Script, StoreError> {
    let columns: (String, String, String, String, i64, Option<String>) =
        row.try_into().map_err(StoreError::at("read the scripts"))?;
    let (name, mark, instance, site, expires_at, path) = columns;
    Ok(Script {
        name,
        mark,
        instance: parsed("instance id", &instance)?,
        site: from_json("site", &site)?,
        expires_at: moment(expires_at),
        path,
    })
}
