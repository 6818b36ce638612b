//! What shares left behind, what a hosting had when each was first used, and which are still to be looked at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_access::{InstanceId, ShareId};
use rusqlite::{Connection, OptionalExtension, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wordpress_sessions::Site;
use super::{StoreError, from_json, json, moment, ms, parsed};

/// Kinds of what a person can still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResidueKind {
    /// A WordPress user that the person was is gone or has another login.
    LoginChanged,
    /// The password of such a user was changed.
    PasswordChanged,
    /// Its email address was.
    EmailChanged,
    /// It has a new application password.
    ApplicationPassword,
    /// Somebody became an administrator.
    Administrator,
    /// A key was added with which SSH lets somebody in.
    AuthorizedKey,
    /// A line was added to the crontab of the system user.
    CrontabLine,
    /// A `.user.ini` or `php.ini` was made or changed.
    UserIni,
    /// An `.htaccess` was.
    Htaccess,
    /// A file of a must-use plugin was.
    MuPlugin,
    /// A file was that WordPress loads by its name.
    DropIn,
    /// A link was made.
    Link,
    /// A file account of the hosting was made with the share.
    FileAccount,
    /// The password of a database user was shown.
    DatabaseUser,
    /// A file was made or changed that the site runs.
    PhpFile,
    /// Something could not be looked at, so what is in it is not known.
    NotLookedAt,
    /// Files, keys and crontab are still being looked at; what is found stands on the share later.
    BeingLookedAt,
}

/// What a person can still use because they made or learnt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Residue {
    /// What sort of thing.
    pub(crate) kind: ResidueKind,
    /// A sentence.
    pub(crate) what: String,
    /// How to undo it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<String>,
}

/// What a hosting had when a share was first used on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Before {
    /// Hashes of the lines of files with SSH keys, by path relative to the home. Of one that could not be read: nothing.
    pub(crate) keys: BTreeMap<String, Option<Vec<String>>>,
    /// Hashes of the lines of the crontab, unless it could not be read.
    pub(crate) crontab: Option<Vec<String>>,
    /// Absolute paths of folders with the site's code and uploads, which may lie outside of the docroot.
    pub(crate) folders: Vec<String>,
}

/// The first use of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstUse {
    pub(crate) share: ShareId,
    pub(crate) instance: InstanceId,
    pub(crate) site: Site,
    pub(crate) at: Timestamp,
    pub(crate) before: Before,
}

/// Keeps the first use of a share; a later one changes nothing.
pub(crate) fn save_first_use(connection: &Connection, first: &FirstUse) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT OR IGNORE INTO first_uses (share, instance, site, at_ms, before) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                first.share.to_string(),
                first.instance.as_str(),
                json(&first.site)?,
                ms(first.at),
                json(&first.before)?,
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write the first use of a share"))
}

/// The first use of a share, if it was used.
pub(crate) fn first_use(connection: &Connection, share: ShareId) -> Result<Option<FirstUse>, StoreError> {
    type Columns = (String, String, i64, String);
    let found: Option<Columns> = connection
        .query_row(
            "SELECT instance, site, at_ms, before FROM first_uses WHERE share = ?1",
            [share.to_string()],
            |row| row.try_into(),
        )
        .optional()
        .map_err(StoreError::at("read the first use of a share"))?;
    let Some((instance, site, at, before)) = found else { return Ok(None) };
    Ok(Some(FirstUse {
        share,
        instance: parsed("instance id", &instance)?,
        site: from_json("site", &site)?,
        at: moment(at),
        before: from_json("first use", &before)?,
    }))
}

/// The shares that were used, and grant something as far as is written down.
pub(crate) fn used_shares(connection: &Connection) -> Result<Vec<ShareId>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare(
            "SELECT share FROM first_uses JOIN shares ON shares.id = first_uses.share WHERE shares.state = 'active'",
        )
        .map_err(failed("read which shares were used"))?;
    let found = statement.query_map([], |row| row.get(0)).map_err(failed("read which shares were used"))?;
    let found: Vec<String> = found.collect::<Result<_, _>>().map_err(failed("read which shares were used"))?;
    found.iter().map(|share| parsed("share id", share)).collect()
}

