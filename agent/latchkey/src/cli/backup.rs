//! `latchkey backup`: a checked copy of the state, as one file for root only.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Call, CallError, Client};
use super::state_files::{self, StateFileError};
use super::view::{at, cell};
use super::{Answer, Ask};

/// `latchkey backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where the copy shall lie. One that is there is replaced when the new one is whole.
    file: PathBuf,
}

impl Ask for Backup {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        // What serve cannot reach is found before it copies.
        let place = state_files::Place::reserve(&self.file).map_err(StateFileError::into_call_error)?;
        let reply = client.send(&Call::post(&["state", "backup"], json!({})))?;
        let made = at(&reply.json, "file").as_str().ok_or(CallError::NotUnderstood { what: "expected a file" })?;
        place.take(made.as_ref()).map_err(StateFileError::into_call_error)?;
        Ok(Answer::new(reply, told))
    }
}

fn told(reply: &Value) -> String {
    let rows = at(reply, "head.seq");
    let rows = if rows.is_null() { "0".to_owned() } else { cell(rows) };
    format!(
        "The state is backed up and the copy is whole; its audit has {rows} rows.\n\
         Not in it: the configuration, keys and certificates (/etc/latchkey), the broker's list of hostings and its heads of\n\
         the audit (/var/lib/latchkey-broker). Keep the file as secret as the state: it holds the letters that wait to be sent."
    )
}
