//! Calls about the state as a whole: a copy of it, and back to one. Files lie in the state directory; the command line
//! takes them from there or puts them there, so that serve needs no other place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::reply::Reply;
use crate::body::parse_body;
use crate::caller::Note;
use crate::problem::{Code, Problem, chain};
use crate::state::restore::Unknown;
use crate::store::audit::{Head, Outcome};
use crate::store::backup::{self, BackupError};

/// The copy's name in the state directory.
pub(crate) const COPY: &str = "backup.db";

/// A copy of the state.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BackedUp {
    /// Where it lies; the next one replaces it.
    file: String,
    /// The end of its audit.
    head: Option<Head>,
}

/// How to go back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreInput {
    /// Let shares of which nothing newer is known come back as they were, instead of suspended.
    #[serde(default)]
    keep_active: bool,
}

pub(super) async fn back_up(call: Call) -> Result<Reply, Problem> {
    let file = call.serve.config.state_dir.join(COPY);
    let (serve, copy) = (call.serve.clone(), file.clone());
    // First, so that it is in the copy.
    call.serve.record(call.caller.clone(), Note::of("state.backup"), Outcome::Allowed).await;
    let head = call.serve.blocking(move || serve.state.store.copy_to(&copy)).await?.map_err(not_made)?;
    Reply::json(&BackedUp { file: file.display().to_string(), head })
}

pub(super) async fn restore(call: Call) -> Result<Reply, Problem> {
    let input: RestoreInput = parse_body(&call.body)?;
    let unknown = if input.keep_active { Unknown::Kept } else { Unknown::Suspended };
    let file = unknown.waiting_in(&call.serve.config.state_dir);
    if !file.exists() {
        return Err(Problem::conflict("expected a backup in the state directory; latchkey restore puts it there"));
    }
    let opened = {
        let file = file.clone();
        call.serve.blocking(move || backup::open(&file)).await?
    };
    let copy = opened.map_err(|error| Problem::new(Code::Invalid, chain(&error)));
    let restored = match copy {
        Ok(copy) => call.serve.restore(call.caller.clone(), copy, unknown).await,
        Err(problem) => Err(problem),
    };
    // Done with, whatever came of it: it must not be restored again at the next start.
    backup::remove(&file).map_err(not_made)?;
    Reply::json(&restored?)
}

fn not_made(error: BackupError) -> Problem {
    let BackupError::Store(error) = error else {
        tracing::error!(error = %chain(&error), "the state was not copied");
        return Problem::new(Code::Unavailable, chain(&error));
    };
    error.into()
}
