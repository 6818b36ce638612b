//! `GET /v1/health`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::problem::Problem;

/// How the agent is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok`, or `degraded` while something is not confirmed to have ended.
    state: &'static str,
    /// The version of the agent.
    version: &'static str,
    /// Since when it runs.
    #[schemars(with = "String")]
    started_at: Timestamp,
    /// How many channels must end and are not confirmed to have ended.
    unconfirmed: usize,
    /// How many channels have ended and are looked at again for half a minute, in case a request of theirs that was under
    /// way brings one back.
    watched: usize,
}

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let unconfirmed = call.serve.state.channels.unconfirmed();
    Reply::json(&Health {
        state: if unconfirmed == 0 { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        started_at: call.serve.started_at,
        unconfirmed,
        watched: call.serve.state.channels.watched(),
    })
}
