//! `latchkey status`: whether the agent is well.

use clap::Args;

use super::client::{Call, CallError, Client};
use super::{Answer, Ask, view};

/// `latchkey status`.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Ask for Status {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(Answer::new(client.send(&Call::get(&["health"]))?, view::anything))
    }
}
