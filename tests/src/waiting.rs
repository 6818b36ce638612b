//! Waiting for something to become true, with a deadline. Nothing here sleeps for a fixed time.

use std::time::Duration;

use jiff::Timestamp;
use xtask::clock::Deadline;

/// How long something may take that happens by itself.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `condition` holds; fails the test if it does not within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(Deadline::after(PATIENCE).wait_until(condition), "{what}: not within {} s", PATIENCE.as_secs());
}

/// Waits until the clock shows another second: files that change from now on are newer than those that did before, also
/// to somebody who knows the times of files in full seconds only.
pub fn until_the_next_second() {
    let second = Timestamp::now().as_second();
    eventually("the next second", || Timestamp::now().as_second() > second);
}

/// Waits until `look` finds something; fails the test if it does not within [`PATIENCE`].
#[track_caller]
pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    Deadline::after(PATIENCE).wait_until(|| {
        found = look();
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("{what}: not within {} s", PATIENCE.as_secs()))
}
