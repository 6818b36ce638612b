//! A command that the operator wrote down for an adapter: how serve asks for it, and how it ended.
//!
//! Which program that is, with which arguments and as which user, serve does not say: the broker reads it itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest that a command may run, in milliseconds.
pub const COMMAND_DEADLINE_MAX_MS: u32 = 60_000;

/// The most that a command may write to its standard output.
pub const COMMAND_STDOUT_MAX_BYTES: usize = 256 * 1024;

/// The most that a command may write to its standard error.
pub const COMMAND_STDERR_MAX_BYTES: usize = 64 * 1024;

/// One run of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCall {
    /// The adapter's name.
    pub adapter: String,
    /// The id of the hosting that it is about.
    pub hosting: String,
    /// The command's name in the operator's file.
    pub command: String,
    /// Values by the names of their places.
    pub arguments: Vec<(String, CommandArgument)>,
    /// Wall-clock time until it is killed, 1 to [`COMMAND_DEADLINE_MAX_MS`] milliseconds; the operator's is shorter or not.
    pub deadline_ms: u32,
}

/// A value for a place of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandArgument {
    /// An argument of the program's.
    Text(String),
    /// A line of its standard input.
    Secret(CommandSecret),
}

/// A value that is not told by what prints values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandSecret(pub String);

impl fmt::Debug for CommandSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CommandSecret(…)")
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandEnd {
    /// By itself.
    Exited {
        /// Its exit code.
        code: u8,
    },
    /// By a signal that was not the broker's.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Its time was over, and it was killed.
    TimedOut,
    /// It wrote more than it may, and was killed.
    TooMuch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_and_not_told() {
        let argument = CommandArgument::Secret(CommandSecret("s3cret".into()));
        assert_eq!(serde_json::to_string(&argument).unwrap(), r#"{"secret":"s3cret"}"#);
        assert!(!format!("{argument:?}").contains("s3cret"));
    }
}
