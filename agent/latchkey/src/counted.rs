//! What is counted while the agent runs. Whoever does something counts it here; `api/metrics` shows it.
//!
//! One for the whole process: connections are refused where nothing else of the agent is at hand. Nothing here names a
//! person, an instance or an address.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Everything that this process has counted since it started.
pub(crate) static COUNTED: Counted = Counted::new();

/// A number that only grows.
#[derive(Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something are going on.
#[derive(Debug)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more, until what is returned is dropped.
    pub(crate) fn enter(&self) -> InUse<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        InUse(self)
    }

    /// How many there are now.
    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a gauge shows.
#[derive(Debug)]
pub(crate) struct InUse<'g>(&'g Gauge);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Upper bounds of a histogram's buckets, in seconds.
pub(crate) const BOUNDS_S: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How long something took, by buckets.
#[derive(Debug)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS_S.len() + 1], sum_us: AtomicU64::new(0) }
    }

    /// Counts one that took so long.
    pub(crate) fn count(&self, took: Duration) {
        let bucket = BOUNDS_S.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(BOUNDS_S.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many took at most as long as each bound, in the order of [`BOUNDS_S`] and then in all.
    pub(crate) fn cumulated(&self) -> Vec<u64> {
        let mut sum = 0;
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        counts
            .map(|count| {
                sum += count;
                sum
            })
            .collect()
    }

    /// How long all of them took together, in seconds.
    pub(crate) fn sum_s(&self) -> f64 {
        Duration::from_micros(self.sum_us.load(Ordering::Relaxed)).as_secs_f64()
    }
}

macro_rules! counted {
    ($($(#[$doc:meta])+ $name:ident: $kind:ident),+ $(,)?) => {
        /// What is counted, each at the place where it happens.
        #[derive(Debug)]
        pub(crate) struct Counted { $($(#[$doc])+ pub(crate) $name: $kind),+ }

        impl Counted {
            /// Nothing counted yet.
            pub(crate) const fn new() -> Self {
                Self { $($name: $kind::new()),+ }
            }
        }
    };
}

counted! {
    /// Calls of the API that were decided in favour of the actor and carried out.
    calls_allowed: Counter,
    /// Calls of the API that an access rule or a missing scope refused.
    calls_denied: Counter,
    /// Calls of the API that could not be carried out as they stood.
    calls_invalid: Counter,
    /// Calls of the API that failed by a fault of the agent or of something it needs.
    calls_failed: Counter,
    /// Seconds that ending channels took, from the commit to the last answer.
    ends: Durations,
    /// Seconds that a change of the state took, from waiting for the writer to the commit.
    state_writes: Durations,
    /// Calls of PHP that gave a result.
    php_answered: Counter,
    /// Calls of PHP that gave an error of the site.
    php_site_errors: Counter,
    /// Calls of PHP that took too long.
    php_timed_out: Counter,
    /// Calls of PHP that gave no usable answer.
    php_no_answer: Counter,
    /// Calls of PHP that were not started: no room, or the broker refused.
    php_not_started: Counter,
    /// Calls of PHP under way.
    php_in_use: Gauge,
    /// Requests that the broker carried out.
    broker_done: Counter,
    /// Requests that the broker refused.
    broker_refused: Counter,
    /// Requests that the broker did not answer.
    broker_unreachable: Counter,
    /// Letters that were sent.
    mails_sent: Counter,
    /// Attempts to send a letter that are repeated later.
    mails_postponed: Counter,
    /// Letters that were given up.
    mails_given_up: Counter,
    /// Requests that a limit of rate refused.
    rate_refusals: Counter,
    /// Connections that were closed because there was no room for them.
    connections_refused: Counter,
    /// Unfinished connections that were closed to make room for a new one.
    connections_evicted: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let durations = Durations::new();
        for ms in [1, 2, 5, 6000] {
            durations.count(Duration::from_millis(ms));
        }
        assert_eq!(durations.cumulated(), [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert!((durations.sum_s() - 6.008).abs() < 1e-9);
    }

    #[test]
    fn what_goes_on_is_counted_until_it_is_over() {
        let gauge = Gauge::new();
        let one = gauge.enter();
        let other = gauge.enter();
        assert_eq!(gauge.now(), 2);
        drop((one, other));
        assert_eq!(gauge.now(), 0);
    }
}
