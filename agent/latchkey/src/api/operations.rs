//! `POST /v1/instances/{instance}/operations/{operation}`.

use super::audit::EVENTS;
use super::call::Call;
use super::reply::Reply;
use crate::operations::{self, Answered};
use crate::problem::Problem;

pub(super) async fn run(call: Call) -> Result<Reply, Problem> {
    let answered = operations::run(&call.context(), &call.instance()?, call.param("operation"), &call.body).await?;
    let answer = match answered {
        Answered::Now(answer) => answer,
        Answered::Stream(events) => return Ok(Reply::stream(EVENTS, events)),
    };
    let reply = Reply::json(&answer.output)?;
    Ok(if answer.is_secret { reply.with_secret() } else { reply })
}
