//! How often the gateway answers: by person for whoever is signed in, by address for everybody else, and less for links
//! that do not work.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use latchkey_access::PersonId;

use super::answer::Answer;
use super::{Address, Gateway, session};
use crate::guesses::Guesses;
use crate::net::{Held, check_head, network_of};
use crate::problem::Problem;
use crate::rates::{Rates, too_many};
use crate::token::Token;

/// Paths whose next part is a token.
const LINKS: [&str; 3] = ["/i/", "/s/", "/sso/"];

/// Somebody who goes on with links that do not work is answered this late, so that it costs next to nothing.
const REFUSALS_APART: Duration = Duration::from_millis(100);

/// Who has asked how often.
#[derive(Debug, Default)]
pub(super) struct Limits {
    of_address: Rates<IpAddr>,
    of_person: Rates<PersonId>,
    guesses: Guesses<IpAddr>,
}

/// Answers a request that is within the limits.
pub(super) async fn within_limits(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    match answer(&gateway, request, next).await {
        Ok(response) => response,
        Err(problem) => Answer::from(problem).into_response(),
    }
}

async fn answer(gateway: &Gateway, request: Request, next: Next) -> Result<Response, Problem> {
    check_head(&request)?;
    let (serve, limits) = (&gateway.serve, &gateway.limits);
    let network = network_of(request.extensions().get::<Address>().map_or(IpAddr::from([0; 4]), |from| from.ip));
    let path = request.uri().path();
    let link = LINKS.iter().find_map(|beneath| path.strip_prefix(beneath)).map(Token::parse);
    if let Some(token) = &link {
        // Before the rate of the address, which others there need.
        if let Err(problem) = limits.guesses.admit(serve, &network, token.as_ref()).await {
            let mut refusal = Answer::from(problem).into_response();
            refusal.extensions_mut().insert(Held(REFUSALS_APART));
            return Ok(refusal);
        }
    }
    let (bounds, now) = (&serve.config.limits, serve.state.clock.ticking());
    match session::person_of(gateway, request.headers()) {
        Some(person) => limits.of_person.take(&person, bounds.gateway_per_person, now),
        None => limits.of_address.take(&network, bounds.gateway_per_address, now),
    }
    .map_err(|wait| too_many("too many requests came from you", wait))?;
    let response = next.run(request).await;
    if link.is_some() && response.status() == StatusCode::NOT_FOUND {
        limits.guesses.missed(serve, &network);
    }
    Ok(response)
}
