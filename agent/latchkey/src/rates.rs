//! How often somebody may ask: so many times a minute, in a table that does not grow beyond its bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::counted::COUNTED;
use crate::problem::{Code, Problem};

const MINUTE: Duration = Duration::from_secs(60);
/// As many are remembered at most. Then somebody is forgotten for each that is new.
const MOST_REMEMBERED: usize = 16_384;

/// A rate for each of many: a whole minute's worth at once, then evenly (the generic cell rate algorithm).
#[derive(Debug)]
pub(crate) struct Rates<K> {
    /// When each will have nothing on their account, by the clock that only ticks.
    clear_at: Mutex<HashMap<K, Duration>>,
    most: usize,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self { clear_at: Mutex::default(), most: MOST_REMEMBERED }
    }
}

impl<K: Clone + Eq + Hash> Rates<K> {
    /// Takes one, if `per_minute` allows it at `now`; else says how long to wait. 0 a minute is no limit.
    pub(crate) fn take(&self, who: &K, per_minute: u32, now: Duration) -> Result<(), Duration> {
        let Some(each) = MINUTE.checked_div(per_minute) else { return Ok(()) };
        let mut clear_at = self.clear_at.lock().unwrap_or_else(PoisonError::into_inner);
        let clear = clear_at.get(who).copied().unwrap_or_default().max(now);
        match (clear + each).saturating_sub(now + MINUTE) {
            Duration::ZERO => {}
            wait => return Err(wait),
        }
        if clear_at.len() >= self.most && !clear_at.contains_key(who) {
            make_place(&mut clear_at, now);
        }
        clear_at.insert(who.clone(), clear + each);
        Ok(())
    }

    /// How long until [`Rates::take`] gives one, without taking it.
    pub(crate) fn wait(&self, who: &K, per_minute: u32, now: Duration) -> Option<Duration> {
        let each = MINUTE.checked_div(per_minute)?;
        let clear_at = self.clear_at.lock().unwrap_or_else(PoisonError::into_inner);
        let clear = clear_at.get(who).copied().unwrap_or_default().max(now);
        Some((clear + each).saturating_sub(now + MINUTE)).filter(|wait| !wait.is_zero())
    }
}

/// Forgets those with nothing on their account, or else just somebody: who fills the table fills it with themselves.
fn make_place<K: Clone + Eq + Hash>(clear_at: &mut HashMap<K, Duration>, now: Duration) {
    let somebody = clear_at.keys().next().cloned();
    match somebody {
        Some(one) if clear_at.get(&one).is_some_and(|clear| *clear > now) => drop(clear_at.remove(&one)),
        _ => clear_at.retain(|_, clear| *clear > now),
    }
}

/// Refuses whoever asked too often, and says how long to wait.
pub(crate) fn too_many(detail: &str, wait: Duration) -> Problem {
    COUNTED.rate_refusals.count();
    Problem::new(Code::Busy, detail).retry_after(whole_seconds(wait))
}

/// At least one.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn a_minutes_worth_at_once_then_evenly() {
        let rates = Rates::default();
        let mut now = START;
        for _ in 0..6 {
            assert_eq!(rates.take(&"a", 6, now), Ok(()));
        }
        assert_eq!(rates.take(&"a", 6, now), Err(Duration::from_secs(10)));
        assert_eq!(rates.wait(&"a", 6, now), Some(Duration::from_secs(10)));
        // Nobody else's matter.
        assert_eq!(rates.take(&"b", 6, now), Ok(()));
        now += Duration::from_secs(10);
        assert_eq!((rates.wait(&"a", 6, now), rates.take(&"a", 6, now)), (None, Ok(())));
        assert!(rates.take(&"a", 6, now).is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let rates = Rates::default();
        assert!((0..100_000).all(|_| rates.take(&"a", 0, START).is_ok()));
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let rates = Rates { most: 100, ..Rates::default() };
        for number in 0..1000 {
            assert_eq!(rates.take(&number, 1, START), Ok(()));
        }
        assert_eq!(rates.clear_at.lock().unwrap().len(), 100);
        // Those with nothing on their account go first.
        assert_eq!(rates.take(&1000, 1, START + MINUTE * 2), Ok(()));
        assert_eq!(rates.clear_at.lock().unwrap().len(), 1);
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        assert_eq!([1, 1000, 1001].map(|ms| whole_seconds(Duration::from_millis(ms))), [1, 1, 2]);
    }
}
