//! `POST /v1/instances/{instance}/operations/{operation}`.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::events::EVENTS;
use crate::operations::{self, Answered};
use crate::problem::Problem;

/// What is answered when an operation is run as a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobStarted {
    /// Its name in `/v1/jobs`.
    job: String,
}

pub(super) async fn run(call: Call) -> Result<Reply, Problem> {
    let answered = operations::run(&call.context(), &call.instance()?, call.param("operation"), &call.body).await?;
    let answer = match answered {
        Answered::Now(answer) => answer,
        Answered::Stream(events) => return Ok(Reply::stream(EVENTS, events)),
        Answered::Job(job) => return Ok(Reply::json(&JobStarted { job })?.with_status(202)),
    };
    let reply = Reply::json(&answer.output)?;
    Ok(if answer.is_secret { reply.with_secret() } else { reply })
}
