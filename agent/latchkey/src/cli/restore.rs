//! `latchkey restore`: back to a backup, while the agent runs or at its next start.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Call, CallError, Client, Reply};
use super::outcome::ended;
use super::state_files::{self, StateFileError};
use super::view::{at, cell};
use super::{Answer, Ask};

/// `latchkey restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// What `latchkey backup` wrote.
    file: PathBuf,
    /// Let shares come back as they were even where it is not known whether they ended since: only if you know.
    #[arg(long)]
    keep_active: bool,
}

/// A restore into a state directory.
pub(super) struct Into<'a> {
    pub(super) command: &'a Restore,
    pub(super) state_dir: PathBuf,
}

impl Ask for Into<'_> {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        let Restore { file, keep_active } = self.command;
        let name = if *keep_active { "restore-keep-active.db" } else { "restore.db" };
        let waiting = self.state_dir.join(name);
        state_files::put(file, &waiting).map_err(StateFileError::into_call_error)?;
        let call = Call::post(&["state", "restore"], json!({ "keep_active": keep_active }));
        match client.send(&call) {
            Ok(reply) => Ok(Answer::new(reply, told)),
            Err(CallError::Connect { .. }) => {
                let json = json!({ "waiting": waiting.display().to_string() });
                Ok(Answer::new(Reply { text: json.to_string(), json }, waits))
            }
            Err(error) => Err(error),
        }
    }
}

fn waits(reply: &Value) -> String {
    format!(
        "The agent does not run. The backup waits in {} and is checked and restored when the agent starts; its log says what came of it.",
        cell(at(reply, "waiting"))
    )
}

fn told(reply: &Value) -> String {
    let kept = at(reply, "kept_aside");
    let how = if kept.is_null() {
        "The state was whole: its shares went back to the backup, everything else is as it was.".to_owned()
    } else {
        format!("The backup took the place of the state, which lies in {} now.", cell(kept))
    };
    let count = |name: &str, words: &str| format!("\n  {:>6} {words}", cell(at(reply, &format!("shares.{name}"))));
    let counts: String = [
        ("as_backed_up", "shares as backed up"),
        ("stay_ended", "ended since the backup, and stay ended"),
        ("taken_back", "granted since the backup, and ended"),
        ("suspended", "suspended, because they were changed since or nobody knows: reinstate those that shall go on"),
        ("withdrawn", "invitations withdrawn, because nobody knows: invite again"),
    ]
    .iter()
    .map(|(name, words)| count(name, words))
    .collect();
    format!("{how}{counts}\n{}", ended(at(reply, "ended")))
}
