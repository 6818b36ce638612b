//! A job as replies show it, and to whom.

use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::{Actor, explain, operation};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::problem::{Code, Problem};
use crate::serve::Serve;
use crate::store::jobs::{self, Job, JobState, Step};

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct JobView {
    /// Its name, also in `/v1/sessions` while it is under way.
    id: String,
    /// `noun.verb`.
    operation: String,
    /// Where.
    instance: String,
    /// The address of whoever began it; none for the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// The share it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// How far it is.
    state: JobState,
    /// The same in percent.
    #[schemars(range(max = 100))]
    percent: u8,
    /// What was begun, in order.
    steps: Vec<Step>,
    /// What it said; the last 500 lines.
    log: Vec<String>,
    /// What came of it: the operation's output.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// Whether `output` and `log` made room for those of newer jobs of the hosting.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    output_dropped: bool,
    /// Why it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<JobFault>")]
    error: Option<Value>,
    /// When it was asked for.
    #[schemars(with = "String")]
    created_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
}

/// Why a job did not end well.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the shape of what is kept as JSON")]
struct JobFault {
    /// The kind of failure, as in problems.
    code: Code,
    /// A sentence, with what was undone.
    detail: String,
}

impl JobView {
    /// Whether it stays as it is.
    pub(crate) const fn is_final(&self) -> bool {
        self.state.is_final()
    }
}

/// The job with this id, if the actor may see it: one of their own whose operation they still may run; the panel any.
pub(crate) async fn find_for(serve: &Arc<Serve>, actor: &Actor, id: &str) -> Result<Job, Problem> {
    let wanted = id.to_owned();
    let found = serve.read(move |connection| jobs::find(connection, &wanted)).await?;
    found.filter(|job| is_shown(serve, actor, job)).ok_or_else(|| Problem::not_found("job"))
}

fn is_shown(serve: &Serve, actor: &Actor, job: &Job) -> bool {
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let may = |spec| explain(&table, actor, &job.instance, spec, now).denial.is_none();
    *actor == Actor::Panel || (*actor == job.actor && operation(&job.operation).is_some_and(may))
}

/// Shows a job.
pub(crate) async fn view(serve: &Arc<Serve>, job: Job) -> Result<JobView, Problem> {
    let id = job.id.clone();
    let log = serve.read(move |connection| jobs::lines(connection, &id)).await?;
    let table = serve.state.table();
    let person = job.actor.person().and_then(|id| table.person(id)).map(|person| person.email.to_string());
    Ok(JobView {
        id: job.id,
        operation: job.operation,
        instance: job.instance.to_string(),
        person,
        share: job.share.map(|id| id.to_string()),
        state: job.state,
        percent: job.percent,
        steps: job.steps,
        log,
        output: job.output,
        output_dropped: job.output_dropped,
        error: job.error,
        created_at: job.created_at,
        ended_at: job.ended_at,
    })
}
