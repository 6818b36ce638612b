//! `latchkey gateway-link`: a one-time link that signs a person in to the gateway.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Call, CallError, Client};
use super::view::{at, cell};
use super::{Answer, Ask};

/// `latchkey gateway-link`.
#[derive(Debug, Args)]
pub(crate) struct GatewayLink {
    /// The person.
    email: String,
}

impl Ask for GatewayLink {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        let reply = client.send(&Call::post(&["gateway", "links"], json!({ "person": self.email })))?;
        Ok(Answer::new(reply, link))
    }
}

fn link(reply: &Value) -> String {
    let until = at(reply, "expires_at").as_str().map(|end| format!("\nWorks once, until {end}.")).unwrap_or_default();
    format!("{}{until}", cell(at(reply, "url")))
}
