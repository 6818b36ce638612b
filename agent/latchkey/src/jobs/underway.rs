//! A job under way, as its operation sees it: it says how far it is, is judged again at each step, and is told to stop.

use std::sync::{Arc, Mutex, PoisonError};

use latchkey_access::Denial;

use crate::channels::{DecideWork, OpenWork, share_by};
use crate::operations::Run;
use crate::problem::{Code, Problem, chain};
use crate::serve::Serve;
use crate::store::jobs::{self, Job, Step};

/// The longest line that a job says; the rest is left out.
const LINE_MAX_BYTES: usize = 1_000;

/// A job under way.
pub(crate) struct Underway {
    serve: Arc<Serve>,
    job: Job,
    work: OpenWork,
    decide: DecideWork,
    steps: Mutex<Vec<Step>>,
}

impl Underway {
    pub(super) fn of<O: Run>(serve: Arc<Serve>, job: Job, work: OpenWork) -> Self {
        Self { serve, job, work, decide: share_by::<O>, steps: Mutex::default() }
    }

    pub(super) const fn serve(&self) -> &Arc<Serve> {
        &self.serve
    }

    pub(super) fn id(&self) -> &str {
        &self.job.id
    }

    /// Whether it has to stop.
    pub(crate) fn must_stop(&self) -> bool {
        self.work.must_stop()
    }

    /// Returns when it has to stop.
    pub(crate) async fn told_to_stop(&self) {
        self.work.told_to_stop().await;
    }

    /// Does a part of it; none when it has to stop: dropped, that part has to leave nothing behind.
    pub(crate) async fn unless_stopped<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        self.work.unless_stopped(part).await.ok()
    }

    /// Judges once more, by the table as it is now (A12).
    pub(super) fn judge(&self) -> Result<(), Problem> {
        let (table, now) = (self.serve.state.table(), self.serve.state.clock.now());
        let share = (self.decide)(&table, &self.job.actor, &self.job.instance, now)?;
        if share == self.job.share { Ok(()) } else { Err(Denial::not_found("instance").into()) }
    }

    /// Fails when the job has to stop, or is not allowed any more.
    pub(crate) fn goes_on(&self) -> Result<(), Problem> {
        self.judge()?;
        let stopped = || Problem::new(Code::Unavailable, "it has to stop");
        if self.must_stop() { Err(stopped()) } else { Ok(()) }
    }

    /// Begins a step of the job, which is so far done. Fails when the job has to stop, or is not allowed any more: then
    /// nothing of the step may be done.
    pub(crate) async fn step(&self, name: &str, percent: u8) -> Result<(), Problem> {
        self.goes_on()?;
        let steps = {
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.push(Step { name: name.to_owned(), began_at: self.serve.state.clock.now() });
            steps.clone()
        };
        let id = self.job.id.clone();
        self.serve.write(move |connection| jobs::progress(connection, &id, percent.min(99), &steps)).await?;
        self.serve.jobs.changed();
        Ok(())
    }

    /// Says something about how it goes. No secrets.
    pub(crate) async fn say(&self, line: &str) {
        let (id, mut line) = (self.job.id.clone(), line.replace(char::is_control, " "));
        line.truncate(line.floor_char_boundary(LINE_MAX_BYTES));
        if let Err(error) = self.serve.write(move |connection| jobs::say(connection, &id, &line)).await {
            tracing::warn!(error = %chain(&error), "a line of a job could not be written down");
        }
        self.serve.jobs.changed();
    }
}
