//! Calls about shares. Each is an operation of `share.*` with the path as its first argument.

use latchkey_access::rows::{ShareInvite, ShareList, ShareResend, ShareRevoke, ShareUpdate};
use latchkey_access::{Actor, InstanceId, Operation, Share, ShareId, decide, decide_own_share};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::Call;
use super::reply::Reply;
use crate::accounts::{self, AuthorizedKey, Credentials};
use crate::body::parse_body;
use crate::caller::Note;
use crate::channels::Ended;
use crate::operations::{self, ChangedShare, ListInput, Run};
use crate::problem::{Code, Problem};
use crate::shares::{self, EndInput, InviteInput, SharePatch, ShareView};
use crate::state::Change;
use crate::store::audit::Outcome;

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    let permit = decide::<ShareList>(&table, call.actor(), &call.instance()?, now)?;
    let input = ListInput {
        all: call.query_as("all", "true or false")?.unwrap_or(false),
        limit: call.query_as("limit", "1 to 500")?.unwrap_or_default(),
        cursor: call.query("cursor").map(str::to_owned),
    };
    Reply::json(&ShareList::run(&call.context(), permit, input).await?)
}

pub(super) async fn invite(call: Call) -> Result<Reply, Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    let permit = decide::<ShareInvite>(&table, call.actor(), &call.instance()?, now)?;
    let share = ShareInvite::run(&call.context(), permit, parse_body(&call.body)?).await?;
    let generation = share.generation;
    Ok(Reply::json(&share)?.with_status(201).with_generation(generation))
}

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    if decide_own_share(&table, call.actor(), id).is_err() {
        decide::<ShareList>(&table, call.actor(), &call.instance()?, now)?;
    }
    let share = table.share(id).ok_or_else(|| Problem::not_found("share"))?;
    shown(&call, Share::clone(share)).await
}

async fn shown(call: &Call, share: Share) -> Result<Reply, Problem> {
    let generation = share.generation;
    Ok(Reply::json(&call.serve.view_share(share).await?)?.with_generation(generation))
}

pub(super) async fn update(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    may::<ShareUpdate>(&call)?;
    let patch: SharePatch = parse_body(&call.body)?;
    let gateway_url = call.serve.config.gateway.url.clone();
    changed(&call, id, move |change| shares::update(change, id, &patch, &gateway_url)).await
}

pub(super) async fn suspend(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    may::<ShareUpdate>(&call)?;
    changed(&call, id, move |change| shares::suspend(change, id)).await
}

/// Refuses before anything else of the call is looked at. The change decides again, on the table it changes.
fn may<O: Operation>(call: &Call) -> Result<(), Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    Ok(decide::<O>(&table, call.actor(), &call.instance()?, now).map(drop)?)
}

/// What `keys` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysInput {
    /// Public keys, as lines of an `authorized_keys` file without options; at most 20. None takes all keys away.
    keys: Vec<String>,
}

/// What `password` answers.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PasswordOutput {
    /// What to sign in as.
    login: String,
    /// The new password. It is told this once.
    password: String,
    /// What ended: sessions that were let in with the former one, or with a key.
    ended: Ended,
}

pub(super) async fn set_keys(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    decide_own_share(&call.serve.state.table(), call.actor(), id)?;
    let input: KeysInput = parse_body(&call.body)?;
    let (keys, known) = (AuthorizedKey::parse_all(&input.keys)?, call.known_generation()?);
    let check = move |share: &Share| refuse_stale(share.generation, known);
    let (share, ended) = accounts::set_keys(&call.serve, call.caller.clone(), id, keys, check).await?;
    shown_with_ended(&call, share, ended).await
}

pub(super) async fn new_password(call: Call) -> Result<Reply, Problem> {
    let (id, known) = (call.share()?, call.known_generation()?);
    let check = move |share: &Share| refuse_stale(share.generation, known);
    let (made, ended) = accounts::new_password(&call.serve, call.caller.clone(), id, check).await?;
    let Credentials { login, password } = made;
    Ok(Reply::json(&PasswordOutput { login, password, ended })?.with_secret())
}

