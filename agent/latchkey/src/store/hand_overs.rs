//! Hand-overs: the right to become one WordPress user once, within a minute.

use jiff::Timestamp;
use latchkey_access::{Actor, InstanceId, ShareId, WpUser};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, moment, ms, parsed};
use crate::token::TokenHash;

/// One hand-over.
#[derive(Debug, Clone)]
pub(crate) struct HandOver {
    /// What marks the WordPress session that it opens.
    pub(crate) mark: String,
    pub(crate) instance: InstanceId,
    pub(crate) share: Option<ShareId>,
    pub(crate) actor: Actor,
    pub(crate) user: WpUser,
    pub(crate) expires_at: Timestamp,
}

/// What a presented token turned out to be.
#[derive(Debug)]
pub(crate) enum Burnt {
    /// Good, and used up now.
    Good(HandOver),
    /// Used before.
    Used(HandOver),
    /// Too late.
    Expired(HandOver),
    /// Never made, or long forgotten.
    Unknown,
}

/// An actor as a column.
pub(crate) fn actor_text(actor: &Actor) -> String {
    actor.person().map_or_else(|| "panel".to_owned(), |person| person.to_string())
}

/// A column as an actor.
pub(crate) fn actor_from(text: &str) -> Result<Actor, StoreError> {
    if text == "panel" { Ok(Actor::Panel) } else { parsed("person id", text).map(Actor::Person) }
}

/// Writes a hand-over, and forgets those that ended a day ago.
pub(crate) fn save(connection: &Connection, token: &TokenHash, hand_over: &HandOver) -> Result<(), StoreError> {
    let failed = StoreError::at;
    let day_ms = 24 * 3600 * 1000;
    connection
        .execute("DELETE FROM hand_overs WHERE expires_at_ms < ?1", [ms(hand_over.expires_at) - day_ms])
        .map_err(failed("forget old hand-overs"))?;
    connection
        .execute(
            "INSERT INTO hand_overs (token_hash, mark, instance, share, actor, wp_user_id, wp_login, expires_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                token.0.as_slice(),
                hand_over.mark,
                hand_over.instance.as_str(),
                hand_over.share.map(|id| id.to_string()),
                actor_text(&hand_over.actor),
                hand_over.user.id,
                hand_over.user.login,
                ms(hand_over.expires_at),
            ],
        )
        .map(drop)
        .map_err(failed("write a hand-over"))
}

/// Forgets the hand-overs of an instance.
pub(crate) fn delete_of(connection: &Connection, instance: &InstanceId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM hand_overs WHERE instance = ?1", [instance.as_str()])
        .map(drop)
        .map_err(StoreError::at("forget the hand-overs of an instance"))
}

/// The hand-over behind a token, without using it up; `None` once it is used or too late.
pub(crate) fn find(connection: &Connection, token: &TokenHash, now: Timestamp) -> Result<Option<HandOver>, StoreError> {
    let found = row(connection, token)?;
    Ok(found.filter(|(hand_over, used)| !used && hand_over.expires_at > now).map(|(hand_over, _)| hand_over))
}

/// Uses a token up: of several at the same time exactly one gets [`Burnt::Good`].
pub(crate) fn burn(connection: &Connection, token: &TokenHash, now: Timestamp) -> Result<Burnt, StoreError> {
    let changed = connection
        .execute(
            "UPDATE hand_overs SET used_at_ms = ?2 WHERE token_hash = ?1 AND used_at_ms IS NULL",
            params![token.0.as_slice(), ms(now)],
        )
        .map_err(StoreError::at("use a hand-over up"))?;
    Ok(match (changed, row(connection, token)?) {
        (_, None) => Burnt::Unknown,
        (1, Some((hand_over, _))) if hand_over.expires_at > now => Burnt::Good(hand_over),
        (1, Some((hand_over, _))) => Burnt::Expired(hand_over),
        (_, Some((hand_over, _))) => Burnt::Used(hand_over),
    })
}

fn row(connection: &Connection, token: &TokenHash) -> Result<Option<(HandOver, bool)>, StoreError> {
    type Columns = (String, String, Option<String>, String, u64, String, i64, Option<i64>);
    let found = connection
        .query_row(
            "SELECT mark, instance, share, actor, wp_user_id, wp_login, expires_at_ms, used_at_ms FROM hand_overs
             WHERE token_hash = ?1",
            [token.0.as_slice()],
            |row| Columns::try_from(row),
        )
        .optional()
        .map_err(StoreError::at("look a hand-over up"))?;
    let Some((mark, instance, share, actor, id, login, expires_at, used_at)) = found else { return Ok(None) };
    let hand_over = HandOver {
        mark,
        instance: parsed("instance id", &instance)?,
        share: share.map(|id| parsed("share id", &id)).transpose()?,
        actor: actor_from(&actor)?,
        user: WpUser { id, login },
        expires_at: moment(expires_at),
    };
    Ok(Some((hand_over, used_at.is_some())))
}
