//! Lines for the agent's log, beside the names of the adapter, the hosting and the call. Needs no grant.
//!
//! A line is cut after 4 KiB; a call that writes more than its log volume is ended. Never write secrets.

use std::fmt::Display;

pub use crate::bindings::latchkey::adapter::log::Level;

#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::log as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::log as host;

/// A line for the adapter's author.
pub fn debug(line: impl Display) {
    host::write(Level::Debug, &line.to_string());
}

/// A line for whoever wants to know.
pub fn info(line: impl Display) {
    host::write(Level::Info, &line.to_string());
}

/// Something is odd.
pub fn warn(line: impl Display) {
    host::write(Level::Warn, &line.to_string());
}

/// Something failed.
pub fn error(line: impl Display) {
    host::write(Level::Error, &line.to_string());
}
