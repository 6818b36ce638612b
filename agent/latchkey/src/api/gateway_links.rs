//! `POST /v1/gateway/links`: a one-time link that signs a person in to the gateway.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::decide_panel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::reply::Reply;
use crate::body::parse_body;
use crate::caller::Note;
use crate::clock::later;
use crate::problem::Problem;
use crate::registry::people;
use crate::store::audit::Outcome;
use crate::store::gateway_rows;
use crate::token::Token;

const LIFE: Duration = Duration::from_secs(120);

/// Whom to sign in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkInput {
    /// The person's address or id.
    #[serde(alias = "email")]
    person: String,
}

/// The link.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LinkOutput {
    /// Good once.
    url: String,
    /// Until when.
    #[schemars(with = "String")]
    expires_at: Timestamp,
}

pub(super) async fn create(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let input: LinkInput = parse_body(&call.body)?;
    let person = people::find(&call.serve.state.table(), &input.person)?;
    let token = Token::generate()?;
    let (hash, expires_at) = (token.hash(), later(call.serve.state.clock.now(), LIFE));
    call.serve.write(move |connection| gateway_rows::save_link(connection, &hash, person, expires_at)).await?;
    let note = Note::of("gateway.link").detail(format!("for {}", input.person));
    call.serve.record(call.caller.clone(), note, Outcome::Allowed).await;
    let url = format!("{}/s/{}", call.serve.config.gateway.url, token.text());
    Ok(Reply::json(&LinkOutput { url, expires_at })?.with_status(201).with_secret())
}
