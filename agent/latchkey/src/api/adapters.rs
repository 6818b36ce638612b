//! Calls about adapters. Installing one is the command line's: root puts the files there, and then has them loaded.

use latchkey_access::{AdapterName, HostingId, decide_panel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::Call;
use super::page::page;
use super::reply::Reply;
use crate::adapters::AdapterView;
use crate::adapters::secret::Secrets;
use crate::body::parse_body;
use crate::caller::Note;
use crate::problem::Problem;
use crate::store::adapter_state;
use crate::store::audit::Outcome;

/// How an adapter came here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdapterLoadInput {
    /// Who signed it, as the command line has verified; null: nobody.
    signed_by: Option<String>,
}

/// A function to call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdapterCallInput {
    /// The hosting that it is about.
    hosting: String,
    /// The interface, as the WIT names it: `databases`.
    interface: String,
    /// The function, as the WIT names it: `create-database`.
    function: String,
    /// Its parameters by their names, `hosting` excepted; an idempotency key is made if none is given.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// Secrets of this call by their names: the adapter is told the name, and not the value.
    #[serde(default)]
    secrets: Secrets,
}

/// What a function returned.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AdapterCallOutput {
    /// As the WIT describes it; null if it returns nothing.
    returned: Value,
}

/// What became of an adapter.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnloadedAdapter {
    /// Whether it was loaded.
    was_loaded: bool,
}

fn adapter_name(call: &Call) -> Result<AdapterName, Problem> {
    call.param("adapter").parse().map_err(|_| Problem::not_found("adapter"))
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let items: Vec<AdapterView> = call.serve.adapters.list(&call.serve).await?;
    Reply::json(&page(&call, items, AdapterView::name)?)
}

pub(super) async fn load(call: Call) -> Result<Reply, Problem> {
    let AdapterLoadInput { signed_by } = parse_body(&call.body)?;
    let name = adapter_name(&call)?;
    let loaded = call.serve.adapters.load(&call.serve, &name).await;
    let outcome = if loaded.is_ok() { Outcome::Allowed } else { Outcome::Failed };
    let signer = signed_by.map_or_else(|| "nobody has signed it".to_owned(), |signer| format!("signed by {signer}"));
    let note = Note::of("adapter.load").detail(format!("{name}: {signer}"));
    call.serve.record(call.caller.clone(), note, outcome).await;
    Reply::json(&loaded?)
}

pub(super) async fn unload(call: Call) -> Result<Reply, Problem> {
    let name = adapter_name(&call)?;
    let was_loaded = call.serve.adapters.unload(&call.serve, &name).await?;
    let of = name.to_string();
    call.serve.write(move |connection| adapter_state::forget_adapter(connection, &of)).await?;
    call.serve.record(call.caller.clone(), Note::of("adapter.unload").detail(name.to_string()), Outcome::Allowed).await;
    Reply::json(&UnloadedAdapter { was_loaded })
}

pub(super) async fn run(call: Call) -> Result<Reply, Problem> {
    let AdapterCallInput { hosting, interface, function, arguments, secrets } = parse_body(&call.body)?;
    let hosting: Option<HostingId> = hosting.parse().ok();
    let table = call.serve.state.table();
    let hosting = hosting.and_then(|id| table.hosting(&id)).ok_or_else(|| Problem::not_found("hosting"))?;
    let name = adapter_name(&call)?;
    let what = (interface.as_str(), function.as_str());
    let called = call.serve.adapters.call(&call.serve, (&name, hosting), what, (arguments, secrets), &|| Ok(())).await;
    // Not the arguments: they may hold what is nobody's business.
    let note = Note::of("adapter.call").detail(format!("{name}: {interface}.{function} for {}", hosting.id));
    let outcome = if called.is_ok() { Outcome::Allowed } else { Outcome::Failed };
    call.serve.record(call.caller.clone(), note, outcome).await;
    Reply::json(&AdapterCallOutput { returned: called? })
}
