//! The crontab of the hosting's system user on the node. The manifest asks with `crontab = true`.
//!
//! Bytes, because others write it, too, and what is theirs has to stay as it is.

pub use crate::bindings::latchkey::adapter::crontab::{CrontabError, Table};

#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::crontab as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::crontab as host;

/// Reads it.
pub fn read() -> Result<Table, CrontabError> {
    host::read()
}

/// Replaces the whole crontab if it still is the one of `version`; an empty text takes it away. Repeating answers *changed*.
pub fn replace(version: &str, text: &[u8]) -> Result<(), CrontabError> {
    host::replace(version, text)
}
