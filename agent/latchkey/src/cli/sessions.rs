//! `latchkey sessions`: the live channels.

use clap::Subcommand;

use super::client::{Call, CallError, Client};
use super::view::{self, Field};
use super::{Answer, Ask, share};

const COLUMNS: &[Field] = &[
    ("SESSION", "id"),
    ("KIND", "kind"),
    ("PERSON", "person"),
    ("INSTANCE", "instance"),
    ("SHARE", "share"),
    ("SINCE", "opened_at"),
    ("ADDRESS", "address"),
];

/// What can be done with live channels.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what is open now.
    ///
    /// Example: latchkey sessions list
    List,
    /// Close one channel. The person may open another as long as their share lives.
    ///
    /// Example: latchkey sessions end SESSION
    End {
        /// The session's id.
        session: String,
    },
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(match self {
            Self::List => Answer::new(client.send_all(&Call::get(&["sessions"]))?, |reply| {
                view::table(reply, COLUMNS, "Nothing is open.")
            }),
            Self::End { session } => Answer::new(client.send(&Call::delete(&["sessions", session]))?, share::outcome),
        })
    }
}
