//! Cron entries that were made here: what each says, on what it rests, and what a change under way wants of it.

use jiff::Timestamp;
use latchkey_access::{Actor, HostingId, ShareId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::{Deserialize, Serialize};

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, from_json, json, moment, ms, parsed};

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Says {
    pub(crate) schedule: String,
    pub(crate) command: String,
    /// Whether it is in the crontab.
    pub(crate) enabled: bool,
}

/// What a change under way wants of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// That it is made.
    Made(Says),
    /// That it says this from now on, and rests on that share.
    Changed(Says, Option<ShareId>),
    /// That it is gone.
    Gone,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CronEntry {
    /// Also in the comment above its line.
    pub(crate) id: String,
    pub(crate) hosting: HostingId,
    pub(crate) creator: Actor,
    /// The share that it rests on.
    pub(crate) share: Option<ShareId>,
    pub(crate) says: Says,
    pub(crate) wanted: Option<Wanted>,
    /// Whether its share has ended, and it is not known to be out of the crontab.
    pub(crate) leaving: bool,
    pub(crate) created_at: Timestamp,
}

/// Writes an entry as it is now. One that runs has been taken in hand, whichever share it had left with.
pub(crate) fn save(connection: &Connection, entry: &CronEntry) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO cron_entries
             (id, hosting, creator, share, schedule, command, enabled, wanted, leaving, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET share = ?4, schedule = ?5, command = ?6, enabled = ?7, wanted = ?8,
             leaving = ?9, left_with = CASE WHEN ?7 THEN NULL ELSE left_with END",
            params![
                entry.id,
                entry.hosting.as_str(),
                actor_text(&entry.creator),
                entry.share.map(|id| id.to_string()),
                entry.says.schedule,
                entry.says.command,
                entry.says.enabled,
                entry.wanted.as_ref().map(json).transpose()?,
                entry.leaving,
                ms(entry.created_at),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a cron entry"))
}

/// Forgets an entry.
pub(crate) fn delete(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM cron_entries WHERE id = ?1", [id])
        .map(drop)
        .map_err(StoreError::at("forget a cron entry"))
}

/// Notes that an entry's share has ended: it is disabled from now on, wherever its line is.
pub(crate) fn mark_leaving(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("UPDATE cron_entries SET enabled = 0, leaving = 1 WHERE id = ?1", [id])
        .map(drop)
        .map_err(StoreError::at("disable a cron entry"))
}

/// Notes that an entry has left the crontab with a share.
pub(crate) fn mark_left(connection: &Connection, id: &str, share: ShareId) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE cron_entries SET enabled = 0, leaving = 0, wanted = NULL, share = ?2, left_with = ?2 WHERE id = ?1",
            [id, &share.to_string()],
        )
        .map(drop)
        .map_err(StoreError::at("note that a cron entry has left"))
}

/// The entry with this id.
pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<CronEntry>, StoreError> {
    let found = connection.query_row(&format!("{COLUMNS} WHERE id = ?1"), [id], Columns::of).optional();
    found.map_err(StoreError::at("read a cron entry"))?.map(Columns::parsed).transpose()
}

/// The entries of a hosting, oldest first.
pub(crate) fn of_hosting(connection: &Connection, hosting: &str) -> Result<Vec<CronEntry>, StoreError> {
    several(connection, "WHERE hosting = ?1 ORDER BY created_at_ms, id", [hosting])
}

/// All entries that rest on shares.
pub(crate) fn on_shares(connection: &Connection) -> Result<Vec<CronEntry>, StoreError> {
    several(connection, "WHERE share IS NOT NULL OR wanted IS NOT NULL", [])
}

/// The entries that left the crontab with a share and that nobody has let run or made their own since.
pub(crate) fn left_with(connection: &Connection, share: ShareId) -> Result<Vec<CronEntry>, StoreError> {
    several(
        connection,
        "WHERE left_with = ?1 AND share = ?1 AND enabled = 0 ORDER BY created_at_ms, id",
        [share.to_string()],
    )
}

/// The hostings with entries of which a change is not known to be made.
pub(crate) fn unsettled(connection: &Connection) -> Result<Vec<HostingId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT hosting FROM cron_entries WHERE wanted IS NOT NULL")
        .map_err(StoreError::at("read cron entries"))?;
    let found = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect::<Result<Vec<String>, _>>);
    found.map_err(StoreError::at("read cron entries"))?.iter().map(|id| parsed("hosting id", id)).collect()
}

/// Forgets the entries of a hosting.
pub(crate) fn forget_hosting(connection: &Connection, hosting: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM cron_entries WHERE hosting = ?1", [hosting])
        .map(drop)
        .map_err(StoreError::at("forget the cron entries of a hosting"))
}

