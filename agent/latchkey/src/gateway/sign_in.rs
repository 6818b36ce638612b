//! Signing in by an emailed link, or by a link of the panel; and signing out.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use latchkey_access::{AccessTable, Email, PersonId};
use serde::Deserialize;

use super::answer::{Answer, dead_link};
use super::pages::{ConfirmSignInPage, SignInPage, SignInSentPage};
use super::session::{self, Button, Fields, Here, OwnForm, check_origin};
use super::{Address, Gateway};
use crate::channels::has_business_here;
use crate::clock::later;
use crate::mail::letters::SignIn;
use crate::problem::Problem;
use crate::request;
use crate::shares::moment_in_words;
use crate::store::gateway_rows;
use crate::store::mail_queue::{self, NewLetter};
use crate::token::Token;

const LINK_LIFE: Duration = Duration::from_secs(15 * 60);
/// So many links a minute are sent to one person.
const LINKS_PER_MINUTE: u32 = 1;

/// What the sign-in form sends.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    #[serde(default)]
    email: String,
}

/// Whether a person owns an instance or a hosting here.
pub(super) fn is_owner(table: &AccessTable, person: PersonId) -> bool {
    table.instances().any(|instance| instance.owners.contains(&person))
        || table.hostings().any(|hosting| hosting.owners.contains(&person))
}

pub(super) async fn show() -> Answer {
    Answer::page(&SignInPage { action: "/sign-in".into(), problem: None })
}

/// Sends a link, if the address is of somebody who signs in that way. The answer is the same for everybody.
pub(super) async fn send(
    State(gateway): Here,
    headers: HeaderMap,
    Fields(form): Fields<SignInForm>,
) -> Result<Answer, Answer> {
    check_origin(&gateway, &headers)?;
    let Ok(email) = form.email.trim().parse::<Email>() else {
        let problem = Some("Please enter an address like name@example.org.".to_owned());
        return Ok(Answer::page(&SignInPage { action: "/sign-in".into(), problem }).with_status(400));
    };
    // Apart from the answer, so that it takes as long for everybody.
    request::spawn(async move {
        if let Err(problem) = send_link(&gateway, &email).await {
            tracing::warn!(detail = %problem.detail, "a sign-in link could not be sent");
        }
    });
    Ok(Answer::page(&SignInSentPage))
}

async fn send_link(gateway: &Gateway, email: &Email) -> Result<(), Problem> {
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    let Some(person) = table.person_by_email(email).map(|person| person.id) else { return Ok(()) };
    if is_owner(&table, person) || !has_business_here(&table, person, now) {
        return Ok(());
    }
    if gateway.links_sent.take(&person, LINKS_PER_MINUTE, gateway.serve.state.clock.ticking()).is_err() {
        return Ok(());
    }
    let (token, expires_at) = (Token::generate()?, later(now, LINK_LIFE));
    let link = format!("{}/s/{}", gateway.serve.config.gateway.url, token.text());
    let letter = SignIn { link, link_ends: moment_in_words(expires_at) }.letter();
    let letter = letter.map_err(|error| Problem::internal(&error))?;
    let (recipient, hash) = (email.to_string(), token.hash());
    let letter_to = recipient.clone();
    let caller = session::caller(latchkey_access::Actor::Person(person), "");
    gateway
        .serve
        .change(caller, move |change| {
            // The address may have become somebody else's, or nobody's, in between.
            let still = change.table().person(person).is_some_and(|person| person.email.as_str() == letter_to);
            if !still {
                return Ok(());
            }
            gateway_rows::save_link(change.connection(), &hash, person, expires_at)?;
            let letter = NewLetter {
                share: None,
                kind: "sign_in",
                recipient,
                subject: letter.subject,
                text: letter.text,
                html: letter.html,
            };
            Ok(mail_queue::enqueue(change.connection(), &letter, change.now)?)
        })
        .await
        .map(drop)
}

/// Asks for a click: what follows links in mails must not use them up.
pub(super) async fn confirm(State(gateway): Here, Path(text): Path<String>) -> Result<Answer, Answer> {
    let Some(token) = Token::parse(&text) else { return Ok(dead_link()) };
    let (hash, now) = (token.hash(), gateway.serve.state.clock.now());
    let found = gateway.serve.read(move |connection| gateway_rows::person_of_link(connection, &hash, now)).await;
    let table = gateway.serve.state.table();
    match found.map_err(Problem::from)?.and_then(|id| table.person(id)) {
        Some(person) => Ok(Answer::page(&ConfirmSignInPage {
            action: format!("/s/{}", token.text()),
            person: person.email.to_string(),
        })),
        None => Ok(dead_link()),
    }
}

pub(super) async fn redeem(
    State(gateway): Here,
    Path(text): Path<String>,
    Extension(Address { text: address, .. }): Extension<Address>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    check_origin(&gateway, &headers)?;
    let Some(token) = Token::parse(&text) else { return Ok(dead_link()) };
    let (hash, now) = (token.hash(), gateway.serve.state.clock.now());
    let burn = move |connection: &rusqlite::Connection| gateway_rows::burn_link(connection, &hash, now);
    match session::open(&gateway, &address, burn).await? {
        Some(cookie) => Ok(Answer::see("/").with_cookie(cookie)),
        None => Ok(dead_link()),
    }
}

pub(super) async fn sign_out(
    State(gateway): Here,
    OwnForm { by: signed_in, .. }: OwnForm<Button>,
) -> Result<Answer, Answer> {
    let cookie = session::end(&gateway, &signed_in.session).await?;
    Ok(Answer::see("/sign-in").with_cookie(cookie))
}
