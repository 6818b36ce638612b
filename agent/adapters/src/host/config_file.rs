//! The shapes of `config-file`, field by field and case by case as the WIT has them.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `config-file.file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What is in it.
    pub content: Vec<u8>,
    /// What it is, for a change.
    pub version: String,
}

/// `config-file.file-error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileError {
    /// Not granted.
    Denied(Denial),
    /// A parameter, and what was expected of it.
    Invalid(String),
    /// It is not there.
    NotFound,
    /// It is not what was read.
    Changed,
    /// One of the operator's programs said no.
    Rejected(String),
    /// What the operator wrote down cannot be used.
    Refused(String),
    /// Not at the moment.
    Unavailable(String),
    /// It may have been changed or not.
    Uncertain(String),
}
