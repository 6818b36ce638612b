//! People: whom the agent suggests, and what the panel may change about them.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::rows::ShareInvite;
use latchkey_access::{
    AccessTable, Actor, Email, Instance, InvalidEmail, Person, PersonId, ShareState, decide, decide_panel,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::{given, present};
use crate::caller::{Caller, Note};
use crate::channels::{self, Channel, Ended};
use crate::problem::Problem;
use crate::serve::Serve;
use crate::shares::PersonView;
use crate::state::Change;
use crate::store::{gateway_rows, mail_queue};

/// A change to a person (RFC 7396).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PersonPatch {
    /// Another address; it ends the person's sign-ins, and invitations sent to the one before can be sent again.
    #[serde(deserialize_with = "given")]
    pub(crate) email: Option<String>,
    /// How the person likes to be called, or `null`.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub(crate) name: Option<Option<String>>,
}

/// What cannot be removed: `null` is refused.
/// The addresses of these persons.
pub(super) fn emails(table: &AccessTable, people: &[PersonId]) -> Vec<String> {
    people.iter().filter_map(|id| table.person(*id)).map(|person| person.email.to_string()).collect()
}

/// The persons that an actor may be told of: those who have to do with an instance that the actor may share.
pub(crate) fn suggest(table: &AccessTable, actor: &Actor, query: &str, now: Timestamp) -> Vec<PersonView> {
    let query = query.trim().to_lowercase();
    let matches = |person: &Person| {
        let name = person.name.as_deref().unwrap_or_default().to_lowercase();
        person.email.as_str().contains(&query) || name.contains(&query)
    };
    let known = known_to(table, actor, now);
    let mut found: Vec<_> = table
        .people()
        .filter(|person| (*actor == Actor::Panel || known.contains(&person.id)) && matches(person))
        .map(|person| PersonView::of(person))
        .collect();
    found.sort_by(|one, other| one.email.cmp(&other.email));
    found
}

/// Everybody who has to do with an instance that the actor may share.
fn known_to(table: &AccessTable, actor: &Actor, now: Timestamp) -> HashSet<PersonId> {
    let may_share = |instance: &&Arc<Instance>| decide::<ShareInvite>(table, actor, &instance.id, now).is_ok();
    let involved = |instance: &Arc<Instance>| {
        let guests = table.shares_on(&instance.id).map(|share| share.person);
        instance.owners.iter().copied().chain(guests).collect::<Vec<_>>()
    };
    match actor {
        Actor::Person(_) => table.instances().filter(may_share).flat_map(involved).collect(),
        Actor::Panel | Actor::Stranger(_) | Actor::Nobody => HashSet::new(),
    }
}

/// The person that a path names, by id or address.
pub(crate) fn find(table: &AccessTable, text: &str) -> Result<PersonId, Problem> {
    let by_email = || table.person_by_email(&text.parse().ok()?).map(|person| person.id);
    let by_id = text.parse::<PersonId>().ok().filter(|id| table.person(*id).is_some());
    by_id.or_else(by_email).ok_or_else(|| Problem::not_found("person"))
}

/// Changes a person, for the panel. Another address ends the person's sign-ins.
pub(crate) async fn update(
    serve: &Arc<Serve>,
    caller: Caller,
    id: PersonId,
    patch: PersonPatch,
) -> Result<(PersonView, Ended), Problem> {
    decide_panel(&caller.actor)?;
    let (changed, mut ended) = serve
        .change(caller, move |change| {
            decide_panel(change.actor())?;
            let before = change.table().person(id).cloned().ok_or_else(|| Problem::not_found("person"))?;
            let mut person = Person::clone(&before);
            if let Some(text) = &patch.email {
                person.email = text
                    .parse::<Email>()
                    .map_err(|fault: InvalidEmail| Problem::invalid("email", fault.to_string()))?;
            }
            if let Some(name) = &patch.name {
                person.name = check_name(name.as_deref())?;
            }
            let other = change.table().person_by_email(&person.email).filter(|other| other.id != id);
            if other.is_some() {
                return Err(Problem::conflict("another person has this address"));
            }
            let moved = person.email != before.email;
            if moved {
                end_sign_ins(change, id)?;
                withdraw_invitations(change, id)?;
            }
            change.put_person(person.clone())?;
            change.record(Note::of("person.update").detail(format!("{} to {}", before.email, person.email)))?;
            Ok((PersonView::of(&person), moved))
        })
        .await?;
    let (view, moved) = changed;
    if moved {
        ended.closed.gateway += sign_out(serve, id).await.closed.gateway;
    }
    Ok((view, ended))
}

fn check_name(name: Option<&str>) -> Result<Option<String>, Problem> {
    match name.map(str::trim) {
        None | Some("") => Ok(None),
        Some(name) if name.chars().count() <= 200 && !name.chars().any(char::is_control) => Ok(Some(name.to_owned())),
        Some(_) => Err(Problem::invalid("name", "expected at most 200 characters, no control characters")),
    }
}

/// Takes back every link and session of a person at the gateway in the state, so that no restart brings one back. The
/// open ones are closed by [`sign_out`] afterwards.
pub(crate) fn end_sign_ins(change: &mut Change<'_>, person: PersonId) -> Result<(), Problem> {
    change.write(|rows| {
        gateway_rows::delete_links_of(rows, person)?;
        gateway_rows::delete_sessions_of(rows, person)
    })
}

/// Makes the links of a person's pending invitations dead: they were sent to an address that is theirs no more.
fn withdraw_invitations(change: &mut Change<'_>, person: PersonId) -> Result<(), Problem> {
    let pending = change.table().shares_of(person).filter(|share| share.state == ShareState::Pending);
    for share in pending {
        change.write(|rows| {
            gateway_rows::delete_invitation(rows, share.id)?;
            mail_queue::drop_invitations(rows, &share.id.to_string())
        })?;
    }
    Ok(())
}

/// Ends every sign-in of a person.
pub(crate) async fn sign_out(serve: &Arc<Serve>, person: PersonId) -> Ended {
    let of_person = |channel: &Channel| matches!(channel, Channel::Gateway(_, session) if session.person == person);
    channels::close(serve, serve.state.channels.take_where(of_person)).await
}
