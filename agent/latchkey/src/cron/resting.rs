//! Which entries rest on which shares, kept beside the access table: whoever swaps it takes out those that it no longer allows.
//!
//! As with channels an entry is registered first and decided on then, so no order of events leaves one behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use latchkey_access::rows::CronCreate;
use latchkey_access::{AccessTable, Actor, HostingId, ShareId, decide};

use super::ending::unconfirmed;
use crate::adapters::Turns;
use crate::channels::Unconfirmed;
use crate::store::cron_entries::CronEntry;

/// An entry whose share has ended, that the holder, and nobody else, is taking out of the crontab. Dropped before that is
/// done, it is unconfirmed.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(super) id: String,
    pub(super) hosting: HostingId,
    pub(super) share: ShareId,
    resting: Arc<Entries>,
}

/// What an entry rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    hosting: HostingId,
    share: ShareId,
}

/// An entry that has to leave, and whether somebody is at it.
#[derive(Debug)]
struct Going {
    rest: Rest,
    is_begun: bool,
}

#[derive(Debug, Default)]
struct Entries(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    resting: BTreeMap<String, Rest>,
    leaving: BTreeMap<String, Going>,
}

/// All entries that rest on shares, and those that have to leave the crontab.
#[derive(Debug)]
pub(crate) struct Resting {
    entries: Arc<Entries>,
    /// Changes of one hosting's entries come one after another.
    pub(super) turns: Turns,
}

impl Default for Resting {
    fn default() -> Self {
        Self { entries: Arc::default(), turns: Turns::at_once(1) }
    }
}

impl Entries {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resting {
    /// Takes over what was written down.
    pub(crate) fn keep(&self, entries: Vec<CronEntry>) {
        for entry in entries {
            let Some(share) = entry.share else { continue };
            let rest = Rest { hosting: entry.hosting.clone(), share };
            if entry.leaving {
                self.entries.locked().leaving.insert(entry.id, Going { rest, is_begun: false });
            } else if entry.says.enabled || entry.wanted.is_some() {
                self.entries.locked().resting.insert(entry.id, rest);
            }
        }
    }

    /// From now on the entry rests on this share, or on none. To be decided on after this.
    pub(super) fn put(&self, id: &str, hosting: &HostingId, share: Option<ShareId>) {
        let rest = share.map(|share| Rest { hosting: hosting.clone(), share });
        let mut state = self.entries.locked();
        state.resting.remove(id);
        state.resting.extend(rest.map(|rest| (id.to_owned(), rest)));
    }

    /// Begins to take out what the table does not allow. For the one who has just swapped it.
    pub(crate) fn take_dead(&self, table: &AccessTable, now: Timestamp) -> Vec<Leaving> {
        let mut state = self.entries.locked();
        let dead = state.resting.extract_if(.., |_, rest| !is_allowed(table, rest.share, now)).collect::<Vec<_>>();
        let mut begun = Vec::new();
        for (id, rest) in dead {
            begun.push(self.begun(&id, &rest));
            state.leaving.insert(id, Going { rest, is_begun: true });
        }
        begun
    }

    /// Begins to take out what is to leave and nobody is at.
    pub(super) fn begin_unconfirmed(&self) -> Vec<Leaving> {
        let mut begun = Vec::new();
        for (id, going) in self.entries.locked().leaving.iter_mut().filter(|(_, going)| !going.is_begun) {
            going.is_begun = true;
            begun.push(self.begun(id, &going.rest));
        }
        begun
    }

    fn begun(&self, id: &str, rest: &Rest) -> Leaving {
        let Rest { hosting, share } = rest.clone();
        Leaving { id: id.to_owned(), hosting, share, resting: self.entries.clone() }
    }

    /// How many entries have to leave.
    pub(crate) fn leaving(&self) -> usize {
        self.entries.locked().leaving.len()
    }

    /// The entries that have to leave, by share and hosting.
    pub(crate) fn unconfirmed(&self, wanted: impl Fn(ShareId, &HostingId) -> bool) -> Vec<Unconfirmed> {
        let state = self.entries.locked();
        let found = state.leaving.iter().filter(|(_, going)| wanted(going.rest.share, &going.rest.hosting));
        found.map(|(id, going)| unconfirmed(id, &going.rest.hosting)).collect()
    }

    /// Forgets what rests on a hosting, because that is forgotten.
    pub(crate) fn forget_hosting(&self, hosting: &HostingId) {
        let mut state = self.entries.locked();
        state.resting.retain(|_, rest| rest.hosting != *hosting);
        state.leaving.retain(|_, going| going.rest.hosting != *hosting);
    }

    /// Whether an entry has to leave.
    pub(super) fn is_leaving(&self, id: &str) -> bool {
        self.entries.locked().leaving.contains_key(id)
    }
}

impl Leaving {
    /// It is out of the crontab, and written down as disabled.
    pub(super) fn confirm(self) {
        self.resting.locked().leaving.remove(&self.id);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(going) = self.resting.locked().leaving.get_mut(&self.id) {
            going.is_begun = false;
        }
    }
}

/// Whether a share lets its person say what cron runs: by itself, not by another share of theirs.
pub(super) fn is_allowed(table: &AccessTable, share: ShareId, now: Timestamp) -> bool {
    let Some(share) = table.share(share).filter(|share| share.is_live(now)) else { return false };
    let permit = decide::<CronCreate>(table, &Actor::Person(share.person), &share.instance, now);
    // A person who owns it by now needs no share, and has one all the same.
    permit.is_ok_and(|permit| permit.share().is_none_or(|by| by == share.id))
}
