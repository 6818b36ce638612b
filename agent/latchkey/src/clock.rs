//! The only place that reads the time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The node's clock, in whole milliseconds. Tests move it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    shift_ms: AtomicI64,
}

impl Clock {
    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the clock module is where the time is read")]
    pub(crate) fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(ms.saturating_add(self.shift_ms.load(Ordering::Relaxed))).unwrap_or(Timestamp::MAX)
    }

    /// How long the agent has been running, by the clock that only ticks. For waits and rates.
    #[expect(clippy::disallowed_methods, reason = "the clock module is where the time is read")]
    pub(crate) fn ticking(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed() + Duration::from_millis(self.shift_ms.load(Ordering::Relaxed).try_into().unwrap_or_default())
    }

    /// Moves the clock forward.
    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) {
        self.shift_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets the clock back.
    #[cfg(test)]
    pub(crate) fn set_back(&self, by: Duration) {
        self.shift_ms.fetch_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// How long something takes, whatever happens to the clock meanwhile.
#[derive(Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[expect(clippy::disallowed_methods, reason = "the clock module is where the time is read")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Pauses between tries: each is twice as long as the one before, up to the longest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// Before the first try that fails.
    pub(crate) const fn between(first: Duration, longest: Duration) -> Self {
        Self { first, next: first, longest }
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }

    /// A try was good: the next pause is the first one again.
    pub(crate) const fn begin_again(&mut self) {
        self.next = self.first;
    }
}

/// A moment later by so much.
pub(crate) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

/// How long until the moment; nothing if it is past.
pub(crate) fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(now)).unwrap_or_default()
}
