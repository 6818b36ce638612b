//! Links that open phpMyAdmin once, and the temporary accounts that have to be dropped.

use jiff::Timestamp;
use latchkey_access::{Actor, InstanceId, ShareId};
use rusqlite::{Connection, OptionalExtension, params};

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, moment, ms, parsed};
use crate::token::TokenHash;

/// The right to open phpMyAdmin for one database, once.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) instance: InstanceId,
    pub(crate) share: Option<ShareId>,
    pub(crate) actor: Actor,
    /// Its whole name.
    pub(crate) database: String,
    pub(crate) expires_at: Timestamp,
}

/// Writes a link, and forgets those that are too old.
pub(crate) fn save_link(
    connection: &Connection,
    token: &TokenHash,
    link: &Link,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM phpmyadmin_links WHERE expires_at_ms < ?1", [ms(now)])
        .map_err(StoreError::at("forget old links"))?;
    connection
        .execute(
            "INSERT INTO phpmyadmin_links (token_hash, instance, share, actor, database, expires_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                token.0.as_slice(),
                link.instance.as_str(),
                link.share.map(|id| id.to_string()),
                actor_text(&link.actor),
                link.database,
                ms(link.expires_at),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a link"))
}

/// The link behind a token, unless it is used or too old.
pub(crate) fn find_link(
    connection: &Connection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<Link>, StoreError> {
    type Columns = (String, Option<String>, String, String, i64);
    let found = connection
        .query_row(
            "SELECT instance, share, actor, database, expires_at_ms FROM phpmyadmin_links WHERE token_hash = ?1",
            [token.0.as_slice()],
            |row| Columns::try_from(row),
        )
        .optional()
        .map_err(StoreError::at("look a link up"))?;
    let Some((instance, share, actor, database, expires_at)) = found else { return Ok(None) };
    let link = Link {
        instance: parsed("instance id", &instance)?,
        share: share.map(|id| parsed("share id", &id)).transpose()?,
        actor: actor_from(&actor)?,
        database,
        expires_at: moment(expires_at),
    };
    Ok(Some(link).filter(|link| link.expires_at > now))
}

/// Uses a link up: of several at the same time exactly one gets it.
pub(crate) fn take_link(
    connection: &Connection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<Link>, StoreError> {
    let found = find_link(connection, token, now)?;
    let taken = connection
        .execute("DELETE FROM phpmyadmin_links WHERE token_hash = ?1", [token.0.as_slice()])
        .map_err(StoreError::at("use a link up"))?;
    Ok(found.filter(|_| taken == 1))
}

/// Notes an account that is about to be made.
pub(crate) fn save_account(connection: &Connection, user: &str) -> Result<(), StoreError> {
    connection
        .execute("INSERT INTO phpmyadmin_accounts (user) VALUES (?1)", [user])
        .map(drop)
        .map_err(StoreError::at("note an account of phpMyAdmin"))
}

/// Forgets an account that was dropped.
pub(crate) fn forget_account(connection: &Connection, user: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM phpmyadmin_accounts WHERE user = ?1", [user])
        .map(drop)
        .map_err(StoreError::at("forget an account of phpMyAdmin"))
}

/// The accounts that were not dropped yet.
pub(crate) fn accounts(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached("SELECT user FROM phpmyadmin_accounts")
        .map_err(failed("read the accounts of phpMyAdmin"))?;
    let found = statement.query_map([], |row| row.get(0)).map_err(failed("read the accounts of phpMyAdmin"))?;
    found.collect::<Result<_, _>>().map_err(failed("read the accounts of phpMyAdmin"))
}