/// Keeps where a site has its code, of a share whose first use did not tell.
pub(crate) fn save_folders(connection: &Connection, share: ShareId, folders: &[String]) -> Result<(), StoreError> {
    let Some(first) = first_use(connection, share)?.filter(|first| first.before.folders.is_empty()) else {
        return Ok(());
    };
    let before = Before { folders: folders.to_vec(), ..first.before };
    connection
        .execute("UPDATE first_uses SET before = ?2 WHERE share = ?1", params![share.to_string(), json(&before)?])
        .map(drop)
        .map_err(StoreError::at("write where a site has its code"))
}

/// Whether a share was used.
pub(crate) fn is_used(connection: &Connection, share: ShareId) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM first_uses WHERE share = ?1")
        .and_then(|mut statement| statement.exists([share.to_string()]))
        .map_err(StoreError::at("read whether a share was used"))
}

/// Notes that what a share left is to be looked for; `false` if it was never used.
pub(crate) fn ask_for_scan(connection: &Connection, share: ShareId) -> Result<bool, StoreError> {
    connection
        .execute("UPDATE first_uses SET to_be_scanned = 1 WHERE share = ?1", [share.to_string()])
        .map(|changed| changed > 0)
        .map_err(StoreError::at("note that a share is to be looked at"))
}

/// The shares of which it is to be looked for now: for the first time, or once more because that is due by now. No look is
/// put off beyond `latest`, so one that seems to be was put off before the clock was set back, and is due as well.
pub(crate) fn to_be_scanned(
    connection: &Connection,
    now: Timestamp,
    latest: Timestamp,
) -> Result<Vec<ShareId>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare(
            "SELECT share FROM first_uses
             WHERE to_be_scanned = 1 OR scan_again_at_ms <= ?1 OR scan_again_at_ms > ?2",
        )
        .map_err(failed("read what is to be looked at"))?;
    let found =
        statement.query_map([ms(now), ms(latest)], |row| row.get(0)).map_err(failed("read what is to be looked at"))?;
    let found: Vec<String> = found.collect::<Result<_, _>>().map_err(failed("read what is to be looked at"))?;
    found.iter().map(|share| parsed("share id", share)).collect()
}

/// Keeps what a look at the hosting found, in place of what the one before found. After the first look since the share
/// ended another is due at `again_at`; after that one none is.
pub(crate) fn save_scan(
    connection: &Connection,
    share: ShareId,
    found: &[Residue],
    again_at: Timestamp,
) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM residue WHERE share = ?1 AND of_scan = 1", [share.to_string()])
        .map_err(StoreError::at("forget what a look found before"))?;
    found.iter().try_for_each(|one| insert(connection, share, one, 1))?;
    connection
        .execute(
            "UPDATE first_uses SET scan_again_at_ms = CASE to_be_scanned WHEN 1 THEN ?2 END, to_be_scanned = 0
             WHERE share = ?1",
            params![share.to_string(), ms(again_at)],
        )
        .map(drop)
        .map_err(StoreError::at("note that a share was looked at"))
}

/// Keeps what a share left behind in WordPress.
pub(crate) fn save(connection: &Connection, share: ShareId, residue: &Residue) -> Result<(), StoreError> {
    insert(connection, share, residue, 0)
}

/// Forgets something that a share left behind and that is gone.
pub(crate) fn remove(connection: &Connection, share: ShareId, residue: &Residue) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM residue WHERE share = ?1 AND kind = ?2 AND what = ?3",
            params![share.to_string(), json(&residue.kind)?.trim_matches('"'), residue.what],
        )
        .map(drop)
        .map_err(StoreError::at("forget what a share left behind"))
}

/// Forgets something that is gone, whichever shares left it behind.
pub(crate) fn remove_of_all(connection: &Connection, residue: &Residue) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM residue WHERE kind = ?1 AND what = ?2",
            params![json(&residue.kind)?.trim_matches('"'), residue.what],
        )
        .map(drop)
        .map_err(StoreError::at("forget what shares left behind"))
}