/// Runs a change of a share unless the caller knows an older generation of it.
async fn changed(
    call: &Call,
    id: ShareId,
    work: impl FnOnce(&mut Change<'_>) -> Result<Share, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    let known = call.known_generation()?;
    let done = call.serve.change(call.caller.clone(), move |change| if_current(change, id, known, work));
    let (share, ended) = done.await?;
    shown_with_ended(call, share, ended).await
}

async fn shown_with_ended(call: &Call, share: Share, ended: Ended) -> Result<Reply, Problem> {
    let generation = share.generation;
    let body = ChangedShare { share: call.serve.view_share(share).await?, ended, others: Vec::new() };
    Ok(Reply::json(&body)?.with_generation(generation))
}

fn refuse_stale(generation: u64, known: Option<u64>) -> Result<(), Problem> {
    match known {
        Some(known) if known != generation => {
            let detail = format!("the share has changed: it is at generation {generation}");
            Err(Problem::conflict(detail).with_status(412))
        }
        _ => Ok(()),
    }
}

/// The refusals of the work come first: who may not change a share does not learn its generation.
fn if_current<T>(
    change: &mut Change<'_>,
    id: ShareId,
    known: Option<u64>,
    work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let before = change.share(id)?.generation;
    let done = work(change)?;
    refuse_stale(before, known).inspect_err(|_| change.ends_access = false)?;
    Ok(done)
}

pub(super) async fn revoke(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    // The panel ends shares of instances that are gone, too.
    if decide_own_share(&call.serve.state.table(), call.actor(), id).is_err() && *call.actor() != Actor::Panel {
        may::<ShareRevoke>(&call)?;
    }
    let everywhere = call.query_as("everywhere", "true or false")?.unwrap_or(false);
    let ids = call.query("adopt").unwrap_or_default().split(',').filter(|text| !text.is_empty());
    let wrong = |_| Problem::invalid("adopt", "expected ids of shares, with commas between");
    let adopt = ids.map(|text| text.parse().map_err(wrong)).collect::<Result<_, _>>()?;
    let (how, known) = (EndInput { everywhere, adopt }, call.known_generation()?);
    let done = call.serve.change(call.caller.clone(), move |change| {
        if_current(change, id, known, |change| shares::revoke(change, id, &how))
    });
    let (ended_shares, ended) = done.await?;
    let body = operations::show_ended(&call.serve, ended_shares, ended).await?;
    let generation = body.share.generation;
    Ok(Reply::json(&body)?.with_generation(generation))
}

pub(super) async fn resend(call: Call) -> Result<Reply, Problem> {
    let (id, settings) = (call.share()?, call.serve.invite_settings());
    may::<ShareResend>(&call)?;
    one_share(&call, id, move |change| shares::resend(change, id, &settings)).await
}

pub(super) async fn reinstate(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    may::<ShareUpdate>(&call)?;
    one_share(&call, id, move |change| shares::reinstate(change, id)).await
}

pub(super) async fn accept(call: Call) -> Result<Reply, Problem> {
    let id = call.share()?;
    one_share(&call, id, move |change| shares::accept(change, id)).await
}

async fn one_share(
    call: &Call,
    id: ShareId,
    work: impl FnOnce(&mut Change<'_>) -> Result<Share, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    let known = call.known_generation()?;
    let done = call.serve.change(call.caller.clone(), move |change| if_current(change, id, known, work));
    shown(call, done.await?.0).await
}

/// An invitation to several instances: `instances`, and the rest as for one.
#[derive(JsonSchema)]
#[expect(
    dead_code,
    reason = "the shape for the OpenAPI document; the list is taken out before the rest is parsed strictly"
)]
pub(crate) struct SeveralInput {
    /// Ids of the instances.
    instances: Vec<String>,
    /// The invitation.
    #[serde(flatten)]
    invitation: InviteInput,
}

/// What was made, and where it was not.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Several {
    /// The shares that were made.
    items: Vec<ShareView>,
    /// The instances without one.
    problems: Vec<SeveralProblem>,
}

/// An instance for which no share was made.
#[derive(Debug, Serialize, JsonSchema)]
struct SeveralProblem {
    /// The instance.
    instance: String,
    /// Why not.
    problem: Problem,
}

pub(super) async fn invite_to_several(call: Call) -> Result<Reply, Problem> {
    let mut input: Value = parse_body(&call.body)?;
    let instances = input.as_object_mut().and_then(|fields| fields.remove("instances"));
    let expected = || Problem::invalid("instances", "expected a list of 1 to 50 ids of instances");
    let instances: Vec<String> = instances.and_then(|list| serde_json::from_value(list).ok()).ok_or_else(expected)?;
    if !(1..=50).contains(&instances.len()) {
        return Err(expected());
    }
    let body = serde_json::to_vec(&input).map_err(|error| Problem::internal(&error))?;
    let mut several = Several { items: Vec::new(), problems: Vec::new() };
    for instance in instances {
        match invite_to(&call, &instance, &body).await {
            Ok(share) => several.items.push(share),
            Err(problem) => {
                if problem.is_denial() {
                    let note = Note::of("share.invite").detail(problem.detail.clone());
                    let note = Note { rule: problem.rule.map(|rule| rule.to_string()), ..note };
                    let note = Note { instance: instance.parse::<InstanceId>().ok().map(|id| id.to_string()), ..note };
                    call.serve.record(call.caller.clone(), note, Outcome::Denied).await;
                }
                several.problems.push(SeveralProblem { instance, problem });
            }
        }
    }
    match (several.items.is_empty(), several.problems.pop()) {
        (true, Some(only)) if several.problems.is_empty() => Err(only.problem),
        (nothing_made, last) => {
            several.problems.extend(last);
            let status = if nothing_made { Code::Conflict.status() } else { 201 };
            Ok(Reply::json(&several)?.with_status(status))
        }
    }
}

async fn invite_to(call: &Call, instance: &str, body: &[u8]) -> Result<ShareView, Problem> {
    let id = instance.parse().map_err(|_| Problem::from(latchkey_access::Denial::not_found("instance")))?;
    let permit = decide::<ShareInvite>(&call.serve.state.table(), call.actor(), &id, call.serve.state.clock.now())?;
    ShareInvite::run(&call.context(), permit, parse_body(body)?).await
}
