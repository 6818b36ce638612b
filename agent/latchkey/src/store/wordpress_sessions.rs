//! WordPress sessions that hand-overs opened, and what was there before them.

use jiff::Timestamp;
use latchkey_access::{Actor, InstanceId, ShareId, WpUser};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, from_json, json, moment, ms, parsed};

/// Where a WordPress session lives, kept with it in case the instance is gone when the session is ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) hosting: String,
    /// Relative to the hosting's home.
    pub(crate) docroot: String,
    pub(crate) url: String,
}

/// One WordPress session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WordpressSession {
    /// Stands in the session itself, too.
    pub(crate) mark: String,
    pub(crate) instance: InstanceId,
    pub(crate) site: Site,
    pub(crate) share: Option<ShareId>,
    pub(crate) actor: Actor,
    pub(crate) user: WpUser,
    pub(crate) opened_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// What a WordPress user had when a share first became it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Baseline {
    pub(crate) email: String,
    pub(crate) password_fingerprint: String,
    pub(crate) application_passwords: Vec<String>,
    /// Verifiers of the sessions that were open.
    pub(crate) sessions: Vec<String>,
    /// Ids of the site's administrators.
    pub(crate) administrators: Vec<u64>,
}

/// A baseline with the user and moment it is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BaselineOf {
    pub(crate) user: WpUser,
    pub(crate) since: Timestamp,
    pub(crate) facts: Baseline,
}

/// When the site of a session that was ended is looked at again, and what was seen so far.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: Timestamp,
    pub(crate) seen: Seen,
}

/// What was seen so far by looking at a site again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// How often in a row nothing had come back.
    pub(crate) quiet: u32,
    /// How often something had.
    pub(crate) returns: u32,
    /// What the WordPress user had before, where everything begun since is to end.
    pub(crate) before: Option<BaselineOf>,
}

/// A session as it is kept.
#[derive(Debug)]
pub(crate) struct KeptSession {
    pub(crate) session: WordpressSession,
    /// Whether it is out of the registry: it must end, or has and is looked at again.
    pub(crate) must_end: bool,
    pub(crate) look: Option<Look>,
}

/// Writes a session; one with the same mark is replaced. Those of no share that are long over are forgotten.
pub(crate) fn save(connection: &Connection, session: &WordpressSession) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM wordpress_sessions WHERE share IS NULL AND ending = 0 AND expires_at_ms < ?1",
            [ms(session.opened_at)],
        )
        .map_err(StoreError::at("forget old WordPress sessions"))?;
    connection
        .execute(
            "INSERT OR REPLACE INTO wordpress_sessions
             (mark, instance, site, share, actor, wp_user_id, wp_login, opened_at_ms, expires_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                session.mark,
                session.instance.as_str(),
                json(&session.site)?,
                session.share.map(|id| id.to_string()),
                actor_text(&session.actor),
                session.user.id,
                session.user.login,
                ms(session.opened_at),
                ms(session.expires_at),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a WordPress session"))
}

/// All sessions.
pub(crate) fn load(connection: &Connection) -> Result<Vec<KeptSession>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare(
            "SELECT mark, instance, site, share, actor, wp_user_id, wp_login, opened_at_ms, expires_at_ms, ending,
                    look_at_ms, look
             FROM wordpress_sessions",
        )
        .map_err(failed("read the WordPress sessions"))?;
    let mut found = statement.query([]).map_err(failed("read the WordPress sessions"))?;
    let mut sessions = Vec::new();
    while let Some(row) = found.next().map_err(failed("read the WordPress sessions"))? {
        type Columns =
            (String, String, String, Option<String>, String, u64, String, i64, i64, bool, Option<i64>, Option<String>);
        let columns: Columns = row.try_into().map_err(failed("read the WordPress sessions"))?;
        let (mark, instance, site, share, actor, id, login, opened_at, expires_at, must_end, look_at, seen) = columns;
        let session = WordpressSession {
            mark,
            instance: parsed("instance id", &instance)?,
            site: from_json("site", &site)?,
            share: share.map(|id| parsed("share id", &id)).transpose()?,
            actor: actor_from(&actor)?,
            user: WpUser { id, login },
            opened_at: moment(opened_at),
            expires_at: moment(expires_at),
        };
        let look = match (look_at, seen) {
            (Some(at), Some(seen)) => Some(Look { at: moment(at), seen: from_json("look at a site", &seen)? }),
            _ => None,
        };
        sessions.push(KeptSession { session, must_end, look });
    }
    Ok(sessions)
}

