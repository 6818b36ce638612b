//! Registering an instance, and showing instances to whoever asks.

use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Actor, Holdings, Instance, InstanceId, Privilege, PrivilegeSet, Reach, Role, actor_holdings,
    decide_panel, hosting_privileges, reach, sees, share_holdings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{absolute_path, owners};
use crate::caller::{Caller, Note};
use crate::channels::Ended;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::shares::{self, PersonView};
use crate::state::Change;

/// An instance as the panel registers it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstanceInput {
    /// Its name again; if given, the one in the path.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// The hosting it runs on.
    pub(crate) hosting: String,
    /// Absolute path of the folder that holds wp-load.php, beneath the hosting's home.
    pub(crate) docroot: String,
    /// Where visitors find it, without a slash at the end.
    pub(crate) url: String,
    /// What people call it.
    pub(crate) label: String,
    /// The name of its database.
    #[serde(default)]
    pub(crate) database: String,
    /// Addresses of whom it belongs to.
    #[serde(default)]
    pub(crate) owners: Vec<String>,
    /// The live instance it is a staging of.
    #[serde(default)]
    pub(crate) staging_of: Option<String>,
}

/// An instance as it is shown to an actor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct InstanceView {
    /// Its name.
    pub(crate) id: String,
    /// The hosting it runs on.
    pub(crate) hosting: String,
    /// Where visitors find it.
    pub(crate) url: String,
    /// What people call it.
    pub(crate) label: String,
    /// The live instance it is a staging of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staging_of: Option<String>,
    /// Whether anybody has, or is offered, a share of it.
    pub(crate) shared: bool,
    /// Whether the actor owns it.
    pub(crate) owner: bool,
    /// What the actor may do on it now.
    #[schemars(with = "Vec<String>")]
    pub(crate) privileges: PrivilegeSet,
    /// Of these, what nothing on this node serves (yet).
    #[schemars(with = "Vec<String>")]
    pub(crate) unavailable: PrivilegeSet,
    /// The actor's own share of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<String>,
    /// The role of that share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// What that share really amounts to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reach: Option<Reach>,
    /// Absolute path of its folder; for owners and the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docroot: Option<String>,
    /// Its database; for owners and the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<String>,
    /// Whom it belongs to; for owners and the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owners: Option<Vec<String>>,
}

/// Somebody who reaches an instance through another one of its hosting (A6).
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ReachedBy {
    /// Who.
    pub(crate) person: PersonView,
    /// Through which share.
    pub(crate) share: String,
    /// With which hosting privileges.
    #[schemars(with = "Vec<String>")]
    pub(crate) privileges: PrivilegeSet,
}

/// What registering an instance answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RegisteredInstance {
    /// The instance.
    #[serde(flatten)]
    pub(crate) instance: InstanceView,
    /// Who reaches it already, through the hosting it is on.
    pub(crate) reached_by: Vec<ReachedBy>,
    /// What ended, for instance because an owner is none any more.
    pub(crate) ended: Ended,
}

/// Whether a path lies in a folder, by whole names.
pub(super) fn is_beneath(path: &str, folder: &str) -> bool {
    std::path::Path::new(path).starts_with(folder)
}

/// The instances that exist for an actor, by id.
pub(crate) fn list(serve: &Serve, actor: &Actor, now: Timestamp) -> Vec<InstanceView> {
    let table = &serve.state.table();
    let mut visible: Vec<_> = match actor {
        // A person has few shares; the node may have many instances.
        Actor::Person(_) | Actor::Panel => table.instances().filter(|one| sees(table, actor, one, now)).collect(),
        Actor::Stranger(_) | Actor::Nobody => Vec::new(),
    };
    visible.sort_by(|one, other| one.id.cmp(&other.id));
    visible.into_iter().map(|instance| view(serve, table, actor, instance, now)).collect()
}

/// Shows one instance; to an actor for whom it does not exist there is none.
pub(crate) fn show(serve: &Serve, actor: &Actor, id: &InstanceId, now: Timestamp) -> Result<InstanceView, Problem> {
    let table = &serve.state.table();
    let instance = table.instance(id).filter(|instance| sees(table, actor, instance, now));
    instance.map(|instance| view(serve, table, actor, instance, now)).ok_or_else(|| Problem::not_found("instance"))
}

