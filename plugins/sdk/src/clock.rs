//! The time. Needs no grant. What Rust's library has for it ends the call: use this.

use std::time::Duration;

#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::clock as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::clock as host;

/// Since 1970-01-01T00:00:00Z by the node's clock, which may be set back.
#[must_use]
pub fn now() -> Duration {
    Duration::from_millis(host::now())
}

/// Since the call began. Never goes back.
#[must_use]
pub fn elapsed() -> Duration {
    Duration::from_millis(host::elapsed())
}
