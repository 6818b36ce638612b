//! `cron.*`: the hosting's crontab, through the adapter that serves it.

use std::time::Duration;

use latchkey_access::Permit;
use latchkey_access::rows::{CronCreate, CronDelete, CronList, CronRun, CronUpdate};
use latchkey_protocol::{CRON_RUN_DEADLINE_MAX_MS, CommandEnd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Nothing, Run};
use crate::body::given;
use crate::broker;
use crate::cron::{self, EntryView, NewEntry, Patch};
use crate::problem::Problem;

/// Cron entries.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CronItems {
    /// The crontab's in its order, then those that are not in it.
    items: Vec<EntryView>,
}

/// A cron entry to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCronEntry {
    /// Five fields as in `crontab(5)`, one space between them.
    schedule: String,
    /// One line for `/bin/sh`; at most 998 bytes, each `%` counted twice.
    command: String,
    /// Whether it runs.
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change of a cron entry; what is not given stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CronEntryPatch {
    /// Which entry.
    id: String,
    /// Another schedule.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String")]
    schedule: Option<String>,
    /// Another command.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String")]
    command: Option<String>,
    /// Whether it runs.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "bool")]
    enabled: Option<bool>,
}

/// Which cron entry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichCronEntry {
    /// Its id.
    id: String,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeletedCronEntry {}

/// What came of running an entry.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CronRan {
    /// How it ended.
    end: CronEnd,
    /// Its exit code, if it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    /// The number of the signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// What it wrote; at most 256 KiB.
    stdout: String,
    /// What it wrote to its standard error; at most 64 KiB.
    stderr: String,
}

/// How a command ended.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CronEnd {
    /// By itself.
    Exited,
    /// By a signal.
    Signalled,
    /// Its half hour was over.
    TimedOut,
    /// It wrote too much.
    TooMuch,
}

const fn yes() -> bool {
    true
}

impl Run for CronList {
    type Input = Nothing;
    type Output = CronItems;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<CronItems, Problem> {
        let Nothing {} = input;
        let hosting = context.hosting(&permit)?;
        Ok(CronItems { items: cron::list(&context.serve, &hosting.id).await? })
    }
}

impl Run for CronCreate {
    type Input = NewCronEntry;
    type Output = EntryView;
    const FAILURES: &[u16] = &[507];

    async fn run(context: &Context, permit: Permit<Self>, input: NewCronEntry) -> Result<EntryView, Problem> {
        let NewCronEntry { schedule, command, enabled } = input;
        cron::create(&context.serve, &permit, NewEntry { schedule, command, enabled }).await
    }
}

impl Run for CronUpdate {
    type Input = CronEntryPatch;
    type Output = EntryView;

    async fn run(context: &Context, permit: Permit<Self>, input: CronEntryPatch) -> Result<EntryView, Problem> {
        let CronEntryPatch { id, schedule, command, enabled } = input;
        cron::update(&context.serve, &permit, &id, Patch { schedule, command, enabled }).await
    }
}

impl Run for CronDelete {
    type Input = WhichCronEntry;
    type Output = DeletedCronEntry;

    async fn run(context: &Context, permit: Permit<Self>, input: WhichCronEntry) -> Result<DeletedCronEntry, Problem> {
        cron::delete(&context.serve, &permit, &input.id).await.map(|()| DeletedCronEntry {})
    }
}

impl Run for CronRun {
    type Input = WhichCronEntry;
    type Output = CronRan;
    const CUT_OFF: &'static str = "the command was ended with it, and what it had done by then stays";

    async fn check(context: &Context, permit: &Permit<Self>, input: &WhichCronEntry) -> Result<(), Problem> {
        cron::find(&context.serve, permit.instance(), &input.id).await.map(drop)
    }

    async fn run(context: &Context, permit: Permit<Self>, input: WhichCronEntry) -> Result<CronRan, Problem> {
        let entry = cron::find(&context.serve, permit.instance(), &input.id).await?;
        let job = context.job()?;
        job.step("run the command", 0).await?;
        job.say(&format!("as cron would run it: {}", entry.says.command)).await;
        let deadline = Duration::from_millis(CRON_RUN_DEADLINE_MAX_MS.into());
        let call = latchkey_protocol::CronRun {
            hosting: entry.hosting.to_string(),
            command: entry.says.command,
            deadline_ms: CRON_RUN_DEADLINE_MAX_MS,
        };
        let ended = broker::run_cron_entry(&context.serve, call, deadline, job.told_to_stop()).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (end, code, signal) = match ended.end {
            CommandEnd::Exited { code } => (CronEnd::Exited, Some(code), None),
            CommandEnd::Signalled { signal } => (CronEnd::Signalled, None, Some(signal)),
            CommandEnd::TimedOut => (CronEnd::TimedOut, None, None),
            CommandEnd::TooMuch => (CronEnd::TooMuch, None, None),
        };
        Ok(CronRan { end, code, signal, stdout: text(ended.stdout), stderr: text(ended.stderr) })
    }
}
