//! The shapes of `command`, field by field and case by case as the WIT has them.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `command.argument`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Argument {
    /// An argument of the program's.
    Text(String),
    /// The name of a secret.
    Secret(String),
}

/// `command.output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The exit code; absent when a signal ended it.
    pub code: Option<u8>,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

/// `command.command-error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandError {
    /// Not granted.
    Denied(Denial),
    /// Something is not what the operator's line expects.
    Invalid(String),
    /// Too many run already.
    Busy,
    /// What the operator wrote down cannot be run.
    NotStarted(String),
    /// It was ended before its end.
    Ended(String),
}