fn insert(connection: &Connection, share: ShareId, residue: &Residue, of_scan: u8) -> Result<(), StoreError> {
    let Residue { kind, what, undo } = residue;
    connection
        .execute(
            "INSERT OR REPLACE INTO residue (share, kind, what, undo, of_scan) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![share.to_string(), json(kind)?.trim_matches('"'), what, undo, of_scan],
        )
        .map(drop)
        .map_err(StoreError::at("write what a share left behind"))
}

/// What a share left behind, as far as it is known.
pub(crate) fn of(connection: &Connection, share: ShareId) -> Result<Vec<Residue>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached("SELECT kind, what, undo FROM residue WHERE share = ?1 ORDER BY of_scan, rowid")
        .map_err(failed("read what a share left behind"))?;
    let found = statement
        .query_map([share.to_string()], |row| row.try_into())
        .map_err(failed("read what a share left behind"))?;
    let found: Vec<(String, String, Option<String>)> =
        found.collect::<Result<_, _>>().map_err(failed("read what a share left behind"))?;
    let read = |(kind, what, undo): (String, _, _)| {
        Ok(Residue { kind: from_json("kind of residue", &format!("{kind:?}"))?, what, undo })
    };
    let mut residue: Vec<Residue> = found.into_iter().map(read).collect::<Result<_, StoreError>>()?;
    if is_to_be_scanned(connection, share)? {
        residue.push(Residue::being_looked_at());
    }
    Ok(residue)
}

fn is_to_be_scanned(connection: &Connection, share: ShareId) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM first_uses WHERE share = ?1 AND to_be_scanned = 1")
        .and_then(|mut statement| statement.exists([share.to_string()]))
        .map_err(StoreError::at("read whether a share is to be looked at"))
}

impl Residue {
    /// Says that it is not known yet what else there is.
    pub(crate) fn being_looked_at() -> Self {
        let what = "the files, SSH keys and crontab of the hosting are still being looked at";
        let undo = "look at the share again in a minute: what is found will stand there";
        Self { kind: ResidueKind::BeingLookedAt, what: what.into(), undo: Some(undo.into()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(NOW + second).unwrap()
    }

    /// Whether the share is to be looked at after so many seconds, where looks are put off by 35 at most.
    fn is_due(store: &Store, second: i64) -> bool {
        !to_be_scanned(&store.reader(), at(second), at(second + 35)).unwrap().is_empty()
    }

    fn used(store: &Store) -> ShareId {
        let share = ShareId::from_number(7);
        let site = Site { hosting: "h".into(), docroot: String::new(), url: "https://a.example".into() };
        let first = FirstUse { share, instance: "live".parse().unwrap(), site, at: at(0), before: Before::default() };
        save_first_use(&store.writer(), &first).unwrap();
        share
    }

    #[test]
    fn a_hosting_is_looked_at_twice_also_after_a_restart_and_with_a_clock_that_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let share = used(&store);
        assert!(!is_due(&store, 0));
        assert!(ask_for_scan(&store.writer(), share).unwrap());
        assert!(is_due(&store, 0));
        save_scan(&store.writer(), share, &[], at(35)).unwrap();
        assert!(of(&store.reader(), share).unwrap().is_empty(), "it is said to be looked at still");
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert!(!is_due(&store, 0) && !is_due(&store, 34));
        assert!(is_due(&store, 35));
        assert!(is_due(&store, -3600));
        save_scan(&store.writer(), share, &[], at(70)).unwrap();
        assert!(!is_due(&store, 35) && !is_due(&store, 3600) && !is_due(&store, -3600));
    }

    #[test]
    fn an_end_while_the_second_look_is_under_way_has_two_looks_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let share = used(&store);
        ask_for_scan(&store.writer(), share).unwrap();
        save_scan(&store.writer(), share, &[], at(35)).unwrap();
        ask_for_scan(&store.writer(), share).unwrap();
        assert_eq!(of(&store.reader(), share).unwrap(), [Residue::being_looked_at()]);
        save_scan(&store.writer(), share, &[], at(80)).unwrap();
        assert!(!is_due(&store, 50) && is_due(&store, 80));
    }

    #[test]
    fn a_share_that_was_never_used_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(!ask_for_scan(&store.writer(), ShareId::from_number(7)).unwrap());
        assert!(!is_due(&store, 0));
    }
}
