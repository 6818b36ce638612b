//! The sessions that must end, each in one state: being ended, unconfirmed, or ended and to be looked at again.
//!
//! `model.rs` compiles this file a second time, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gate::Way;
use super::sync::{Mutex, locked};

/// How far the end of a session is.
enum Stage<L> {
    /// Somebody is ending it at this moment.
    BeingEnded,
    /// Somebody is ending it, and it may have been made after they asked: it has to be ended once more.
    BeingEndedTooSoon,
    /// It must end; nobody is at it.
    Unconfirmed,
    /// It has ended, and is looked at again.
    Watched(L),
}

struct Ending<S, L> {
    session: S,
    stage: Stage<L>,
}

impl<S, L> Ending<S, L> {
    const fn is_unconfirmed(&self) -> bool {
        !matches!(self.stage, Stage::Watched(_))
    }
}

/// The sessions that must end. `L` says when one that has ended is looked at again.
pub(super) struct Endings<S, L> {
    all: Mutex<BTreeMap<String, Ending<S, L>>>,
}

/// A session that the holder, and nobody else, is ending. Dropped without [`Begun::confirm`] it is unconfirmed.
pub(super) struct Begun<S: Way, L> {
    session: S,
    endings: Arc<Endings<S, L>>,
    is_confirmed: bool,
}

impl<S: Way, L> Begun<S, L> {
    /// The session.
    pub(super) const fn session(&self) -> &S {
        &self.session
    }

    /// The session has ended. It is looked at again, or else forgotten.
    pub(super) fn confirm(mut self, look: Option<L>) {
        self.is_confirmed = true;
        let mut all = locked(&self.endings.all);
        let Some(ending) = all.get_mut(self.session.id()) else { return };
        match (&ending.stage, look) {
            (Stage::BeingEnded, Some(look)) => ending.stage = Stage::Watched(look),
            (Stage::BeingEnded, None) => drop(all.remove(self.session.id())),
            _ => ending.stage = Stage::Unconfirmed,
        }
    }
}

impl<S: Way, L> Drop for Begun<S, L> {
    fn drop(&mut self) {
        if !self.is_confirmed
            && let Some(ending) = locked(&self.endings.all).get_mut(self.session.id())
        {
            ending.stage = Stage::Unconfirmed;
        }
    }
}

impl<S: Way + Clone, L: Clone> Endings<S, L> {
    /// None yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { all: Mutex::new(BTreeMap::new()) })
    }

    /// Begins to end sessions. Those that somebody else is ending are not the caller's, but are ended once more.
    pub(super) fn begin(self: &Arc<Self>, sessions: Vec<S>) -> Vec<Begun<S, L>> {
        let mut all = locked(&self.all);
        let mut begun = Vec::new();
        for session in sessions {
            if let Some(ending) = all.get_mut(session.id())
                && matches!(ending.stage, Stage::BeingEnded | Stage::BeingEndedTooSoon)
            {
                ending.stage = Stage::BeingEndedTooSoon;
                continue;
            }
            all.insert(session.id().to_owned(), Ending { session: session.clone(), stage: Stage::BeingEnded });
            begun.push(Begun { session, endings: self.clone(), is_confirmed: false });
        }
        begun
    }

    /// Begins to end what is unconfirmed and nobody is at.
    pub(super) fn begin_unconfirmed(self: &Arc<Self>) -> Vec<Begun<S, L>> {
        let mut begun = Vec::new();
        for ending in locked(&self.all).values_mut().filter(|ending| matches!(ending.stage, Stage::Unconfirmed)) {
            ending.stage = Stage::BeingEnded;
            let session = ending.session.clone();
            begun.push(Begun { session, endings: self.clone(), is_confirmed: false });
        }
        begun
    }

    /// Keeps a session from an earlier run: to be looked at again, or else unconfirmed.
    pub(super) fn keep(&self, session: S, look: Option<L>) {
        let stage = look.map_or(Stage::Unconfirmed, Stage::Watched);
        locked(&self.all).insert(session.id().to_owned(), Ending { session, stage });
    }

    /// The sessions that are looked at again and whose look `begin` answers for; what it answers is their next look.
    pub(super) fn begin_looks(&self, begin: impl Fn(&L) -> Option<L>) -> Vec<(S, L)> {
        let mut due = Vec::new();
        for ending in locked(&self.all).values_mut() {
            if let Stage::Watched(look) = &mut ending.stage
                && let Some(next) = begin(look)
            {
                due.push((ending.session.clone(), std::mem::replace(look, next)));
            }
        }
        due
    }

    /// Notes the next look at a session that was looked at, or that none is needed; false if it is being ended again
    /// meanwhile.
    pub(super) fn looked_at(&self, id: &str, next: Option<L>) -> bool {
        let mut all = locked(&self.all);
        let Some(Ending { stage: Stage::Watched(look), .. }) = all.get_mut(id) else { return false };
        match next {
            Some(next) => *look = next,
            None => drop(all.remove(id)),
        }
        true
    }

    /// Forgets the sessions of this kind. Whoever is ending one at this moment has nothing left to confirm.
    pub(super) fn forget_where(&self, wanted: impl Fn(&S) -> bool) -> Vec<S> {
        let gone = |_: &String, ending: &mut Ending<S, L>| wanted(&ending.session);
        locked(&self.all).extract_if(.., gone).map(|(_, ending)| ending.session).collect()
    }

    /// The sessions of this kind whose end is not confirmed.
    pub(super) fn unconfirmed(&self, wanted: impl Fn(&S) -> bool) -> Vec<S> {
        let all = locked(&self.all);
        let found = all.values().filter(|ending| ending.is_unconfirmed() && wanted(&ending.session));
        found.map(|ending| ending.session.clone()).collect()
    }

    /// How many sessions have ended and are looked at again.
    pub(super) fn watched(&self) -> usize {
        locked(&self.all).values().filter(|ending| !ending.is_unconfirmed()).count()
    }
}
