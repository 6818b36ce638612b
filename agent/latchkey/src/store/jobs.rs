//! Jobs: how far each is, what it said, what came of it.

use jiff::Timestamp;
use latchkey_access::{Actor, HostingId, InstanceId, ShareId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, from_json, json, moment, ms, parsed};

/// Of a job's lines the last ones are kept.
const LINES_MAX: i64 = 500;
/// A job that has ended is kept for so long …
const KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// … and so many of them.
const KEPT_MAX: i64 = 2_000;
/// So much of what the jobs of one hosting wrote and said is kept.
const KEPT_BYTES_MAX: i64 = 64 << 20;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// It has not begun.
    Queued,
    /// It is under way.
    Running,
    /// It is done; `output` says what came of it.
    Succeeded,
    /// It is not done; `error` says why, and what was undone.
    Failed,
    /// Somebody ended it, or the access that it rested on has ended.
    Cancelled,
}

impl JobState {
    /// Whether it stays like this.
    pub(crate) const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Something that a job has begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Step {
    /// What it is about, in a few words.
    pub(crate) name: String,
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) began_at: Timestamp,
}

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) operation: String,
    pub(crate) hosting: HostingId,
    pub(crate) instance: InstanceId,
    pub(crate) actor: Actor,
    pub(crate) share: Option<ShareId>,
    pub(crate) state: JobState,
    pub(crate) percent: u8,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: Option<Value>,
    /// Whether that, and what it said, made room for newer ones.
    pub(crate) output_dropped: bool,
    pub(crate) error: Option<Value>,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

/// Writes a new job, and forgets old ones that have ended.
pub(crate) fn save(connection: &Connection, job: &Job) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM jobs WHERE ended_at_ms IS NOT NULL AND (ended_at_ms < ?1 OR id NOT IN
             (SELECT id FROM jobs ORDER BY created_at_ms DESC LIMIT ?2))",
            params![ms(job.created_at) - KEPT_MS, KEPT_MAX],
        )
        .map_err(StoreError::at("forget old jobs"))?;
    connection
        .execute(
            "INSERT INTO jobs (id, operation, hosting, instance, actor, share, state, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                job.id,
                job.operation,
                job.hosting.as_str(),
                job.instance.as_str(),
                actor_text(&job.actor),
                job.share.map(|id| id.to_string()),
                word(job.state)?,
                ms(job.created_at),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a job"))
}

/// Notes how far a job is.
pub(crate) fn progress(connection: &Connection, id: &str, percent: u8, steps: &[Step]) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE jobs SET state = ?2, percent = ?3, steps = ?4 WHERE id = ?1 AND ended_at_ms IS NULL",
            params![id, word(JobState::Running)?, percent, json(&steps)?],
        )
        .map(drop)
        .map_err(StoreError::at("write how far a job is"))
}

/// Adds a line to what a job says; the first ones go when there are too many.
pub(crate) fn say(connection: &Connection, id: &str, line: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO job_lines (job, number, line)
             SELECT ?1, COALESCE(MAX(number), 0) + 1, ?2 FROM job_lines WHERE job = ?1",
            [id, line],
        )
        .map_err(StoreError::at("write a line of a job"))?;
    connection
        .execute(
            "DELETE FROM job_lines WHERE job = ?1 AND number <= (SELECT MAX(number) FROM job_lines WHERE job = ?1) - ?2",
            params![id, LINES_MAX],
        )
        .map(drop)
        .map_err(StoreError::at("forget a line of a job"))
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) state: JobState,
    pub(crate) output: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) at: Timestamp,
}

/// Notes that a job has ended. The first end counts. What older ones of its hosting wrote and said makes room.
pub(crate) fn end(connection: &Connection, id: &str, end: &End) -> Result<(), StoreError> {
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    connection
        .execute(
            "UPDATE jobs SET state = ?2, output = ?3, error = ?4, ended_at_ms = ?5,
             percent = CASE ?2 WHEN 'succeeded' THEN 100 ELSE percent END,
             kept_bytes = LENGTH(CAST(COALESCE(?3, '') AS BLOB)) + COALESCE(
                 (SELECT SUM(LENGTH(CAST(line AS BLOB))) FROM job_lines WHERE job = ?1), 0)
             WHERE id = ?1 AND ended_at_ms IS NULL",
            params![id, word(end.state)?, text(&end.output), text(&end.error), ms(end.at)],
        )
        .map_err(StoreError::at("write the end of a job"))?;
    make_room(connection, id)
}

