//! Which share was shown the password of which database user.

use latchkey_access::{Actor, HostingId, InstanceId, ShareId};
use rusqlite::{Connection, params};

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, parsed};

/// A password that somebody was shown through a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownPassword {
    pub(crate) hosting: HostingId,
    /// The database user's whole name.
    pub(crate) user: String,
    pub(crate) share: ShareId,
    pub(crate) instance: InstanceId,
    pub(crate) actor: Actor,
}

/// Keeps that a password was shown, in place of the one before.
pub(crate) fn save(connection: &Connection, shown: &ShownPassword) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT OR REPLACE INTO shown_passwords (hosting, user, share, instance, actor) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                shown.hosting.as_str(),
                shown.user,
                shown.share.to_string(),
                shown.instance.as_str(),
                actor_text(&shown.actor)
            ],
        )
        .map(drop)
        .map_err(StoreError::at("note whom a password was shown"))
}

/// Forgets the password of a user, which is another or gone.
pub(crate) fn forget(connection: &Connection, hosting: &HostingId, user: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM shown_passwords WHERE hosting = ?1 AND user = ?2", [hosting.as_str(), user])
        .map(drop)
        .map_err(StoreError::at("forget whom a password was shown"))
}

/// Forgets the passwords of a hosting.
pub(crate) fn forget_hosting(connection: &Connection, hosting: &HostingId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM shown_passwords WHERE hosting = ?1", [hosting.as_str()])
        .map(drop)
        .map_err(StoreError::at("forget the passwords of a hosting"))
}

/// What a share was shown.
pub(crate) fn of_share(connection: &Connection, share: ShareId) -> Result<Vec<ShownPassword>, StoreError> {
    let mut shown = all(connection)?;
    shown.retain(|one| one.share == share);
    Ok(shown)
}

/// All of them.
pub(crate) fn all(connection: &Connection) -> Result<Vec<ShownPassword>, StoreError> {
    type Columns = (String, String, String, String, String);
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached("SELECT hosting, user, share, instance, actor FROM shown_passwords")
        .map_err(failed("read which passwords were shown"))?;
    let found =
        statement.query_map([], |row| Columns::try_from(row)).map_err(failed("read which passwords were shown"))?;
    let found: Vec<Columns> = found.collect::<Result<_, _>>().map_err(failed("read which passwords were shown"))?;
    let read = |(hosting, user, share, instance, actor): Columns| {
        Ok(ShownPassword {
            hosting: parsed("hosting id", &hosting)?,
            user,
            share: parsed("share id", &share)?,
            instance: parsed("instance id", &instance)?,
            actor: actor_from(&actor)?,
        })
    };
    found.into_iter().map(read).collect()
}
