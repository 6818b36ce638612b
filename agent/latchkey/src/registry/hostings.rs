//! Registering a hosting: with the broker first, which finds the system user, then in the state of serve.

use std::sync::Arc;

use latchkey_access::{AccessTable, Hosting, HostingId, HostingState, Php, Web, decide_panel};
use latchkey_protocol::HostingRegistration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{absolute_path, owners};
use crate::caller::{Caller, Note};
use crate::channels::{self, Ended, Unconfirmed};
use crate::databases::TEMPORARY;
use crate::problem::{Code, Problem};
use crate::serve::Serve;
use crate::state::Change;

/// A hosting as the panel registers it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostingInput {
    /// Its name again; if given, the one in the path.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// The Unix account.
    pub(crate) system_user: String,
    /// Absolute path of its home.
    pub(crate) home: String,
    /// What its database names begin with; unique on the node, ends in `_`.
    pub(crate) db_prefix: String,
    /// Addresses of whom it belongs to.
    #[serde(default)]
    pub(crate) owners: Vec<String>,
    /// Names of the adapters that serve it, in order.
    #[serde(default)]
    pub(crate) adapters: Vec<String>,
    /// Whether people get in.
    #[serde(default)]
    pub(crate) state: HostingState,
    /// How PHP runs.
    pub(crate) php: Php,
    /// How the web server is set up.
    pub(crate) web: Web,
    /// Absolute paths of its logs. `{instance}` and `{domain}` stand for those of an instance; a log without tells of all.
    #[serde(default)]
    pub(crate) log_paths: Vec<String>,
}

/// A hosting as replies show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct HostingView {
    /// Its name.
    pub(crate) id: String,
    /// The Unix account.
    pub(crate) system_user: String,
    /// Absolute path of its home.
    pub(crate) home: String,
    /// What its database names begin with.
    pub(crate) db_prefix: String,
    /// Addresses of whom it belongs to.
    pub(crate) owners: Vec<String>,
    /// Names of the adapters that serve it.
    pub(crate) adapters: Vec<String>,
    /// Whether people get in.
    pub(crate) state: HostingState,
    /// How PHP runs.
    pub(crate) php: Php,
    /// How the web server is set up.
    pub(crate) web: Web,
    /// Absolute paths of its logs, with places for an instance and its domain.
    pub(crate) log_paths: Vec<String>,
}

/// What registering a hosting answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RegisteredHosting {
    /// The hosting.
    #[serde(flatten)]
    pub(crate) hosting: HostingView,
    /// What ended, for instance because it is suspended now.
    pub(crate) ended: Ended,
}

/// Shows a hosting.
pub(crate) fn view(table: &AccessTable, hosting: &Hosting) -> HostingView {
    HostingView {
        id: hosting.id.to_string(),
        system_user: hosting.system_user.clone(),
        home: hosting.home.clone(),
        db_prefix: hosting.db_prefix.clone(),
        owners: super::people::emails(table, &hosting.owners),
        adapters: hosting.adapters.clone(),
        state: hosting.state,
        php: hosting.php.clone(),
        web: hosting.web.clone(),
        log_paths: hosting.log_paths.clone(),
    }
}

/// Registers a hosting, or changes it. Safe to repeat.
pub(crate) async fn put(
    serve: &Arc<Serve>,
    caller: Caller,
    id: HostingId,
    input: HostingInput,
) -> Result<RegisteredHosting, Problem> {
    decide_panel(&caller.actor)?;
    super::same_name(id.as_str(), input.id.as_deref())?;
    check(&input)?;
    // Whatever can be refused is, before the broker takes it: its registry must not run ahead of the state.
    refuse_moving(serve, &id, &input)?;
    refuse_taken_prefix(&serve.state.table(), &id, &input)?;
    super::parse_owners(&input.owners)?;
    let registration = HostingRegistration {
        hosting: id.to_string(),
        system_user: input.system_user.clone(),
        home: input.home.clone(),
        php_binary: input.php.binary.clone(),
        php_ini: input.php.ini.clone(),
    };
    let broker = serve.broker.clone();
    let registered = serve.blocking(move || broker.register(registration)).await??;
    let saved = serve.change(caller, move |change| save(change, &id, &input, registered.uid));
    let (hosting, ended) = saved.await?;
    Ok(RegisteredHosting { hosting, ended })
}

fn check(input: &HostingInput) -> Result<(), Problem> {
    absolute_path("home", &input.home)?;
    absolute_path("php.binary", &input.php.binary)?;
    for (index, path) in input.log_paths.iter().enumerate() {
        absolute_path(&format!("log_paths[{index}]"), path)?;
    }
    let prefix = &input.db_prefix;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(2..=32).contains(&prefix.len())
        || !prefix.ends_with('_')
        || prefix.starts_with('_')
        || !prefix.bytes().all(plain)
    {
        return Err(Problem::invalid("db_prefix", "expected 2 to 32 characters of a-z, 0-9 and _, ending in _"));
    }
    if overlap(prefix, TEMPORARY) {
        return Err(Problem::invalid("db_prefix", format!("expected another prefix: {TEMPORARY} is the agent's own")));
    }
    Ok(())
}

