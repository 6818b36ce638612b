//! The clock of this crate: deadlines, pauses and how long something took.

use std::thread;
use std::time::{Duration, Instant};

/// A point in time by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `duration` ahead.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(now() + duration)
    }

    /// What is left until the deadline; zero once it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// Asks `condition` every few milliseconds until it holds; false if the deadline passed first. Blocks.
    pub fn wait_until(self, mut condition: impl FnMut() -> bool) -> bool {
        loop {
            if condition() {
                return true;
            }
            if self.passed() {
                return false;
            }
            thread::sleep(Duration::from_millis(4));
        }
    }
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        Self(now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        now().saturating_duration_since(self.0)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
fn now() -> Instant {
    Instant::now()
}