/// Notes that a session must end; it stays until that is confirmed.
pub(crate) fn mark_ending(connection: &Connection, mark: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE wordpress_sessions SET ending = 1, look_at_ms = NULL, look = NULL WHERE mark = ?1", [mark])
        .map(drop)
        .map_err(StoreError::at("note that a WordPress session must end"))
}

/// Notes that a session has ended, and when its site is looked at again. One with the same mark that is open as a trace
/// stays open.
pub(crate) fn watch(connection: &Connection, mark: &str, look: &Look) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE wordpress_sessions SET look_at_ms = ?2, look = ?3 WHERE mark = ?1",
            params![mark, ms(look.at), json(&look.seen)?],
        )
        .map(drop)
        .map_err(StoreError::at("note when a site is looked at again"))
}

/// Notes the next look, unless the session must end again meanwhile.
pub(crate) fn watch_on(connection: &Connection, mark: &str, look: &Look) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE wordpress_sessions SET look_at_ms = ?2, look = ?3 WHERE mark = ?1 AND look_at_ms IS NOT NULL",
            params![mark, ms(look.at), json(&look.seen)?],
        )
        .map(drop)
        .map_err(StoreError::at("note when a site is looked at again"))
}

/// Notes that no more looks are needed: the session is forgotten, unless it is open as a trace or must end again.
pub(crate) fn stop_watching(connection: &Connection, mark: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM wordpress_sessions WHERE mark = ?1 AND ending = 1 AND look_at_ms IS NOT NULL", [mark])
        .and_then(|_| {
            let keep = "UPDATE wordpress_sessions SET look_at_ms = NULL, look = NULL WHERE mark = ?1 AND ending = 0";
            connection.execute(keep, [mark])
        })
        .map(drop)
        .map_err(StoreError::at("note that a site was looked at"))
}

/// Forgets a trace that another session stands for from now on; a look at its site stays.
pub(crate) fn supersede(connection: &Connection, mark: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM wordpress_sessions WHERE mark = ?1 AND look_at_ms IS NULL", [mark])
        .and_then(|_| connection.execute("UPDATE wordpress_sessions SET ending = 1 WHERE mark = ?1", [mark]))
        .map(drop)
        .map_err(StoreError::at("forget the trace of a WordPress session"))
}

/// Removes a session.
pub(crate) fn delete(connection: &Connection, mark: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM wordpress_sessions WHERE mark = ?1", [mark])
        .map(drop)
        .map_err(StoreError::at("remove a WordPress session"))
}

/// Notes what a WordPress user had when a share first became it; the first note stays.
pub(crate) fn save_baseline(connection: &Connection, share: ShareId, of: &BaselineOf) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT OR IGNORE INTO sso_baselines (share, wp_user_id, wp_login, since_ms, facts) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![share.to_string(), of.user.id, of.user.login, ms(of.since), json(&of.facts)?],
        )
        .map(drop)
        .map_err(StoreError::at("write a baseline"))
}

/// The WordPress users that a share became, with what they had before.
pub(crate) fn baselines(connection: &Connection, share: ShareId) -> Result<Vec<BaselineOf>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare("SELECT wp_user_id, wp_login, since_ms, facts FROM sso_baselines WHERE share = ?1")
        .map_err(failed("read the baselines"))?;
    let mut found = statement.query([share.to_string()]).map_err(failed("read the baselines"))?;
    let mut list = Vec::new();
    while let Some(row) = found.next().map_err(failed("read the baselines"))? {
        let columns: (u64, String, i64, String) = row.try_into().map_err(failed("read the baselines"))?;
        let (id, login, since, facts) = columns;
        list.push(BaselineOf {
            user: WpUser { id, login },
            since: moment(since),
            facts: from_json("baseline", &facts)?,
        });
    }
    Ok(list)
}

/// Removes the baseline of a user whose sessions were all ended: the next redemption begins a new one.
pub(crate) fn delete_baseline(connection: &Connection, share: ShareId, wp_user_id: u64) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM sso_baselines WHERE share = ?1 AND wp_user_id = ?2",
            params![share.to_string(), wp_user_id],
        )
        .map(drop)
        .map_err(StoreError::at("remove a baseline"))
}
