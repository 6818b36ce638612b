//! Calls about hostings.

use latchkey_access::{Actor, Hosting, HostingId, decide_panel};
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::page::page;
use super::reply::Reply;
use crate::body::parse_body;
use crate::channels::Ended;
use crate::problem::Problem;
use crate::registry::hostings::{self, UnconfirmedEnds, view};

/// What forgetting a hosting or an instance answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    /// What ended.
    pub(super) ended: Ended,
}

fn hosting_id(call: &Call) -> Result<HostingId, Problem> {
    call.param("hosting").parse().map_err(|_| Problem::not_found("hosting"))
}

fn exists_for(actor: &Actor, hosting: &Hosting) -> bool {
    *actor == Actor::Panel || actor.person().is_some_and(|person| hosting.owners.contains(&person))
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    let table = call.serve.state.table();
    let mut items: Vec<_> = table
        .hostings()
        .filter(|hosting| exists_for(call.actor(), hosting))
        .map(|hosting| view(&table, hosting))
        .collect();
    items.sort_by(|one, other| one.id.cmp(&other.id));
    Reply::json(&page(&call, items, |item| &item.id)?)
}

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let table = call.serve.state.table();
    let found = table.hosting(&hosting_id(&call)?).filter(|hosting| exists_for(call.actor(), hosting));
    Reply::json(&view(&table, found.ok_or_else(|| Problem::not_found("hosting"))?))
}

pub(super) async fn put(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let id: HostingId = call
        .param("hosting")
        .parse()
        .map_err(|fault: latchkey_access::InvalidId| Problem::invalid("hosting", fault.to_string()))?;
    let is_new = call.serve.state.table().hosting(&id).is_none();
    let view = hostings::put(&call.serve, call.caller.clone(), id, parse_body(&call.body)?).await?;
    Ok(Reply::json(&view)?.with_status(if is_new { 201 } else { 200 }))
}

pub(super) async fn delete(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let unconfirmed = match call.query("unconfirmed") {
        None => UnconfirmedEnds::Refuse,
        Some("abandon") => UnconfirmedEnds::Abandon,
        Some(_) => return Err(Problem::invalid("unconfirmed", "expected abandon")),
    };
    let ended = hostings::delete(&call.serve, call.caller.clone(), hosting_id(&call)?, unconfirmed).await?;
    Reply::json(&Deleted { ended })
}
