//! Who is signed in: the cookie, its CSRF token, and where a form may come from.

use std::time::Duration;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::{COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use latchkey_access::{Actor, PersonId};
use rusqlite::Connection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::Answer;
use super::{Address, Gateway};
use crate::caller::{Caller, Note};
use crate::channels::Channel;
use crate::clock::later;
use crate::problem::{Code, Problem};
use crate::request;
use crate::store::StoreError;
use crate::store::audit::Outcome;
use crate::store::gateway_rows::{self, GatewaySession};
use crate::token::{Token, hex, random_hex};

const COOKIE_NAME: &str = "__Host-latchkey";
const LIFE: Duration = Duration::from_secs(12 * 3600);
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct SignedIn {
    pub(super) person: PersonId,
    pub(super) session: String,
    /// What their forms carry.
    pub(super) csrf: String,
    pub(super) address: String,
}

impl SignedIn {
    /// Who asks, for decisions and the audit.
    pub(super) fn caller(&self) -> Caller {
        caller(Actor::Person(self.person), &self.address)
    }

    /// Refuses a form that is not one of ours.
    fn check_form(&self, gateway: &Gateway, headers: &HeaderMap, csrf: &str) -> Result<(), Problem> {
        let own =
            headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() == gateway.serve.config.gateway.url.as_bytes());
        if own && bool::from(self.csrf.as_bytes().ct_eq(csrf.as_bytes())) {
            Ok(())
        } else {
            Err(Problem::new(Code::Forbidden, "the form did not come from this page; open the page again"))
        }
    }
}

/// Somebody at the gateway, for the audit.
pub(super) fn caller(actor: Actor, address: &str) -> Caller {
    Caller { actor, via: "gateway".into(), address: Some(address.to_owned()), request_id: request::current_id() }
}

/// A form without a session may come from this gateway, or from a client that is no browser and sends no origin.
pub(super) fn check_origin(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Problem> {
    let own = gateway.serve.config.gateway.url.as_bytes();
    let from_here = match headers.get(ORIGIN) {
        Some(origin) => origin.as_bytes() == own,
        None => {
            headers.get(FETCH_SITE).is_none_or(|site| site.as_bytes() == b"same-origin" || site.as_bytes() == b"none")
        }
    };
    if from_here {
        Ok(())
    } else {
        Err(Problem::new(Code::Forbidden, "the form came from another site; open the link again"))
    }
}

fn cookie(headers: &HeaderMap) -> Option<Token> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let named = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    named.filter(|(name, _)| *name == COOKIE_NAME).find_map(|(_, value)| Token::parse(value))
}

fn csrf_of(token: &Token) -> String {
    hex(&Sha256::new_with_prefix("latchkey csrf ").chain_update(token.text()).finalize())
}

impl FromRequestParts<Gateway> for SignedIn {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Answer> {
        signed_in(gateway, parts).ok_or_else(|| Answer::see("/sign-in"))
    }
}

/// Somebody who may be signed in.
#[derive(Debug, Clone)]
pub(super) struct Maybe(pub(super) Option<SignedIn>);

impl FromRequestParts<Gateway> for Maybe {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Answer> {
        Ok(Self(signed_in(gateway, parts)))
    }
}

fn signed_in(gateway: &Gateway, parts: &Parts) -> Option<SignedIn> {
    let (token, session) = session_of(gateway, &parts.headers)?;
    let address = parts.extensions.get::<Address>().map(|address| address.text.clone()).unwrap_or_default();
    Some(SignedIn { person: session.person, session: session.id, csrf: csrf_of(&token), address })
}

fn session_of(gateway: &Gateway, headers: &HeaderMap) -> Option<(Token, GatewaySession)> {
    let token = cookie(headers)?;
    let session = gateway.serve.state.channels.gateway_session(&token.hash(), gateway.serve.state.clock.now())?;
    Some((token, session))
}