/// Drops what the oldest jobs of this one's hosting wrote and said, until the rest is not too much.
fn make_room(connection: &Connection, id: &str) -> Result<(), StoreError> {
    let failed = || StoreError::at("drop the output of old jobs");
    let mut statement = connection
        .prepare_cached(
            "UPDATE jobs SET output = NULL, kept_bytes = 0, output_dropped = 1 WHERE id IN
             (SELECT id FROM (SELECT id, SUM(kept_bytes) OVER (ORDER BY ended_at_ms DESC, created_at_ms DESC, id) AS so_far
              FROM jobs WHERE hosting = (SELECT hosting FROM jobs WHERE id = ?1) AND kept_bytes > 0)
              WHERE so_far > ?2)
             RETURNING id",
        )
        .map_err(failed())?;
    let dropped = statement.query_map(params![id, KEPT_BYTES_MAX], |row| row.get(0));
    let dropped: Vec<String> = dropped.and_then(Iterator::collect).map_err(failed())?;
    for id in dropped {
        connection.execute("DELETE FROM job_lines WHERE job = ?1", [id]).map_err(failed())?;
    }
    Ok(())
}

/// The job with this id.
pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<Job>, StoreError> {
    let found = connection
        .query_row(&format!("{COLUMNS} WHERE id = ?1"), [id], Columns::of)
        .optional()
        .map_err(StoreError::at("read a job"))?;
    found.map(Columns::parsed).transpose()
}

/// The jobs that have not ended.
pub(crate) fn open(connection: &Connection) -> Result<Vec<Job>, StoreError> {
    let failed = StoreError::at;
    let mut statement =
        connection.prepare(&format!("{COLUMNS} WHERE ended_at_ms IS NULL")).map_err(failed("read jobs"))?;
    let found = statement.query_map([], Columns::of).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    found.map_err(failed("read jobs"))?.into_iter().map(Columns::parsed).collect()
}

/// What a job said, as far as it is kept.
pub(crate) fn lines(connection: &Connection, id: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT line FROM job_lines WHERE job = ?1 ORDER BY number")
        .map_err(StoreError::at("read what a job said"))?;
    let lines = statement.query_map([id], |row| row.get(0)).and_then(Iterator::collect);
    lines.map_err(StoreError::at("read what a job said"))
}

const COLUMNS: &str = "SELECT id, operation, hosting, instance, actor, share, state, percent, steps, output, error,
                       created_at_ms, ended_at_ms, output_dropped FROM jobs";

/// A row as SQLite has it.
struct Columns {
    texts: [String; 6],
    steps: String,
    percent: u8,
    nullable: [Option<String>; 3],
    created_at_ms: i64,
    ended_at_ms: Option<i64>,
    output_dropped: bool,
}

impl Columns {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            texts: [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(6)?],
            percent: row.get(7)?,
            steps: row.get(8)?,
            nullable: [row.get(5)?, row.get(9)?, row.get(10)?],
            created_at_ms: row.get(11)?,
            ended_at_ms: row.get(12)?,
            output_dropped: row.get(13)?,
        })
    }

    fn parsed(self) -> Result<Job, StoreError> {
        let [id, operation, hosting, instance, actor, state] = self.texts;
        let [share, output, error] = self.nullable;
        let value = |what, text: Option<String>| text.map(|text| from_json(what, &text)).transpose();
        Ok(Job {
            id,
            operation,
            hosting: parsed("hosting id", &hosting)?,
            instance: parsed("instance id", &instance)?,
            actor: actor_from(&actor)?,
            share: share.map(|share| parsed("share id", &share)).transpose()?,
            state: from_json("state of a job", &format!("{state:?}"))?,
            percent: self.percent,
            steps: from_json("steps of a job", &self.steps)?,
            output: value("output of a job", output)?,
            output_dropped: self.output_dropped,
            error: value("error of a job", error)?,
            created_at: moment(self.created_at_ms),
            ended_at: self.ended_at_ms.map(moment),
        })
    }
}

