//! How often the API answers: a certificate as the operator says, a person's changes as the limits say.
//!
//! Reads on behalf of a person have no rate of their own: one costs less than its connection.

use axum::http::Method;
use latchkey_access::Actor;

use super::peer::Peer;
use crate::problem::Problem;
use crate::rates::{Rates, too_many};
use crate::serve::Serve;

/// Who has asked how often.
#[derive(Debug, Default)]
pub(super) struct Limits {
    of_certificate: Rates<String>,
    of_person: Rates<Actor>,
}

impl Limits {
    /// Takes a request from what a certificate may make.
    pub(super) fn take_of_peer(&self, serve: &Serve, peer: &Peer) -> Result<(), Problem> {
        let taken = self.of_certificate.take(&peer.name, peer.requests_per_minute, serve.state.clock.ticking());
        taken.map_err(|wait| too_many("too many requests came with this certificate", wait))
    }

    /// Takes a change or an operation from what is done on behalf of a person.
    pub(super) fn take_of_person(&self, serve: &Serve, actor: &Actor, method: &Method) -> Result<(), Problem> {
        if *actor == Actor::Panel || method == Method::GET {
            return Ok(());
        }
        let taken = self.of_person.take(actor, serve.config.limits.api_per_person, serve.state.clock.ticking());
        taken.map_err(|wait| too_many("too many changes were made on behalf of this person", wait))
    }
}
