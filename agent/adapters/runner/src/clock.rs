//! The one place that reads the time.
#![allow(clippy::disallowed_methods, reason = "the clock module")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment that never goes back.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Time since 1970-01-01T00:00:00Z, by the node's clock.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
