//! What goes wrong, and when: one after another as a trial says, or at random from a seed.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

/// Of so many faults at random one is a delay.
const DELAYS_ONE_IN: u8 = 12;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends before anything happened.
    CutBefore,
    /// The connection ends after it happened.
    CutAfter,
    /// Status 500 before anything happened.
    FailBefore,
    /// Status 500 after it happened.
    FailAfter,
    /// It happened, and the answer ends in the middle.
    Truncate,
    /// It happened, and the answer comes after so long, unless the client has gone by then.
    Delay(Duration),
    /// The login page instead of an answer, as for a token that is not valid. Nothing happened.
    LoginPage,
}

/// What goes wrong from here on.
#[derive(Debug, Default)]
pub struct Faults {
    next: VecDeque<Option<Fault>>,
    random: Option<(Rng, f64, Duration)>,
}

impl Faults {
    /// The next requests go so, one after another.
    pub fn script(&mut self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.next.extend(faults);
    }

    /// From here on requests go wrong with this probability, of 0 to 1; delays last so long.
    pub fn at_random(&mut self, seed: u64, probability: f64, delay: Duration) {
        self.random = Some((Rng::with_seed(seed), probability, delay));
    }

    /// Nothing goes wrong any more.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn draw(&mut self) -> Option<Fault> {
        if let Some(scripted) = self.next.pop_front() {
            return scripted;
        }
        let (rng, probability, delay) = self.random.as_mut()?;
        if rng.f64() >= *probability {
            return None;
        }
        // Rare, because somebody waits for it.
        if rng.u8(..DELAYS_ONE_IN) == 0 {
            return Some(Fault::Delay(*delay));
        }
        rng.choice([Fault::CutBefore, Fault::CutAfter, Fault::FailBefore, Fault::FailAfter, Fault::Truncate])
    }
}
