//! Jobs: operations that outlive their request. Begun with a permit, run in a task of their own, ended by their own end, by
//! their time, by somebody, or with the share that they rest on.
//!
//! A job is a channel of the kind `job`, so that whoever ends a share kills it; it is over when that channel is forgotten.

#[cfg(test)]
mod tests;
mod underway;
mod view;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use latchkey_access::{Denial, Permit, Runs};
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use underway::Underway;
pub(crate) use view::{JobView, find_for, view};

use crate::caller::{Caller, Note};
use crate::channels::{self, WorkKind};
use crate::operations::{self, Context, Run};
use crate::problem::{Code, Problem, chain};
use crate::request;
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::jobs::{self, End, Job, JobState};
use crate::store::kept_files;

/// So many jobs of one hosting are under way at a time.
const AT_A_TIME: usize = 4;
/// A job that has to stop undoes what it began, for at most so long.
const GRACE: Duration = Duration::from_secs(10);

/// Wakes whoever follows a job, after each thing that a job does.
#[derive(Debug)]
pub(crate) struct Jobs(watch::Sender<u64>);

impl Default for Jobs {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Jobs {
    /// Wakes the receiver whenever something changed about a job.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn changed(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// Begins a job and answers with its id. The input is one that the operation has looked at.
pub(crate) async fn start<O: Run>(context: &Context, permit: Permit<O>, input: O::Input) -> Result<String, Problem> {
    let Runs::Job { deadline } = O::SPEC.runs else {
        return Err(Problem::new(Code::Unsupported, format!("{} is not run as a job", O::SPEC.name)));
    };
    start_for(context, permit, input, deadline).await
}

/// The same for at most so long.
async fn start_for<O: Run>(
    context: &Context,
    permit: Permit<O>,
    input: O::Input,
    deadline: Duration,
) -> Result<String, Problem> {
    let serve = context.serve.clone();
    let work = channels::open_work(&serve, &permit, WorkKind::Job, &context.caller)?;
    let instance = serve.state.table().instance(permit.instance()).cloned();
    let job = Job {
        id: work.id().to_owned(),
        operation: O::SPEC.name.to_owned(),
        hosting: instance.ok_or_else(|| Denial::not_found("instance"))?.hosting.clone(),
        instance: permit.instance().clone(),
        actor: permit.actor().clone(),
        share: permit.share(),
        state: JobState::Queued,
        percent: 0,
        steps: Vec::new(),
        output: None,
        output_dropped: false,
        error: None,
        created_at: serve.state.clock.now(),
        ended_at: None,
    };
    let (row, hosting) = (job.clone(), job.hosting.clone());
    let is_begun = serve.write(move |connection| {
        let has_room = jobs::open(connection)?.iter().filter(|open| open.hosting == hosting).count() < AT_A_TIME;
        if has_room { jobs::save(connection, &row).map(|()| true) } else { Ok(false) }
    });
    if !is_begun.await? {
        let detail = format!("{AT_A_TIME} jobs of this hosting are under way: wait for one of them, or cancel it");
        return Err(Problem::new(Code::Busy, detail).retry_after(5));
    }
    let id = job.id.clone();
    let underway = Arc::new(Underway::of::<O>(serve.clone(), job, work));
    let context = Context { serve, caller: context.caller.clone(), job: Some(underway) };
    request::spawn(run_to_end::<O>(context, permit, input, deadline));
    Ok(id)
}

async fn run_to_end<O: Run>(context: Context, permit: Permit<O>, input: O::Input, deadline: Duration) {
    let Some(underway) = context.job.clone() else { return };
    let note = Note { share: permit.share().map(|id| id.to_string()), ..Note::of(O::SPEC.name) };
    let note = note.on(permit.instance()).rule(permit.rule());
    let about = O::about(&input);
    let came = {
        let mut run = pin!(O::run(&context, permit, input));
        let patience = async {
            underway.told_to_stop().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            came = &mut run => came.and_then(|output| serde_json::to_value(output).map_err(|error| Problem::internal(&error))),
            () = patience => Err(Problem::new(Code::TimedOut, "the job did not stop in time and was cut off")),
            () = tokio::time::sleep(deadline) => {
                Err(Problem::new(Code::TimedOut, format!("the job was not done within {} s", deadline.as_secs())))
            }
        }
    };
    let (serve, caller) = (context.serve.clone(), context.caller.clone());
    let (outcome, detail) = match &came {
        Ok(_) => (Outcome::Allowed, about),
        Err(problem) => (
            Outcome::Failed,
            Some(about.map_or_else(|| problem.detail.clone(), |about| format!("{about}: {}", problem.detail))),
        ),
    };
    finish(&underway, came).await;
    serve.record(caller, Note { detail, ..note }, outcome).await;
    // Now it is over for those who wait for its end.
    drop((context, underway));
}

/// Writes down what came of a job.
async fn finish(underway: &Underway, came: Result<Value, Problem>) {
    let at = underway.serve().state.clock.now();
    let end = match came {
        Ok(output) => End { state: JobState::Succeeded, output: Some(output), error: None, at },
        Err(problem) if underway.must_stop() => {
            let cause =
                underway.judge().err().unwrap_or_else(|| Problem::new(Code::Unavailable, "the job was cancelled"));
            let detail = format!("{}: {}", cause.detail, problem.detail);
            End { state: JobState::Cancelled, output: None, error: Some(fault(&Problem { detail, ..cause })), at }
        }
        Err(problem) => End { state: JobState::Failed, output: None, error: Some(fault(&problem)), at },
    };
    let id = underway.id().to_owned();
    let written = underway.serve().write(move |connection| jobs::end(connection, &id, &end)).await;
    if let Err(error) = written {
        tracing::error!(error = %chain(&error), "the end of a job could not be written down");
    }
    underway.serve().jobs.changed();
}

fn fault(problem: &Problem) -> Value {
    json!({ "code": problem.code, "detail": problem.detail })
}

/// Says of the jobs that a stop of the agent cut off that they failed, and what became of what they had begun.
pub(crate) async fn fail_cut_off(serve: &Arc<Serve>) {
    let now = serve.state.clock.now();
    let failed = serve.write(move |connection| {
        let open = jobs::open(connection)?;
        for job in &open {
            let left = match job.state {
                JobState::Queued => "nothing was done",
                _ => operations::cut_off(&job.operation),
            };
            let problem =
                Problem::new(Code::Unavailable, format!("the agent was stopped while the job was under way: {left}"));
            let end = End { state: JobState::Failed, output: None, error: Some(fault(&problem)), at: now };
            jobs::end(connection, &job.id, &end)?;
            // What it had half made is in the home.
            kept_files::look_at(connection, &job.hosting, now)?;
        }
        Ok(open)
    });
    match failed.await {
        Ok(jobs) => {
            for job in jobs {
                let note = Note::of(job.operation)
                    .on(&job.instance)
                    .detail("the agent was stopped while the job was under way");
                serve.record(Caller::agent(), note, Outcome::Failed).await;
            }
        }
        Err(error) => tracing::error!(error = %chain(&error), "jobs that were cut off could not be written down"),
    }
}

/// Ends a job that is under way, and waits for its end a little. One that has ended stays as it is.
pub(crate) async fn cancel(serve: &Arc<Serve>, id: &str) {
    if let Some(taken) = serve.state.channels.take(id) {
        channels::close(serve, taken).await;
    }
}