fn view(serve: &Serve, table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> InstanceView {
    let owner = actor.person().is_some_and(|person| instance.owners.contains(&person));
    let own_share = actor.person().filter(|_| !owner).and_then(|person| table.share_of_on(person, &instance.id));
    let privileges = privileges_of(table, actor, instance, now);
    let inside = owner || *actor == Actor::Panel;
    InstanceView {
        id: instance.id.to_string(),
        hosting: instance.hosting.to_string(),
        url: instance.url.clone(),
        label: instance.label.clone(),
        staging_of: instance.staging_of.as_ref().map(ToString::to_string),
        shared: table.shares_on(&instance.id).any(|share| !share.is_over(now)),
        owner,
        privileges,
        unavailable: serve.unserved(table, &instance.hosting, privileges),
        share: own_share.map(|share| share.id.to_string()),
        role: own_share.map(|share| share.terms.role),
        reach: own_share.map(|share| reach(table, share, now)),
        docroot: inside.then(|| instance.docroot.clone()),
        database: inside.then(|| instance.database.clone()),
        owners: inside.then(|| super::people::emails(table, &instance.owners)),
    }
}

fn privileges_of(table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> PrivilegeSet {
    let held = actor_holdings(table, actor, instance, now).privileges;
    held.join(hosting_privileges(table, actor, instance, now))
}

/// Registers an instance, or changes it. Safe to repeat.
pub(crate) async fn put(
    serve: &Arc<Serve>,
    caller: Caller,
    id: InstanceId,
    input: InstanceInput,
) -> Result<RegisteredInstance, Problem> {
    decide_panel(&caller.actor)?;
    super::same_name(id.as_str(), input.id.as_deref())?;
    let of = serve.clone();
    let saved = serve.change(caller, move |change| save(&of, change, &id, &input));
    let ((instance, reached_by), ended) = saved.await?;
    Ok(RegisteredInstance { instance, reached_by, ended })
}

type Saved = (InstanceView, Vec<ReachedBy>);

fn save(serve: &Serve, change: &mut Change<'_>, id: &InstanceId, input: &InstanceInput) -> Result<Saved, Problem> {
    decide_panel(change.actor())?;
    let instance = parse(change, id, input)?;
    // What also gives something must be written down before it counts.
    change.ends_access = change.table().instance(id).is_some_and(|before| {
        (instance.staging_of.is_none() || instance.staging_of == before.staging_of)
            && instance.owners.iter().all(|owner| before.owners.contains(owner))
    });
    let is_new = change.table().instance(id).is_none();
    let live_before = change.table().instance(id).and_then(|before| before.staging_of.clone());
    if let Some(before) = change.table().instance(id).filter(|before| before.hosting != instance.hosting) {
        return Err(Problem::conflict(format!(
            "the instance is on the hosting {}; delete it there first",
            before.hosting
        )));
    }
    change.put_instance(instance.clone())?;
    if live_before != instance.staging_of {
        if let Some(live) = live_before {
            shares::unlink_staging(change, &instance, &live)?;
        }
        shares::link_new_staging(change, &instance)?;
    }
    change.record(Note::of("instance.put").on(id))?;
    let table = change.table();
    let reached_by = if is_new { reached_by(table, &instance, change.now) } else { Vec::new() };
    Ok((view(serve, table, change.actor(), &instance, change.now), reached_by))
}

fn parse(change: &mut Change<'_>, id: &InstanceId, input: &InstanceInput) -> Result<Instance, Problem> {
    let hosting = input.hosting.parse().ok().and_then(|hosting| change.table().hosting(&hosting)).cloned();
    let hosting = hosting.ok_or_else(|| Problem::invalid("hosting", "expected the id of a registered hosting"))?;
    absolute_path("docroot", &input.docroot)?;
    if !is_beneath(&input.docroot, &hosting.home) {
        let detail = format!("expected a folder beneath the hosting's home {}", hosting.home);
        return Err(Problem::invalid("docroot", detail));
    }
    check_url(&input.url)?;
    if input.label.trim().is_empty() || input.label.chars().count() > 200 || input.label.chars().any(char::is_control) {
        return Err(Problem::invalid("label", "expected 1 to 200 characters, no control characters"));
    }
    let staging_of = match &input.staging_of {
        None => None,
        Some(live) => Some(check_staging(change.table(), id, live)?),
    };
    Ok(Instance {
        id: id.clone(),
        hosting: hosting.id.clone(),
        docroot: input.docroot.clone(),
        url: input.url.clone(),
        label: input.label.clone(),
        database: input.database.clone(),
        owners: owners(change, &input.owners)?,
        staging_of,
    })
}

fn check_url(url: &str) -> Result<(), Problem> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/[]%".contains(letter);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.ends_with('/') && rest.chars().all(plain) => {
            Ok(())
        }
        _ => Err(Problem::invalid("url", "expected a URL like https://example.org, without a slash at the end")),
    }
}

fn check_staging(table: &AccessTable, id: &InstanceId, live: &str) -> Result<InstanceId, Problem> {
    let wrong = |detail: &str| Problem::invalid("staging_of", detail);
    let live: InstanceId = live.parse().map_err(|_| wrong("expected the id of a registered instance"))?;
    match table.instance(&live) {
        _ if live == *id => Err(wrong("expected another instance")),
        None => Err(wrong("expected the id of a registered instance")),
        Some(found) if found.staging_of.is_some() => {
            Err(wrong("expected a live instance; this one is a staging itself"))
        }
        Some(_) => Ok(live),
    }
}

/// The persons who reach an instance through shares of its siblings (A6).
fn reached_by(table: &AccessTable, instance: &Instance, now: Timestamp) -> Vec<ReachedBy> {
    let siblings = table.instances_of(&instance.hosting).filter(|sibling| sibling.id != instance.id);
    siblings
        .flat_map(|sibling| table.shares_on(&sibling.id))
        .filter_map(|share| {
            let held: Holdings = share_holdings(table, share, now);
            let privileges = held.privileges.meet(Privilege::HOSTING);
            let person = PersonView::of(table.person(share.person)?);
            (!privileges.is_empty()).then(|| ReachedBy { person, share: share.id.to_string(), privileges })
        })
        .collect()
}

/// Forgets an instance; its shares end. Refused while a staging depends on it.
pub(crate) async fn delete(serve: &Arc<Serve>, caller: Caller, id: InstanceId) -> Result<Ended, Problem> {
    decide_panel(&caller.actor)?;
    let ((), ended) = serve
        .change(caller, move |change| {
            decide_panel(change.actor())?;
            change.ends_access = true;
            if change.table().instance(&id).is_none() {
                return Err(Problem::not_found("instance"));
            }
            if let Some(staging) = change.table().stagings_of(&id).next() {
                return Err(Problem::conflict(format!("{} is a staging of it; delete that first", staging.id)));
            }
            let shares: Vec<_> =
                change.table().shares_on(&id).filter(|share| !share.state.is_final()).map(|share| share.id).collect();
            for share in shares {
                shares::revoke(change, share, &shares::EndInput::default())?;
            }
            change.remove_instance(&id)?;
            change.record(Note::of("instance.delete").on(&id))
        })
        .await?;
    Ok(ended)
}