/// Who is signed in, if somebody is.
pub(super) fn person_of(gateway: &Gateway, headers: &HeaderMap) -> Option<PersonId> {
    session_of(gateway, headers).map(|(_, session)| session.person)
}

/// Signs in the person that `whom` finds, if it finds one; the answer is the cookie.
///
/// Found, written and registered before anybody else writes: a change that ends a person's sign-ins comes before all of
/// it or after.
pub(super) async fn open(
    gateway: &Gateway,
    address: &str,
    whom: impl FnOnce(&Connection) -> Result<Option<PersonId>, StoreError> + Send + 'static,
) -> Result<Option<String>, Problem> {
    let (token, id, now) = (Token::generate()?, random_hex()?, gateway.serve.state.clock.now());
    let (hash, serve, from, name) = (token.hash(), gateway.serve.clone(), address.to_owned(), id.clone());
    let opened = gateway.serve.write(move |connection| {
        let Some(person) = whom(connection)? else { return Ok(None) };
        let session = GatewaySession { id, person, opened_at: now, expires_at: later(now, LIFE), address: from };
        gateway_rows::save_session(connection, &hash, &session)?;
        let channel = Channel::Gateway(hash, session);
        serve.state.channels.register(channel.clone());
        Ok(Some((person, channel)))
    });
    let opened = opened.await.inspect_err(|_| {
        // Registered, but not written: nobody gets its cookie.
        gateway.serve.state.channels.forget(&name);
    });
    let Some((person, channel)) = opened? else { return Ok(None) };
    if !channel.is_allowed(&gateway.serve.state.table(), gateway.serve.state.clock.now()) {
        end(gateway, channel.id()).await?;
        return Err(Problem::new(Code::Forbidden, "nothing is shared with you any more"));
    }
    let caller = caller(Actor::Person(person), address);
    gateway.serve.record(caller, Note::of("gateway.sign_in"), Outcome::Allowed).await;
    let (cookie, life_s) = (token.text(), LIFE.as_secs());
    Ok(Some(format!("{COOKIE_NAME}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={life_s}")))
}

/// Signs a browser out.
pub(super) async fn end(gateway: &Gateway, session: &str) -> Result<String, Problem> {
    gateway.serve.state.channels.forget(session);
    let id = session.to_owned();
    gateway.serve.write(move |connection| gateway_rows::delete_session(connection, &id)).await?;
    Ok(format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
}

/// What a form sends. One that is none gets a page like any other.
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Gateway> for Fields<T> {
    type Rejection = Answer;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Answer> {
        let incomplete = |_: FormRejection| {
            Answer::from(Problem::new(Code::Invalid, "the form is not complete; open the page again"))
        };
        Form::from_request(request, gateway).await.map(|Form(fields)| Self(fields)).map_err(incomplete)
    }
}

/// A form that somebody who is signed in sent from a page of ours; only such a form can be had as this.
pub(super) struct OwnForm<T> {
    pub(super) by: SignedIn,
    pub(super) fields: T,
}

/// The fields of a form for whoever is signed in.
pub(super) trait OwnFields: DeserializeOwned {
    /// What shows that it comes from a page of ours.
    fn csrf(&self) -> &str;
}

impl<T: OwnFields> FromRequest<Gateway> for OwnForm<T> {
    type Rejection = Answer;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Answer> {
        let (mut parts, body) = request.into_parts();
        let by = SignedIn::from_request_parts(&mut parts, gateway).await?;
        let headers = parts.headers.clone();
        let Fields(fields) = Fields::<T>::from_request(Request::from_parts(parts, body), gateway).await?;
        by.check_form(gateway, &headers, fields.csrf())?;
        Ok(Self { by, fields })
    }
}

/// A form that is a button only.
#[derive(Deserialize)]
pub(super) struct Button {
    #[serde(default)]
    csrf: String,
}

impl OwnFields for Button {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The state that axum hands to pages.
pub(super) type Here = State<Gateway>;
