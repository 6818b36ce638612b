//! The hand-over to WP Admin: says whom one becomes, and posts to the site.
//!
//! To the site's exact location; or, where it has none, to the gateway first, which puts a one-use script into the docroot
//! and sends the form on to it as it is.
//!
//! By itself only for the very person, signed in here, or from the operator's panel. Otherwise after a click: scanners
//! must not use the link up, and nobody shall be signed in by somebody else's link.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::REFERER;
use latchkey_access::rows::SsoOpen;
use latchkey_access::{AccessTable, Actor, Instance, SsoRedeemer};
use serde::Deserialize;

use super::answer::Answer;
use super::pages::HandOverPage;
use super::session::{Fields, Here, Maybe, caller, check_origin};
use super::{Address, Gateway};
use crate::problem::Problem;
use crate::store::hand_overs::{self, HandOver};
use crate::token::Token;
use crate::wordpress::script;

const REDEEMER: &str = "/.well-known/latchkey-sso";

pub(super) async fn show(
    State(gateway): Here,
    Path(text): Path<String>,
    Maybe(signed_in): Maybe,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    let Some((token, hand_over)) = find(&gateway, &text).await? else { return Ok(dead()) };
    let table = gateway.serve.state.table();
    let Some(instance) = table.instance(&hand_over.instance) else { return Ok(dead()) };
    let origin = origin_of(&instance.url);
    let same_person = signed_in.is_some_and(|who| hand_over.actor == Actor::Person(who.person));
    let page = HandOverPage {
        site_label: instance.label.clone(),
        site_url: instance.url.clone(),
        person_note: note(&gateway, &hand_over),
        wp_user_login: hand_over.user.login.clone(),
        action: match redeemer_of(&table, instance) {
            SsoRedeemer::Location => format!("{}{REDEEMER}", instance.url),
            SsoRedeemer::Script => format!("/sso/{text}"),
        },
        token: token.text(),
        submits_itself: same_person || comes_from_panel(&gateway, &headers),
    };
    Ok(Answer::page(&page).posting_to(origin))
}

#[derive(Deserialize)]
pub(super) struct SubmitForm {
    token: String,
}

/// Puts the script into its place and sends the form on: the browser posts the same form again.
pub(super) async fn submit(
    State(gateway): Here,
    Path(text): Path<String>,
    Extension(address): Extension<Address>,
    headers: HeaderMap,
    Fields(form): Fields<SubmitForm>,
) -> Result<Answer, Answer> {
    check_origin(&gateway, &headers)?;
    if form.token != text {
        return Ok(dead());
    }
    let Some((token, hand_over)) = find(&gateway, &text).await? else { return Ok(dead()) };
    let table = gateway.serve.state.table();
    let Some(instance) = table.instance(&hand_over.instance) else { return Ok(dead()) };
    let origin = origin_of(&instance.url);
    let action = match redeemer_of(&table, instance) {
        SsoRedeemer::Location => format!("{}{REDEEMER}", instance.url),
        SsoRedeemer::Script => {
            let caller = caller(hand_over.actor.clone(), &address.text);
            format!("{origin}{}", script::place(&gateway.serve, caller, hand_over, &token).await?)
        }
    };
    Ok(Answer::see(action).with_status(307).posting_to(origin))
}

/// The hand-over behind a link, unless it is used, too old, or not allowed any more.
async fn find(gateway: &Gateway, text: &str) -> Result<Option<(Token, HandOver)>, Problem> {
    let Some(token) = Token::parse(text) else { return Ok(None) };
    let (hash, now) = (token.hash(), gateway.serve.state.clock.now());
    let found = gateway.serve.read(move |connection| hand_overs::find(connection, &hash, now)).await?;
    let Some(hand_over) = found else { return Ok(None) };
    let table = gateway.serve.state.table();
    latchkey_access::decide::<SsoOpen>(&table, &hand_over.actor, &hand_over.instance, now)?;
    Ok(Some((token, hand_over)))
}

fn redeemer_of(table: &AccessTable, instance: &Instance) -> SsoRedeemer {
    table.hosting(&instance.hosting).map_or(SsoRedeemer::Location, |hosting| hosting.web.sso)
}

fn dead() -> Answer {
    let text = "This link was used already, or it is too old: links are good once, for a minute. Open WP Admin again from \
                your instances or from your hosting panel.";
    Answer::problem("This link does not work any more", text).with_status(404)
}

fn note(gateway: &Gateway, hand_over: &HandOver) -> Option<String> {
    let table = gateway.serve.state.table();
    let person = table.person(hand_over.actor.person()?)?;
    Some(format!("This link was made for {}.", person.email))
}

pub(super) fn comes_from_panel(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok()).map(origin_of);
    referer.is_some_and(|origin| gateway.serve.config.gateway.panel_origins.contains(&origin))
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(after_scheme..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| after_scheme + at);
    url.get(..path).unwrap_or(url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(origin_of("https://example.org/wp"), "https://example.org");
        assert_eq!(origin_of("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(origin_of("https://panel.example/"), "https://panel.example");
    }
}
