//! `POST /v1/instances/{instance}/operations/{operation}`.

use super::call::Call;
use super::reply::Reply;
use crate::operations;
use crate::problem::Problem;

pub(super) async fn run(call: Call) -> Result<Reply, Problem> {
    let answer = operations::run(&call.context(), &call.instance()?, call.param("operation"), &call.body).await?;
    let reply = Reply::json(&answer.output)?;
    Ok(if answer.is_secret { reply.with_secret() } else { reply })
}