const COLUMNS: &str = "SELECT id, hosting, creator, share, schedule, command, enabled, wanted, leaving, created_at_ms
                       FROM cron_entries";

fn several(connection: &Connection, which: &str, of: impl Params) -> Result<Vec<CronEntry>, StoreError> {
    let failed = StoreError::at;
    let mut statement =
        connection.prepare_cached(&format!("{COLUMNS} {which}")).map_err(failed("read cron entries"))?;
    let found = statement.query_map(of, Columns::of).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    found.map_err(failed("read cron entries"))?.into_iter().map(Columns::parsed).collect()
}

/// A row as SQLite has it.
struct Columns {
    names: [String; 3],
    nullable: [Option<String>; 2],
    says: Says,
    leaving: bool,
    created_at_ms: i64,
}

impl Columns {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            names: [row.get(0)?, row.get(1)?, row.get(2)?],
            nullable: [row.get(3)?, row.get(7)?],
            says: Says { schedule: row.get(4)?, command: row.get(5)?, enabled: row.get(6)? },
            leaving: row.get(8)?,
            created_at_ms: row.get(9)?,
        })
    }

    fn parsed(self) -> Result<CronEntry, StoreError> {
        let ([id, hosting, creator], [share, wanted]) = (self.names, self.nullable);
        Ok(CronEntry {
            id,
            hosting: parsed("hosting id", &hosting)?,
            creator: actor_from(&creator)?,
            share: share.map(|share| parsed("share id", &share)).transpose()?,
            says: self.says,
            wanted: wanted.map(|wanted| from_json("change of a cron entry", &wanted)).transpose()?,
            leaving: self.leaving,
            created_at: moment(self.created_at_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn an_entry_is_kept_as_it_is_until_its_share_ends_and_then_disabled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let says = Says { schedule: "5 4 * * *".into(), command: "date +%F".into(), enabled: true };
        let share = Some(ShareId::from_number(7));
        let entry = CronEntry {
            id: "a1".into(),
            hosting: "demo".parse().unwrap(),
            creator: Actor::Panel,
            share,
            says: says.clone(),
            wanted: Some(Wanted::Changed(Says { enabled: false, ..says.clone() }, share)),
            leaving: false,
            created_at: Timestamp::from_second(1_000_000_000).unwrap(),
        };
        let other = CronEntry { id: "b1".into(), share: None, wanted: None, ..entry.clone() };
        store.write(|rows| save(rows, &entry).and_then(|()| save(rows, &other))).unwrap();
        assert_eq!(find(&store.reader(), "a1").unwrap(), Some(entry.clone()));
        assert_eq!(of_hosting(&store.reader(), "demo").unwrap(), [entry.clone(), other]);
        assert_eq!(on_shares(&store.reader()).unwrap(), std::slice::from_ref(&entry));
        assert_eq!(unsettled(&store.reader()).unwrap(), std::slice::from_ref(&entry.hosting));
        store.write(|rows| mark_leaving(rows, "a1")).unwrap();
        let leaving = find(&store.reader(), "a1").unwrap().unwrap();
        assert!(leaving.leaving && !leaving.says.enabled);
        store.write(|rows| mark_left(rows, "a1", ShareId::from_number(7))).unwrap();
        let left = find(&store.reader(), "a1").unwrap().unwrap();
        assert_eq!((left.leaving, left.says.enabled, &left.wanted, left.share), (false, false, &None, share));
        let with_it = || left_with(&store.reader(), ShareId::from_number(7)).unwrap().len();
        assert_eq!(with_it(), 1);
        // A change of it that comes to nothing; one that lets it run; one that makes it somebody else's.
        for (now, still) in [
            (CronEntry { wanted: entry.wanted.clone(), ..left.clone() }, 1),
            (CronEntry { says: says.clone(), ..left.clone() }, 0),
            (left.clone(), 0),
        ] {
            store.write(|rows| save(rows, &now)).unwrap();
            assert_eq!(with_it(), still, "{now:?}");
        }
        store.write(|rows| mark_left(rows, "a1", ShareId::from_number(7))).unwrap();
        store.write(|rows| save(rows, &CronEntry { share: None, ..left.clone() })).unwrap();
        assert_eq!(with_it(), 0);
        store.write(|rows| delete(rows, "a1")).unwrap();
        assert_eq!(find(&store.reader(), "a1").unwrap(), None);
        store.write(|rows| forget_hosting(rows, "demo")).unwrap();
        assert!(of_hosting(&store.reader(), "demo").unwrap().is_empty());
    }
}
