//! The page behind the first link of an invitation: what is offered, and one button.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use latchkey_access::{Actor, Share, ShareState};

use super::answer::{Answer, dead_link};
use super::pages::InvitationPage;
use super::session::{self, Here, caller, check_origin};
use super::{Address, Gateway};
use crate::problem::Problem;
use crate::shares::{self, offer_in_words};
use crate::store::gateway_rows;
use crate::token::Token;

async fn pending_share(gateway: &Gateway, token: &Token) -> Result<Option<Arc<Share>>, Problem> {
    let (hash, now) = (token.hash(), gateway.serve.state.clock.now());
    let found = gateway.serve.read(move |connection| gateway_rows::share_of_invitation(connection, &hash, now)).await?;
    let table = gateway.serve.state.table();
    let share = found.and_then(|id| table.share(id).cloned());
    Ok(share.filter(|share| share.state == ShareState::Pending && !share.has_expired(now)))
}

pub(super) async fn show(State(gateway): Here, Path(text): Path<String>) -> Result<Answer, Answer> {
    let Some(token) = Token::parse(&text) else { return Ok(dead_link()) };
    let Some(share) = pending_share(&gateway, &token).await? else { return Ok(dead_link()) };
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    let id = share.id;
    let invitation = gateway
        .serve
        .read(move |connection| gateway_rows::invitation_of(connection, id))
        .await
        .map_err(Problem::from)?;
    let link_ends = invitation.map(|invitation| invitation.expires_at);
    let Some(offer) = offer_in_words(&table, &share, link_ends, now) else { return Ok(dead_link()) };
    Ok(Answer::page(&InvitationPage { offer, action: format!("/i/{}", token.text()) }))
}

/// Accepts, and signs the browser in: whoever has the link reads the person's mail.
pub(super) async fn accept(
    State(gateway): Here,
    Path(text): Path<String>,
    Extension(Address { text: address, .. }): Extension<Address>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    check_origin(&gateway, &headers)?;
    let Some(token) = Token::parse(&text) else { return Ok(dead_link()) };
    let Some(share) = pending_share(&gateway, &token).await? else { return Ok(dead_link()) };
    let person = share.person;
    let hash = token.hash();
    let change = gateway
        .serve
        .change(caller(Actor::Person(person), &address), move |change| shares::accept_by_invitation(change, &hash));
    let (accepted, _) = change.await?;
    if accepted.is_none() {
        return Ok(dead_link());
    }
    let table = gateway.serve.state.table();
    if super::sign_in::is_owner(&table, person) {
        // Owners sign in through their panel only: who reads their mail must not become them.
        return Ok(Answer::see("/sign-in"));
    }
    match session::open(&gateway, &address, move |_| Ok(Some(person))).await? {
        Some(cookie) => Ok(Answer::see("/").with_cookie(cookie)),
        None => Ok(dead_link()),
    }
}