fn word(state: JobState) -> Result<String, StoreError> {
    Ok(json(&state)?.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::store::Store;

    fn job(id: &str, created_at: Timestamp) -> Job {
        let share = Some(ShareId::from_number(7));
        Job { id: id.into(), share, state: JobState::Queued, ..sample::job(created_at) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + second).unwrap()
    }

    fn ended(state: JobState, second: i64) -> End {
        End { state, output: Some(Value::from(7)), error: None, at: at(second) }
    }

    #[test]
    fn a_job_is_kept_with_what_it_did_and_its_first_end_counts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let new = job("a", at(0));
        store.write(|rows| save(rows, &new)).unwrap();
        assert_eq!(find(&store.reader(), "a").unwrap(), Some(new.clone()));
        let steps = vec![Step { name: "run it".into(), began_at: at(1) }];
        store.write(|rows| progress(rows, "a", 30, &steps)).unwrap();
        let found = find(&store.reader(), "a").unwrap().unwrap();
        assert_eq!((found.state, found.percent, &found.steps), (JobState::Running, 30, &steps));
        assert_eq!(open(&store.reader()).unwrap().len(), 1);
        store.write(|rows| end(rows, "a", &ended(JobState::Succeeded, 2))).unwrap();
        store.write(|rows| end(rows, "a", &ended(JobState::Failed, 3))).unwrap();
        store.write(|rows| progress(rows, "a", 1, &[])).unwrap();
        let found = find(&store.reader(), "a").unwrap().unwrap();
        assert_eq!((found.state, found.percent, found.ended_at), (JobState::Succeeded, 100, Some(at(2))));
        assert_eq!(found.output, Some(Value::from(7)));
        assert!(open(&store.reader()).unwrap().is_empty());
        assert_eq!(find(&store.reader(), "b").unwrap(), None);
    }

    #[test]
    fn of_what_a_job_says_the_last_lines_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let said = store.write(|rows| {
            save(rows, &job("a", at(0)))?;
            (1..=LINES_MAX + 3).try_for_each(|number| say(rows, "a", &number.to_string()))
        });
        said.unwrap();
        let lines = lines(&store.reader(), "a").unwrap();
        assert_eq!((lines.len() as i64, lines[0].as_str()), (LINES_MAX, "4"));
    }

    #[test]
    fn what_the_oldest_jobs_of_a_hosting_wrote_makes_room_and_they_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let ids = ["a", "b", "c", "d", "e"];
        let other = Job { id: "other".into(), hosting: "other".parse().unwrap(), ..job("other", at(0)) };
        // Of four quarters with quotes around them, and a line, three have room.
        let quarter = Value::from("x".repeat(KEPT_BYTES_MAX as usize / 4));
        let end_of = |second| End { output: Some(quarter.clone()), ..ended(JobState::Succeeded, second) };
        let keeps = |id: &str, second| {
            let job = if id == "other" { other.clone() } else { job(id, at(second)) };
            let kept = store.write(|rows| {
                save(rows, &job)?;
                say(rows, id, "said")?;
                end(rows, id, &end_of(second))
            });
            kept.unwrap();
        };
        keeps("other", 0);
        (1..).zip(ids).for_each(|(second, id)| keeps(id, second));
        let kept = |id: &str| {
            let found = find(&store.reader(), id).unwrap().unwrap();
            assert_eq!((found.state, found.output.is_none()), (JobState::Succeeded, found.output_dropped), "{id}");
            assert_eq!(lines(&store.reader(), id).unwrap().is_empty(), found.output_dropped, "{id}");
            !found.output_dropped
        };
        assert_eq!(ids.map(kept), [false, false, true, true, true]);
        assert!(kept("other"), "each hosting has room of its own");
    }

    #[test]
    fn jobs_that_ended_long_ago_are_forgotten_with_what_they_said() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let written = store.write(|rows| {
            for id in ["old", "open"] {
                save(rows, &job(id, at(0)))?;
                say(rows, id, "said")?;
            }
            end(rows, "old", &ended(JobState::Succeeded, 1))?;
            save(rows, &job("new", at(KEPT_MS / 1000 + 2)))
        });
        written.unwrap();
        assert_eq!(find(&store.reader(), "old").unwrap(), None);
        assert!(lines(&store.reader(), "old").unwrap().is_empty());
        assert!(find(&store.reader(), "open").unwrap().is_some());
    }
}
