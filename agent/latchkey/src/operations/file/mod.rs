//! `file.*`: the files of the hosting's home.
//!
//! What each does is in `file_manager`; here are its inputs and outputs, and what the audit says of it.

mod archive;
mod delete;
mod look;
mod make;
mod rename;
mod search;
mod write;

use latchkey_access::Permit;
use latchkey_protocol::SitePath;

use super::{Context, Run};
use crate::caller::Note;
use crate::file_manager::{Home, HomePath};
use crate::problem::Problem;
use crate::store::audit::Outcome;

/// Which file.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichFile {
    /// Relative to the home, percent-encoded.
    path: HomePath,
}

impl Context {
    async fn home<O: Run>(&self, permit: &Permit<O>) -> Result<Home, Problem> {
        Home::of(&self.serve, permit).await
    }

    /// Notes in the audit what became of something that was done to a file.
    async fn noted<O: Run, T>(
        &self,
        permit: &Permit<O>,
        paths: &[&SitePath],
        outcome: Result<T, Problem>,
    ) -> Result<T, Problem> {
        let paths = paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" to ");
        let (result, detail) = match &outcome {
            Ok(_) => (Outcome::Allowed, paths),
            Err(problem) => (Outcome::Failed, format!("{paths}: {}", problem.detail)),
        };
        let note = Note { share: permit.share().map(|id| id.to_string()), ..Note::of(O::SPEC.name) };
        let note = note.on(permit.instance()).rule(permit.rule()).detail(detail);
        self.serve.record(self.caller.clone(), note, result).await;
        outcome
    }
}
