//! Which entries rest on which shares, kept beside the access table: whoever swaps it takes out those that it no longer allows.
//!
//! As with channels an entry is registered first and decided on then, so no order of events leaves one behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use latchkey_access::rows::CronCreate;
use latchkey_access::{AccessTable, Actor, HostingId, ShareId, decide};

use super::ending::unconfirmed;
use crate::channels::Unconfirmed;
use crate::in_turn::Turns;
use crate::store::cron_entries::{CronEntry, Wanted};

/// An entry whose share has ended, that the holder, and nobody else, is taking out of the crontab. Dropped before that is
/// done, it is unconfirmed.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(super) id: String,
    pub(super) hosting: HostingId,
    pub(super) share: ShareId,
    resting: Arc<Entries>,
}

/// What an entry rests on: while it is being changed, on what it rested on and on what it is going to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    hosting: HostingId,
    shares: Vec<ShareId>,
}

/// An entry that has to leave with a share, and whether somebody is at it.
#[derive(Debug)]
struct Going {
    hosting: HostingId,
    share: ShareId,
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

impl State {
    fn put(&mut self, id: &str, hosting: &HostingId, shares: impl IntoIterator<Item = Option<ShareId>>) {
        let mut shares: Vec<ShareId> = shares.into_iter().flatten().collect();
        shares.dedup();
        self.resting.remove(id);
        if !shares.is_empty() {
            self.resting.insert(id.to_owned(), Rest { hosting: hosting.clone(), shares });
        }
    }
}

impl Resting {
    /// Takes over what was written down.
    pub(crate) fn keep(&self, entries: Vec<CronEntry>) {
        for entry in entries {
            let CronEntry { id, hosting, share, .. } = &entry;
            if entry.leaving {
                let Some(share) = *share else { continue };
                let going = Going { hosting: hosting.clone(), share, is_begun: false };
                self.entries.locked().leaving.insert(id.clone(), going);
            } else {
                let is = share.filter(|_| entry.says.enabled || entry.wanted.is_some());
                let will_be = match &entry.wanted {
                    Some(Wanted::Changed(says, share)) if says.enabled => *share,
                    _ => None,
                };
                self.put(id, hosting, [is, will_be]);
            }
        }
    }

    /// From now on the entry rests on these shares, or on none. To be decided on after this.
    pub(super) fn put(&self, id: &str, hosting: &HostingId, shares: impl IntoIterator<Item = Option<ShareId>>) {
        self.entries.locked().put(id, hosting, shares);
    }

    /// Begins to take out what the table does not allow. For the one who has just swapped it.
    pub(crate) fn take_dead(&self, table: &AccessTable, now: Timestamp) -> Vec<Leaving> {
        let mut state = self.entries.locked();
        let dead_of = |rest: &Rest| rest.shares.iter().copied().find(|share| !is_allowed(table, *share, now));
        let dead = state.resting.extract_if(.., |_, rest| dead_of(rest).is_some()).collect::<Vec<_>>();
        let mut begun = Vec::new();
        for (id, rest) in dead {
            let Some(share) = dead_of(&rest) else { continue };
            let going = Going { hosting: rest.hosting, share, is_begun: true };
            begun.push(self.begun(&id, &going));
            state.leaving.insert(id, going);
        }
        begun
    }

    /// Begins to take out what is to leave and nobody is at.
    pub(super) fn begin_unconfirmed(&self) -> Vec<Leaving> {
        let mut begun = Vec::new();
        for (id, going) in self.entries.locked().leaving.iter_mut().filter(|(_, going)| !going.is_begun) {
            going.is_begun = true;
            begun.push(self.begun(id, going));
        }
        begun
    }

    fn begun(&self, id: &str, going: &Going) -> Leaving {
        let Going { hosting, share, .. } = going;
        Leaving { id: id.to_owned(), hosting: hosting.clone(), share: *share, resting: self.entries.clone() }
    }

    /// From now on the entry rests on this share alone, or on none; it stays also if it was to leave with another one.
    /// False if it has to leave with this one.
    pub(super) fn settle(&self, id: &str, hosting: &HostingId, share: Option<ShareId>) -> bool {
        let mut state = self.entries.locked();
        if state.leaving.get(id).is_some_and(|going| Some(going.share) == share) {
            return false;
        }
        state.leaving.remove(id);
        state.put(id, hosting, [share]);
        true
    }

    /// How many entries have to leave.
    pub(crate) fn leaving(&self) -> usize {
        self.entries.locked().leaving.len()
    }

    /// The entries that have to leave, by share and hosting.
    pub(crate) fn unconfirmed(&self, wanted: impl Fn(ShareId, &HostingId) -> bool) -> Vec<Unconfirmed> {
        let state = self.entries.locked();
        let found = state.leaving.iter().filter(|(_, going)| wanted(going.share, &going.hosting));
        found.map(|(id, going)| unconfirmed(id, &going.hosting)).collect()
    }

    /// Forgets what rests on a hosting, because that is forgotten.
    pub(crate) fn forget_hosting(&self, hosting: &HostingId) {
        let mut state = self.entries.locked();
        state.resting.retain(|_, rest| rest.hosting != *hosting);
        state.leaving.retain(|_, going| going.hosting != *hosting);
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
