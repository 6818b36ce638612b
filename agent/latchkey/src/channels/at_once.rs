//! How much work goes on at once for one share and one person: most of it has a connection of the panel's for itself,
//! and those are few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latchkey_access::{Actor, PersonId, ShareId};

use crate::problem::{Code, Problem};

/// Of one share, or of what a person does without one.
const OF_A_SHARE: usize = 16;

/// Of one person, whatever their shares are.
const OF_A_PERSON: usize = 64;

/// When a repeat makes sense, in seconds.
const RETRY_AFTER_S: u64 = 5;

type Counts = HashMap<(PersonId, Option<ShareId>), usize>;

/// What goes on.
#[derive(Debug, Default)]
pub(crate) struct AtOnce(Arc<Mutex<Counts>>);

/// A place that is taken; given back on drop. The panel itself needs none.
#[derive(Debug)]
pub(crate) struct Place {
    _taken: Option<Taken>,
}

#[derive(Debug)]
struct Taken {
    counts: Arc<Mutex<Counts>>,
    of: (PersonId, Option<ShareId>),
}

impl AtOnce {
    /// Takes a place for an actor and what they act through.
    ///
    /// Fails with [`Code::Busy`] when all of the share's or of the person's are taken.
    pub(crate) fn enter(&self, actor: &Actor, share: Option<ShareId>) -> Result<Place, Problem> {
        let Some(person) = actor.person() else { return Ok(Place { _taken: None }) };
        let mut counts = lock(&self.0);
        let of = (person, share);
        let of_person: usize = counts.iter().filter(|((by, _), _)| *by == person).map(|(_, count)| count).sum();
        if counts.get(&of).is_some_and(|count| *count >= OF_A_SHARE) {
            return Err(full(OF_A_SHARE, "share"));
        }
        if of_person >= OF_A_PERSON {
            return Err(full(OF_A_PERSON, "person"));
        }
        *counts.entry(of).or_default() += 1;
        Ok(Place { _taken: Some(Taken { counts: self.0.clone(), of }) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

fn full(most: usize, of: &str) -> Problem {
    let detail = format!(
        "expected at most {most} transfers, streams and jobs of one {of} at a time: wait until one of them has ended"
    );
    Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_S)
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JO: Actor = Actor::Person(PersonId::from_number(1));
    const KIM: Actor = Actor::Person(PersonId::from_number(2));

    fn share(number: u64) -> Option<ShareId> {
        Some(ShareId::from_number(number))
    }

    #[track_caller]
    fn fill(at_once: &AtOnce, share: Option<ShareId>) -> Vec<Place> {
        (0..OF_A_SHARE).map(|_| at_once.enter(&JO, share).unwrap()).collect()
    }

    #[track_caller]
    fn is_full(at_once: &AtOnce, share: Option<ShareId>, words: &str) {
        let problem = at_once.enter(&JO, share).unwrap_err();
        assert_eq!((problem.status, problem.retry_after_s), (429, Some(RETRY_AFTER_S)));
        assert!(problem.detail.contains(words), "{}", problem.detail);
    }

    #[test]
    fn a_share_has_so_many_places_and_takes_none_of_others() {
        let at_once = AtOnce::default();
        let mut places = fill(&at_once, share(1));
        is_full(&at_once, share(1), "16 transfers, streams and jobs of one share");
        for (actor, share) in [(&JO, share(2)), (&JO, None), (&KIM, share(3)), (&Actor::Panel, None)] {
            drop(at_once.enter(actor, share).unwrap());
        }
        places.pop();
        let _again = at_once.enter(&JO, share(1)).unwrap();
        is_full(&at_once, share(1), "one share");
    }

    #[test]
    fn what_a_person_does_without_a_share_has_so_many_places_too() {
        let at_once = AtOnce::default();
        let _places = fill(&at_once, None);
        is_full(&at_once, None, "one share");
    }

    #[test]
    fn a_person_with_many_shares_has_so_many_places() {
        let at_once = AtOnce::default();
        let mut places: Vec<_> = (1..=4).map(|number| fill(&at_once, share(number))).collect();
        is_full(&at_once, share(5), "64 transfers, streams and jobs of one person");
        drop(at_once.enter(&KIM, share(6)).unwrap());
        places.pop();
        drop(at_once.enter(&JO, share(5)).unwrap());
    }

    #[test]
    fn the_panel_itself_has_no_limit_here_and_nothing_is_kept_of_what_is_over() {
        let at_once = AtOnce::default();
        let panel: Vec<_> = (0..=OF_A_PERSON).map(|_| at_once.enter(&Actor::Panel, None).unwrap()).collect();
        drop((panel, fill(&at_once, None)));
        assert!(lock(&at_once.0).is_empty());
    }
}
