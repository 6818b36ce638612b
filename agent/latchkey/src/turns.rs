//! Turns at something that costs processor time: so much of it for each origin and for all of them together.
//!
//! Nobody waits while there is little to do. Beyond it the origin goes first that had least, and of one origin whoever came
//! last: a crowd from one address delays its own oldest, and whoever behaves well there gets in beside it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::clock::Stopwatch;

/// How far an account may be ahead: a few turns come at once before anybody waits.
const AHEAD: Duration = Duration::from_millis(100);
/// What a turn is taken to cost until the first one has.
const FIRST_GUESS: Duration = Duration::from_millis(1);
/// Beyond so many accounts those that are even are forgotten.
const MANY_ACCOUNTS: usize = 1024;

/// How much of one processor turns may cost, in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percents {
    pub(crate) in_all: u32,
    pub(crate) of_one: u32,
}

/// Who waits for a turn, and what turns have cost.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash> {
    line: Mutex<Line<K>>,
    longer: Notify,
}

/// A turn that was given. What is done in it is put on the account of its origin.
#[derive(Debug)]
pub(crate) struct Turn<'t, K: Clone + Eq + Hash> {
    turns: &'t Turns<K>,
    origin: K,
    expected: Duration,
    used: Duration,
}

#[derive(Debug)]
struct Line<K> {
    percents: Percents,
    next: u64,
    /// What a turn cost lately.
    cost: Duration,
    even_at: Instant,
    of: HashMap<K, Account>,
}

#[derive(Debug)]
struct Account {
    /// When nothing will be on it.
    even_at: Instant,
    /// By when they came. Each is told what its turn is expected to cost.
    waiting: BTreeMap<u64, oneshot::Sender<Duration>>,
}

/// A place in the line; left on drop.
struct InLine<'t, K: Clone + Eq + Hash> {
    turns: &'t Turns<K>,
    origin: K,
    number: u64,
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Nobody waits yet.
    pub(crate) fn new(percents: Percents) -> Self {
        let line = Line { percents, next: 0, cost: FIRST_GUESS, even_at: Instant::now(), of: HashMap::new() };
        Self { line: Mutex::new(line), longer: Notify::new() }
    }

    /// Waits for a turn. Needs somebody who gives them: see [`Turns::give`].
    pub(crate) async fn turn(&self, origin: K) -> Turn<'_, K> {
        let (mut told, number) = {
            let (mut line, now) = (self.line(), Instant::now());
            let waiting = line.join(origin.clone(), now);
            line.give(now);
            waiting
        };
        let place = InLine { turns: self, origin: origin.clone(), number };
        let expected = match told.try_recv() {
            Ok(expected) => expected,
            Err(_) => {
                self.longer.notify_one();
                // The line does not end before those in it.
                told.await.unwrap_or_default()
            }
        };
        drop(place);
        Turn { turns: self, origin, expected, used: Duration::ZERO }
    }

    /// Gives turns to those who wait, for ever.
    pub(crate) async fn give(&self) {
        loop {
            let next = self.line().give(Instant::now());
            match next {
                Some(at) => drop(tokio::time::timeout_at(at, self.longer.notified()).await),
                None => self.longer.notified().await,
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<K>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Turn<'_, K> {
    /// Does the work of the turn: the time within it, not that between its parts, is what it costs.
    pub(crate) async fn carry<F: Future>(mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let stopwatch = Stopwatch::start();
            let outcome = work.as_mut().poll(context);
            self.used += stopwatch.elapsed();
            outcome
        })
        .await
    }
}

impl<K: Clone + Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.line().correct(&self.origin, self.expected, self.used);
    }
}

impl<K: Clone + Eq + Hash> Drop for InLine<'_, K> {
    fn drop(&mut self) {
        if let Some(account) = self.turns.line().of.get_mut(&self.origin) {
            account.waiting.remove(&self.number);
        }
    }
}

impl<K: Clone + Eq + Hash> Line<K> {
    fn join(&mut self, origin: K, now: Instant) -> (oneshot::Receiver<Duration>, u64) {
        if self.of.len() >= MANY_ACCOUNTS {
            self.of.retain(|_, account| !account.waiting.is_empty() || account.even_at > now);
        }
        let (tell, told) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        let account = self.of.entry(origin).or_insert_with(|| Account { even_at: now, waiting: BTreeMap::new() });
        account.waiting.insert(number, tell);
        (told, number)
    }

    /// Gives the turns that may be taken now; answers when the next one may, if somebody waits for it.
    fn give(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let waiting = self.of.iter_mut().filter(|(_, account)| !account.waiting.is_empty());
            let (_, account) = waiting.min_by_key(|(_, account)| account.even_at)?;
            let later = account.even_at.max(self.even_at);
            if later > now + AHEAD {
                return Some(later - AHEAD);
            }
            let (_, newest) = account.waiting.pop_last()?;
            // Whoever has gone meanwhile needs no turn.
            if newest.send(self.cost).is_ok() {
                account.even_at = account.even_at.max(now) + priced(self.cost, self.percents.of_one);
                self.even_at = self.even_at.max(now) + priced(self.cost, self.percents.in_all);
            }
        }
    }

    /// Puts right what was put on the accounts when the turn was given.
    fn correct(&mut self, origin: &K, expected: Duration, used: Duration) {
        self.cost = (self.cost * 7 + used) / 8;
        let Percents { in_all, of_one } = self.percents;
        put_right(&mut self.even_at, priced(expected, in_all), priced(used, in_all));
        if let Some(account) = self.of.get_mut(origin) {
            put_right(&mut account.even_at, priced(expected, of_one), priced(used, of_one));
        }
    }
}

