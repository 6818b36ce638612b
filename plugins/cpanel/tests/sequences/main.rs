//! A thousand random sequences of calls with random faults: after each call the account is as the call says, after each
//! sequence the adapter sees what cPanel has, and no change was ever repeated blindly.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails at the line that was wrong"
)]

mod model;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../played/mod.rs"]
mod played;
mod step;
mod view;

use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cpanel_simulator::{Account, Envelope};
use fastrand::Rng;
use played::Played;
use sdk::{Error, Result};
use step::{Repeat, Step};

const SEQUENCES: u64 = 1_000;
const AT_ONCE: usize = 16;
const CALLS: usize = 8;
/// A request goes wrong with this probability.
const FAULTS: f64 = 0.25;
/// As often the agent repeats a call that is *unavailable*.
const TRIES: usize = 4;
/// Longer than the adapter waits.
const DELAY: Duration = Duration::from_secs(5);

#[test]
fn whatever_goes_wrong_cpanel_is_as_the_adapter_says() {
    let (next, came) = (AtomicU64::new(0), Mutex::new(Came::default()));
    // They wait more than they work.
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let seed @ 0..SEQUENCES = next.fetch_add(1, Ordering::Relaxed) {
                    let Ok(counted) = panic::catch_unwind(|| play(seed)) else {
                        next.store(SEQUENCES, Ordering::Relaxed);
                        panic!("the sequence with the seed {seed} failed");
                    };
                    came.lock().unwrap().add(&counted);
                }
            });
        }
    });
    let came = came.into_inner().unwrap();
    // What is to be shown has to have happened.
    assert!(came.done > 3_000 && came.again > 500 && came.uncertain > 50 && came.refused > 1_000, "{came:?}");
}

/// How calls ended.
#[derive(Debug, Default)]
struct Came {
    done: u32,
    /// Tries that were *unavailable*, or whose runner died.
    again: u32,
    uncertain: u32,
    refused: u32,
}

impl Came {
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.again += other.again;
        self.uncertain += other.uncertain;
        self.refused += other.refused;
    }

    fn count(&mut self, came: &Result<()>) {
        match came {
            Ok(()) => self.done += 1,
            Err(Error::Unavailable(_)) => self.again += 1,
            Err(Error::Uncertain(_)) => self.uncertain += 1,
            Err(_) => self.refused += 1,
        }
    }
}

fn play(seed: u64) -> Came {
    let mut rng = Rng::with_seed(seed);
    let played = Played::begin();
    if rng.bool() {
        played.cpanel.played().envelope = Envelope::Documented;
    }
    let mut came = Came::default();
    for call in 0..CALLS {
        let step = Step::draw(&mut rng, &played);
        step::others(&mut rng, &played);
        let (seed, key) = (rng.u64(..), format!("{seed}-{call}"));
        played.cpanel.played().faults.at_random(seed, FAULTS, DELAY);
        let ended = run(&step, (&mut rng, &mut came.again), &played, &key);
        came.count(&ended);
        played.cpanel.played().faults.end();
    }
    view::agrees(&played);
    came
}

/// Makes a call as the agent does: again with the same key while it is *unavailable*, and once more after its end if the
/// runner died.
#[track_caller]
fn run(step: &Step, (rng, again): (&mut Rng, &mut u32), played: &Played, key: &str) -> Result<()> {
    let (before, since) = (played.account(), played.asked(0).len());
    let mut expected = before.clone();
    let refusal = step.play(&mut expected).err();
    let mut was_done = false;
    let mut came = step.call(played, key);
    for _ in 1..TRIES {
        check(step, played, (&before, &expected, was_done), &came, (refusal.as_ref(), since));
        let is_lost = came.is_ok() && step.repeat() != Repeat::Sends && rng.u8(..8) == 0;
        if !is_lost && !matches!(came, Err(Error::Unavailable(_))) {
            break;
        }
        was_done |= is_lost;
        *again += 1;
        came = step.call(played, key);
    }
    check(step, played, (&before, &expected, was_done), &came, (refusal.as_ref(), since));
    played.nothing_was_repeated_blindly(since);
    came
}

/// Compares the account with what a call said about it.
#[track_caller]
fn check(
    step: &Step,
    played: &Played,
    (before, expected, was_done): (&Account, &Account, bool),
    came: &Result<()>,
    (refusal, since): (Option<&model::Refusal>, usize),
) {
    let now = played.account();
    let (is_untouched, is_done) = (&now == before, &now == expected);
    let is_right = match (came, refusal) {
        (Ok(()), None) => is_done,
        (Err(Error::Uncertain(_)), None) => is_untouched || is_done || step.is_partly(&now, before, expected),
        (Err(Error::Unavailable(_)), None) if was_done => is_done && step.repeat() == Repeat::Sees,
        (Err(Error::Unavailable(_)), None) => is_untouched || step.is_partly(&now, before, expected),
        (Err(Error::Unavailable(_)), Some(_)) => is_untouched,
        (Err(error), Some(refusal)) => is_untouched && model::Refusal::of(error).as_ref() == Some(refusal),
        (Ok(()), Some(_)) | (Err(_), None) => false,
    };
    assert!(
        is_right,
        "{step:?}\ncame to {came:?} and not to {refusal:?}; untouched: {is_untouched}, done: {is_done}; {}\n{:#?}",
        played.left(),
        played.asked(since),
    );
}
