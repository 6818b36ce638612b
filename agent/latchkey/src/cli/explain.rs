//! `latchkey explain`: whether somebody may do something, and why.

use clap::Args;
use serde_json::json;

use super::client::{Call, CallError, Client};
use super::{Answer, Ask, view};

/// `latchkey explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The instance's id.
    instance: String,
    /// The person.
    #[arg(value_name = "EMAIL")]
    person: String,
    /// The operation, as `latchkey op list` names it.
    #[arg(value_name = "NOUN.VERB")]
    operation: String,
}

impl Ask for Explain {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        let body = json!({ "person": self.person, "operation": self.operation });
        let call = Call::post(&["instances", &self.instance, "explain"], body);
        Ok(Answer::new(client.send(&call)?, view::anything))
    }
}