/// How long an origin has to make up for so much of a processor.
fn priced(cost: Duration, percent: u32) -> Duration {
    cost * 100 / percent.max(1)
}

fn put_right(even_at: &mut Instant, expected: Duration, used: Duration) {
    *even_at = even_at.checked_sub(expected).unwrap_or(*even_at) + used;
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Duration = Duration::from_millis(5);

    fn line() -> (Line<&'static str>, Instant) {
        let now = Instant::now();
        let percents = Percents { in_all: 50, of_one: 10 };
        (Line { percents, next: 0, cost: COST, even_at: now, of: HashMap::new() }, now)
    }

    /// Has so many of an origin join.
    fn join(
        line: &mut Line<&'static str>,
        origin: &'static str,
        count: usize,
        now: Instant,
    ) -> Vec<oneshot::Receiver<Duration>> {
        (0..count).map(|_| line.join(origin, now).0).collect()
    }

    /// Which of them have their turn.
    fn turns(waiting: &mut [oneshot::Receiver<Duration>]) -> Vec<usize> {
        waiting.iter_mut().enumerate().filter_map(|(at, told)| told.try_recv().ok().map(|_| at)).collect()
    }

    #[test]
    fn an_origin_gets_a_few_turns_at_once_and_then_its_share_the_newest_first() {
        let (mut line, now) = line();
        let mut crowd = join(&mut line, "a", 10, now);
        // 5 ms at 10 percent are 50 ms: two fit into what it may be ahead, the third reaches beyond.
        assert_eq!(line.give(now), Some(now + COST * 10));
        assert_eq!(turns(&mut crowd), [7, 8, 9]);
        assert_eq!(line.give(now + COST * 10 - Duration::from_millis(1)), Some(now + COST * 10));
        let mut late = join(&mut line, "a", 1, now);
        line.give(now + COST * 10);
        assert_eq!((turns(&mut crowd), turns(&mut late)), (vec![], vec![0]));
        line.give(now + COST * 20);
        assert_eq!(turns(&mut crowd), [6]);
    }

    #[test]
    fn whoever_had_least_is_before_a_crowd_and_all_together_have_a_share() {
        let (mut line, now) = line();
        let mut crowds: Vec<_> = (["a", "b", "c", "d", "e"]).map(|origin| join(&mut line, origin, 9, now)).into();
        // 5 ms at 50 percent are 10 ms: eleven reach beyond, of each origin two or three.
        assert_eq!(line.give(now), Some(now + COST * 2));
        let had: Vec<usize> = crowds.iter_mut().map(|crowd| turns(crowd).len()).collect();
        assert_eq!((had.iter().sum::<usize>(), had.iter().max()), (11, Some(&3)));
        let mut good = join(&mut line, "good", 1, now);
        line.give(now + COST * 2);
        assert_eq!(turns(&mut good), [0]);
    }

    #[test]
    fn what_a_turn_really_cost_is_put_on_the_account() {
        let (mut line, now) = line();
        let _first = join(&mut line, "a", 1, now);
        line.give(now);
        line.correct(&"a", COST, COST * 9);
        assert_eq!(line.of["a"].even_at, now + COST * 90);
        assert_eq!(line.cost, COST * 2);
        let mut next = join(&mut line, "a", 1, now);
        assert_eq!(line.give(now), Some(now + COST * 90 - AHEAD));
        assert!(turns(&mut next).is_empty());
    }

    #[test]
    fn whoever_left_the_line_costs_nothing_and_even_accounts_are_forgotten() {
        let (mut line, now) = line();
        drop(join(&mut line, "a", 5, now));
        assert_eq!(line.give(now), None);
        assert_eq!((line.of["a"].even_at, line.even_at), (now, now));
        let names: Vec<&'static str> = (0..MANY_ACCOUNTS).map(|number| &*format!("{number}").leak()).collect();
        names.into_iter().for_each(|name| drop(line.join(name, now)));
        line.give(now);
        drop(line.join("last", now));
        assert!(line.of.len() < 5, "{}", line.of.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_takes_its_share_of_the_time_and_a_place_that_is_left_is_forgotten() {
        let turns = Turns::new(Percents { in_all: 50, of_one: 10 });
        let start = Instant::now();
        let crowd = async {
            for _ in 0..200 {
                drop(turns.turn("a").await);
            }
        };
        tokio::select! { () = turns.give() => {}, () = crowd => {} }
        // Nothing was done in them, so nearly nothing was paid.
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        turns.line().correct(&"a", Duration::ZERO, Duration::from_secs(1));
        assert!(tokio::time::timeout(Duration::from_secs(1), turns.turn("a")).await.is_err());
        assert!(turns.line().of["a"].waiting.is_empty());
        let waited = async {
            drop(turns.turn("a").await);
            start.elapsed()
        };
        let waited = tokio::select! { () = turns.give() => Duration::ZERO, waited = waited => waited };
        assert!(waited > Duration::from_secs(9), "{waited:?}");
    }
}
