//! Calls about live channels.

use jiff::Timestamp;
use latchkey_access::{AccessTable, Actor};
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::page::page;
use super::reply::Reply;
use crate::caller::Note;
use crate::channels::{self, Channel, Ended};
use crate::problem::Problem;
use crate::store::audit::Outcome;

/// A live channel.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionView {
    /// Its name.
    id: String,
    /// `wordpress`, `gateway`, `sftp`, `ftp`, `transfer`, `stream`, `job`, `phpmyadmin`, or `database`: a password of a
    /// database user that was shown.
    kind: &'static str,
    /// The address of the person; none for the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// The instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The share it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// The WordPress user.
    #[serde(skip_serializing_if = "Option::is_none")]
    wp_user: Option<String>,
    /// The operation, of a transfer, a stream, a job and of what databases are reached with.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    /// When it was opened.
    #[schemars(with = "String")]
    opened_at: Timestamp,
    /// The file account that it was opened with.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    /// What the client of a file account says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// When it ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    expires_at: Option<Timestamp>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// What closing a channel answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndedSession {
    /// What ended.
    ended: Ended,
}

fn view(table: &AccessTable, channel: &Channel) -> SessionView {
    let person = channel.actor().person().and_then(|id| table.person(id)).map(|person| person.email.to_string());
    match channel {
        Channel::Wordpress(session) => SessionView {
            id: session.mark.clone(),
            kind: channel.kind(),
            person,
            instance: Some(session.instance.to_string()),
            share: session.share.map(|id| id.to_string()),
            wp_user: Some(session.user.login.clone()),
            operation: None,
            login: None,
            client: None,
            opened_at: session.opened_at,
            expires_at: Some(session.expires_at),
            address: None,
        },
        Channel::Gateway(_, session) => SessionView {
            id: session.id.clone(),
            kind: channel.kind(),
            person,
            instance: None,
            share: None,
            wp_user: None,
            operation: None,
            login: None,
            client: None,
            opened_at: session.opened_at,
            expires_at: Some(session.expires_at),
            address: Some(session.address.clone()),
        },
        Channel::Files(session) => SessionView {
            id: session.id.clone(),
            kind: channel.kind(),
            person,
            instance: session.permit.instance().map(ToString::to_string),
            share: session.permit.share().map(|id| id.to_string()),
            wp_user: None,
            operation: None,
            login: Some(session.login.clone()),
            client: Some(session.client.clone()),
            opened_at: session.opened_at,
            expires_at: None,
            address: Some(session.address.clone()),
        },
        Channel::Work(work) => SessionView {
            id: work.id.clone(),
            kind: channel.kind(),
            person,
            instance: Some(work.instance.to_string()),
            share: work.share.map(|id| id.to_string()),
            wp_user: None,
            operation: Some(work.what),
            login: None,
            client: None,
            opened_at: work.opened_at,
            expires_at: None,
            address: work.address.clone(),
        },
    }
}

fn is_own(actor: &Actor, channel: &Channel) -> bool {
    *actor == Actor::Panel || channel.actor() == *actor
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    let all = call.serve.state.channels.list();
    let own = all.iter().filter(|channel| is_own(call.actor(), channel));
    let items =
        own.map(|channel| view(&table, channel)).filter(|item| item.expires_at.is_none_or(|end| end > now)).collect();
    Reply::json(&page(&call, items, |item| &item.id)?)
}

pub(super) async fn end(call: Call) -> Result<Reply, Problem> {
    let id = call.param("session");
    let all = call.serve.state.channels.list();
    let now = call.serve.state.clock.now();
    let found = all.iter().find(|channel| channel.id() == id && is_own(call.actor(), channel) && !channel.is_past(now));
    let taken = found.and_then(|channel| call.serve.state.channels.take(channel.id()));
    let taken = taken.ok_or_else(|| Problem::not_found("session"))?;
    let ended = channels::close(&call.serve, taken).await;
    call.serve.record(call.caller.clone(), Note::of("session.end").detail(id.to_owned()), Outcome::Allowed).await;
    Reply::json(&EndedSession { ended })
}
