//! Calls about people.

use latchkey_access::decide_panel;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::page::page;
use super::reply::Reply;
use crate::body::parse_body;
use crate::channels::Ended;
use crate::problem::Problem;
use crate::registry::people;
use crate::shares::{self, ShareView};

/// What ending all shares of a person answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndedPerson {
    /// The shares.
    shares: Vec<ShareView>,
    /// What ended.
    ended: Ended,
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    let items = people::suggest(&table, call.actor(), call.query("query").unwrap_or_default(), now);
    Reply::json(&page(&call, items, |item| &item.email)?)
}

pub(super) async fn update(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let person = people::find(&call.serve.state.table(), call.param("person"))?;
    let (view, _) = people::update(&call.serve, call.caller.clone(), person, parse_body(&call.body)?).await?;
    Reply::json(&view)
}

pub(super) async fn end_shares(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let person = people::find(&call.serve.state.table(), call.param("person"))?;
    let changed = call.serve.change(call.caller.clone(), move |change| shares::end_of_person(change, person));
    let (ended_shares, mut ended) = changed.await?;
    ended.closed.gateway += people::sign_out(&call.serve, person).await.closed.gateway;
    Reply::json(&EndedPerson { shares: call.serve.view_shares(ended_shares).await?, ended })
}
