//! *My Instances*: what is shared with a person, and the way into each.

use axum::extract::{Path, State};
use latchkey_access::rows::{SsoOpen, SsoUsers};
use latchkey_access::{
    AccessTable, Actor, Instance, InstanceId, LogInAs, ShareId, decide, reach, sees, share_terms_now,
};
use serde::Deserialize;

use super::Gateway;
use super::answer::Answer;
use super::pages::{InstanceCard, MyInstancesPage, WpAdmin, WpUserItem, WpUsersPage};
use super::session::{Button, Here, OwnFields, OwnForm, SignedIn};
use crate::caller::Note;
use crate::problem::Problem;
use crate::shares::{self, EndInput, grants_in_words};
use crate::store::audit::Outcome;
use crate::wordpress::sso::{self, OpenInput, UsersInput};

/// What the form that opens WP Admin sends.
#[derive(Deserialize)]
pub(super) struct OpenForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    wp_user: Option<u64>,
}

impl OwnFields for OpenForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

pub(super) async fn show(State(gateway): Here, signed_in: SignedIn) -> Answer {
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    let actor = Actor::Person(signed_in.person);
    let mut visible: Vec<_> = table.instances().filter(|instance| sees(&table, &actor, instance, now)).collect();
    visible.sort_by(|one, other| one.label.cmp(&other.label).then(one.id.cmp(&other.id)));
    let person = table.person(signed_in.person);
    Answer::page(&MyInstancesPage {
        person_name_or_email: person
            .map(|person| person.name.clone().unwrap_or_else(|| person.email.to_string()))
            .unwrap_or_default(),
        csrf: signed_in.csrf.clone(),
        items: visible.into_iter().map(|instance| card(&gateway, &table, &signed_in, instance)).collect(),
        sign_out_action: "/sign-out".into(),
    })
}

fn card(gateway: &Gateway, table: &AccessTable, signed_in: &SignedIn, instance: &Instance) -> InstanceCard {
    let now = gateway.serve.state.clock.now();
    let owner = instance.owners.contains(&signed_in.person);
    let share = table.share_of_on(signed_in.person, &instance.id).filter(|_| !owner);
    let words = share.map(|share| grants_in_words(share, &reach(table, share, now)));
    let access_ends = share.and_then(|share| share_terms_now(table, share, now).expires_at);
    InstanceCard {
        instance: instance.id.to_string(),
        label: instance.label.clone(),
        url: instance.url.clone(),
        role_title: words.as_ref().map_or_else(
            || if owner { "Owner".to_owned() } else { "Related hosting".to_owned() },
            |words| words.role_title.clone(),
        ),
        owner,
        state: String::new(),
        access_ends: access_ends.map(shares::moment_in_words),
        privileges: words.as_ref().map(|words| words.privileges.clone()).unwrap_or_default(),
        reach: words.map(|words| words.reach).unwrap_or_default(),
        wp_admin: wp_admin(gateway, table, signed_in, &instance.id),
        files_page: share
            .filter(|share| share.is_live(now) && share.terms.file_access.reads())
            .map(|share| format!("/shares/{}/files", share.id)),
        leave_action: share.map(|share| format!("/shares/{}/leave", share.id)),
        open_action: format!("/instances/{}/wp-admin", instance.id),
    }
}

fn wp_admin(gateway: &Gateway, table: &AccessTable, signed_in: &SignedIn, instance: &InstanceId) -> WpAdmin {
    let actor = Actor::Person(signed_in.person);
    match decide::<SsoOpen>(table, &actor, instance, gateway.serve.state.clock.now()) {
        Err(_) => WpAdmin::None,
        Ok(permit) => match permit.log_in_as() {
            Some(LogInAs::All(_)) => WpAdmin::Choose,
            Some(LogInAs::Pinned(user)) => WpAdmin::Pinned(user.login.clone()),
            None => WpAdmin::NotSet,
        },
    }
}

fn instance_id(text: &str) -> Result<InstanceId, Problem> {
    text.parse().map_err(|_| Problem::not_found("instance"))
}

pub(super) async fn wp_users(
    State(gateway): Here,
    signed_in: SignedIn,
    Path(instance): Path<String>,
) -> Result<Answer, Answer> {
    let id = instance_id(&instance)?;
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    let permit = decide::<SsoUsers>(&table, &Actor::Person(signed_in.person), &id, now).map_err(Problem::from)?;
    let label = table.instance(&id).map(|instance| instance.label.clone()).unwrap_or_default();
    let listed = sso::users(&gateway.serve, &permit, UsersInput::default()).await;
    let (items, problem) = match listed {
        Ok(users) => (users.items, None),
        Err(problem) => (Vec::new(), Some(problem.detail)),
    };
    let item = |user: sso::WpUserItem| WpUserItem {
        id: user.id,
        login: user.login,
        display_name: user.display_name,
        roles: user.roles,
    };
    Ok(Answer::page(&WpUsersPage {
        label,
        items: items.into_iter().map(item).collect(),
        action: format!("/instances/{id}/wp-admin"),
        csrf: signed_in.csrf,
        problem,
    }))
}

pub(super) async fn open_wp_admin(
    State(gateway): Here,
    Path(instance): Path<String>,
    OwnForm { by: signed_in, fields: form }: OwnForm<OpenForm>,
) -> Result<Answer, Answer> {
    let id = instance_id(&instance)?;
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    let caller = signed_in.caller();
    let permit = match decide::<SsoOpen>(&table, &caller.actor, &id, now) {
        Ok(permit) => permit,
        Err(denial) => {
            let note = Note::of("sso.open").on(&id).rule(denial.rule).detail(denial.detail.clone());
            gateway.serve.record(caller, note, Outcome::Denied).await;
            return Err(Problem::from(denial).into());
        }
    };
    let opened = sso::open(&gateway.serve, &permit, OpenInput { user: form.wp_user }).await?;
    let note =
        Note { share: permit.share().map(|id| id.to_string()), ..Note::of("sso.open").on(&id).rule(permit.rule()) };
    gateway.serve.record(caller, note, Outcome::Allowed).await;
    let path = opened.url.strip_prefix(&gateway.serve.config.gateway.url).unwrap_or(&opened.url).to_owned();
    Ok(Answer::see(path))
}

pub(super) async fn leave(
    State(gateway): Here,
    Path(share): Path<String>,
    OwnForm { by: signed_in, .. }: OwnForm<Button>,
) -> Result<Answer, Answer> {
    let id: ShareId = share.parse().map_err(|_| Problem::not_found("share"))?;
    let own = gateway.serve.state.table().share(id).is_some_and(|share| share.person == signed_in.person);
    if !own {
        return Err(Problem::not_found("share").into());
    }
    let left = gateway.serve.change(signed_in.caller(), move |change| shares::revoke(change, id, &EndInput::default()));
    left.await?;
    Ok(Answer::see("/"))
}
