//! The one place of this crate where the time of day is read.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, for what a client is shown. Nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate")]
pub(crate) fn seconds_since_1970() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
