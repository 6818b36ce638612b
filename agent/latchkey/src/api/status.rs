//! `GET /v1/health`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::problem::Problem;
use crate::store::Trouble;

/// How the agent is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok`, or `degraded` while something is not confirmed to have ended or the state cannot be used.
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
    /// The fingerprint of the host key that SFTP offers and people are told, if SFTP is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    sftp_key: Option<String>,
    /// What is wrong with the agent's state on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'static str>,
}

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let unconfirmed = call.serve.state.channels.unconfirmed();
    let serve = call.serve.clone();
    let trouble = call.serve.blocking(move || serve.state.store.trouble()).await?;
    Reply::json(&Health {
        state: if unconfirmed == 0 && trouble.is_none() { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        started_at: call.serve.started_at,
        unconfirmed,
        watched: call.serve.state.channels.watched(),
        sftp_key: call.serve.state.file_doors().sftp.as_ref().map(|door| door.fingerprint.clone()),
        trouble: trouble.map(Trouble::sentence),
    })
}
