//! Calls about instances.

use latchkey_access::{InstanceId, decide_panel};

use super::call::Call;
use super::hostings::Deleted;
use super::page::page;
use super::reply::Reply;
use crate::body::parse_body;
use crate::problem::Problem;
use crate::registry::instances;

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    let now = call.serve.state.clock.now();
    let items = instances::list(&call.serve, call.actor(), now);
    Reply::json(&page(&call, items, |item| &item.id)?)
}

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let now = call.serve.state.clock.now();
    Reply::json(&instances::show(&call.serve, call.actor(), &call.instance()?, now)?)
}

pub(super) async fn put(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let id: InstanceId = call
        .param("instance")
        .parse()
        .map_err(|fault: latchkey_access::InvalidId| Problem::invalid("instance", fault.to_string()))?;
    let is_new = call.serve.state.table().instance(&id).is_none();
    let registered = instances::put(&call.serve, call.caller.clone(), id, parse_body(&call.body)?).await?;
    Ok(Reply::json(&registered)?.with_status(if is_new { 201 } else { 200 }))
}

pub(super) async fn delete(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let ended = instances::delete(&call.serve, call.caller.clone(), call.instance()?).await?;
    Reply::json(&Deleted { ended })
}
