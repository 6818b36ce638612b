//! `crontab`.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `crontab.table`: a crontab as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The whole text.
    pub text: Vec<u8>,
    /// What it was.
    pub version: String,
}

/// `crontab.crontab-error`: why it did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrontabError {
    /// Not granted.
    Denied(Denial),
    /// Too long, or cron does not take it.
    Invalid(String),
    /// It is not what was read any more.
    Changed,
    /// This node or what is there does not allow it.
    Refused(String),
    /// Not at the moment.
    Unavailable(String),
}