/// The instances of a hosting lie beneath its home: it does not move under them.
fn refuse_moving(serve: &Serve, id: &HostingId, input: &HostingInput) -> Result<(), Problem> {
    let table = serve.state.table();
    let outside = table.instances_of(id).find(|instance| !super::instances::is_beneath(&instance.docroot, &input.home));
    match outside {
        Some(instance) => {
            Err(Problem::conflict(format!("the instance {} lies outside the home {}", instance.id, input.home)))
        }
        None => Ok(()),
    }
}

fn save(change: &mut Change<'_>, id: &HostingId, input: &HostingInput, uid: u32) -> Result<HostingView, Problem> {
    decide_panel(change.actor())?;
    refuse_taken_prefix(change.table(), id, input)?;
    let hosting = Hosting {
        id: id.clone(),
        system_user: input.system_user.clone(),
        home: input.home.clone(),
        db_prefix: input.db_prefix.clone(),
        owners: owners(change, &input.owners)?,
        adapters: input.adapters.clone(),
        state: input.state,
        php: input.php.clone(),
        web: input.web.clone(),
        log_paths: input.log_paths.clone(),
    };
    // What also gives something must be written down before it counts.
    change.ends_access = change.table().hosting(id).is_some_and(|before| {
        hosting.state == HostingState::Suspended
            || (hosting.state == before.state && hosting.owners.iter().all(|owner| before.owners.contains(owner)))
    });
    let view = view(change.table(), &hosting);
    change.put_hosting(hosting, uid)?;
    change.record(Note::of("hosting.put").detail(format!("{id}, system user {}", input.system_user)))?;
    Ok(view)
}

fn refuse_taken_prefix(table: &AccessTable, id: &HostingId, input: &HostingInput) -> Result<(), Problem> {
    match table.hostings().find(|other| other.id != *id && overlap(&other.db_prefix, &input.db_prefix)) {
        Some(other) => Err(Problem {
            field: Some("db_prefix".into()),
            ..Problem::conflict(format!("the hosting {} has the prefix {}", other.id, other.db_prefix))
        }),
        None => Ok(()),
    }
}

/// Whether a database of one hosting could be taken for one of the other.
fn overlap(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// What becomes of sessions on a hosting whose end is not confirmed when it shall be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnconfirmedEnds {
    /// The hosting is not forgotten.
    Refuse,
    /// Nobody tries to end them any more.
    Abandon,
}

/// Forgets a hosting. Refused while it has instances, or sessions whose end is not confirmed: without the broker's entry
/// nobody could end them. Safe to repeat: an earlier request may have come as far as the state and not to the broker.
pub(crate) async fn delete(
    serve: &Arc<Serve>,
    caller: Caller,
    id: HostingId,
    unconfirmed: UnconfirmedEnds,
) -> Result<Ended, Problem> {
    decide_panel(&caller.actor)?;
    let (name, hosting, channels_of) = (id.to_string(), id.clone(), serve.clone());
    let removed = serve.change(caller, move |change| {
        let left = channels_of.state.channels.unconfirmed_on(&id);
        remove(change, &id, &left, unconfirmed)?;
        Ok(left)
    });
    let ended = match removed.await {
        Ok((left, ended)) => Some(Ended { unconfirmed: left, ..ended }),
        Err(problem) if problem.code == Code::NotFound => None,
        Err(problem) => return Err(problem),
    };
    channels::forget_hosting(serve, &hosting).await;
    let broker = serve.broker.clone();
    let dropped = serve.blocking(move || broker.drop_hosting(name)).await?;
    let was_registered = dropped.map_err(|error| {
        let problem = Problem::from(error);
        let detail = format!(
            "{}; the agent has forgotten the hosting, repeat the request to have the broker do so, too",
            problem.detail
        );
        Problem { detail, ..problem }
    })?;
    ended.or_else(|| was_registered.then(Ended::default)).ok_or_else(|| Problem::not_found("hosting"))
}

fn remove(
    change: &mut Change<'_>,
    id: &HostingId,
    left: &[Unconfirmed],
    unconfirmed: UnconfirmedEnds,
) -> Result<(), Problem> {
    decide_panel(change.actor())?;
    if change.table().hosting(id).is_none() {
        return Err(Problem::not_found("hosting"));
    }
    if let Some(instance) = change.table().instances_of(id).next() {
        return Err(Problem::conflict(format!("the instance {} is on it; delete that first", instance.id)));
    }
    let note = Note::of("hosting.delete");
    match left.first() {
        None => change.remove_hosting(id)?,
        Some(_) if unconfirmed == UnconfirmedEnds::Abandon => {
            change.remove_hosting(id)?;
            let detail = format!("{id}; {} sessions were not confirmed to have ended", left.len());
            return change.record(note.detail(detail));
        }
        Some(first) => {
            let detail = format!(
                "the end of {} sessions on it is not confirmed, of {} among them; the agent goes on trying, which it cannot once the hosting is forgotten. Repeat later, or give `unconfirmed=abandon`",
                left.len(),
                first.what
            );
            return Err(Problem::conflict(detail).retry_after(5));
        }
    }
    change.record(note.detail(id.to_string()))
}
