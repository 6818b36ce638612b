//! The state of serve: the database and the access table made from it, changed together or not at all.
//!
//! The order of a change is the promise of the product: commit, swap the table, then take every channel that the new
//! table no longer allows. No order of events leaves one open.

mod change;
pub(crate) mod restore;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use latchkey_access::{AccessTable, HostingId};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

pub(crate) use change::Change;
pub(crate) use restore::RestoreError;

use crate::accounts::FileDoors;
use crate::caller::{Caller, Note};
use crate::channels::{Channels, Taken};
use crate::clock::{Clock, Stopwatch};
use crate::counted::COUNTED;
use crate::problem::{Code, Problem};
use crate::store::audit::{Head, Outcome};
use crate::store::{Store, StoreError, access_rows, audit};

/// The database, the access table with the channels that it lets in, the clock.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) channels: Channels,
    uids: Mutex<HashMap<HostingId, u32>>,
    /// Grows with each change, for those who wait for one.
    changed: watch::Sender<u64>,
    audit_head: watch::Sender<Option<Head>>,
    /// The newest row whose hash the broker is known to have.
    recorded_head: AtomicU64,
    /// Whether the table holds ends of access that are not written down.
    behind: AtomicBool,
    file_doors: ArcSwap<FileDoors>,
}

impl State {
    /// Opens the state directory and loads the access table and the channels. A backup that waits there to be restored
    /// comes first; the answer holds it if the running state has to go back to it.
    pub(crate) fn open(state_dir: &Path, clock: Clock) -> Result<(Self, Option<restore::Waiting>), RestoreError> {
        let (store, waiting) = restore::open_store(state_dir, clock.now())?;
        let (uids, channels, head) = {
            let connection = store.reader();
            let (table, uids) = load_table(&connection)?;
            (uids, Channels::load(&connection, table, clock.now())?, audit::head(&connection)?)
        };
        let state = Self {
            clock,
            store,
            channels,
            uids: Mutex::new(uids),
            changed: watch::Sender::new(0),
            audit_head: watch::Sender::new(head),
            recorded_head: AtomicU64::new(0),
            behind: AtomicBool::new(false),
            file_doors: ArcSwap::default(),
        };
        Ok((state, waiting))
    }

    /// The access table as it is now.
    pub(crate) fn table(&self) -> Arc<AccessTable> {
        self.channels.table()
    }

    /// The system user's uid of a hosting, as the broker found it.
    pub(crate) fn uid_of(&self, hosting: &HostingId) -> Option<u32> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).get(hosting).copied()
    }

    /// Where people find their file accounts.
    pub(crate) fn file_doors(&self) -> Arc<FileDoors> {
        self.file_doors.load_full()
    }

    /// Says where people find their file accounts from now on.
    pub(crate) fn set_file_doors(&self, doors: FileDoors) {
        self.file_doors.store(Arc::new(doors));
    }

    fn uids(&self) -> HashMap<HostingId, u32> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether access ended that is not written down as ended. Any change makes up for it.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Wakes the receiver after each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The newest end of the audit's chain.
    pub(crate) fn audit_heads(&self) -> watch::Receiver<Option<Head>> {
        self.audit_head.subscribe()
    }

    /// The newest row of the audit whose hash the broker is known to have; 0 before it was told one.
    pub(crate) fn recorded_head(&self) -> u64 {
        self.recorded_head.load(Ordering::Relaxed)
    }

    /// Notes that the broker has the hash of this row.
    pub(crate) fn head_is_recorded(&self, seq: u64) {
        self.recorded_head.store(seq, Ordering::Relaxed);
    }

    /// Changes the state: all of it or nothing. Blocks.
    ///
    /// The answer holds the channels that the new table no longer allows; they are out of the registry, and whoever
    /// gets them must close them. A change that ends something (see [`Change::ends_access`]) closes them even when it
    /// cannot be written down; the answer is an error then that says to repeat.
    pub(crate) fn change<T>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem>,
    ) -> (Result<T, Problem>, Taken) {
        let stopwatch = Stopwatch::start();
        let connection = self.store.writer();
        let begun = begin(&connection);
        let transaction = match begun.map_err(StoreError::at("begin a change")) {
            Ok(transaction) => transaction,
            Err(error) => {
                error.trouble().into_iter().for_each(|trouble| self.store.note(Some(trouble)));
                return (Err(error.into()), Taken::default());
            }
        };
        let mut change = Change::new(transaction, self.table(), self.clock.now(), caller, self.file_doors());
        let caught_up = if self.is_behind() { change.catch_up(&self.uids(), &self.channels.list()) } else { Ok(()) };
        let worked = work(&mut change);
        let worked = worked.and_then(|value| caught_up.map(|()| value));
        let ends_access = change.ends_access;
        let refused = worked.is_err() && !change.state_failed(&worked);
        let (now, residue) = (change.now, change.take_residue());
        let (table, uids, head, committed) = change.finish(worked.is_ok());
        COUNTED.state_writes.count(stopwatch.elapsed());
        let outcome = match (worked, committed) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(Problem::from(error)),
            (Err(problem), _) => Err(problem),
        };
        match &outcome {
            Ok(_) => {
                self.behind.store(false, Ordering::Relaxed);
                self.store.note(None);
            }
            Err(problem) => problem.trouble.into_iter().for_each(|trouble| self.store.note(Some(trouble))),
        }
        if outcome.is_err() && (refused || !ends_access) {
            return (outcome, Taken::default());
        }
        // Cleared by the next change that is written: it writes what this one could not.
        self.behind.fetch_or(outcome.is_err(), Ordering::Relaxed);
        let dead = self.channels.swap(table, now);
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).extend(uids);
        if let Some(head) = head.filter(|_| outcome.is_ok()) {
            self.audit_head.send_replace(Some(head));
        }
        drop(connection);
        self.changed.send_modify(|count| *count += 1);
        let outcome = outcome.map_err(|problem| match problem.code {
            Code::Unavailable | Code::Internal => Problem {
                detail: "access was ended and its channels are closed, but this could not be written down; repeat the request"
                    .into(),
                ..problem
            },
            _ => problem,
        });
        (outcome, dead.leaving(residue))
    }

    /// Appends to the audit by itself. Blocks.
    pub(crate) fn record(&self, caller: &Caller, note: Note, outcome: Outcome) -> Result<(), StoreError> {
        let row = caller.audit_row(&self.table(), note, outcome, self.clock.now());
        let head = audit::append(&self.store.writer(), row)?;
        self.audit_head.send_replace(Some(head));
        Ok(())
    }
}

type Table = (AccessTable, HashMap<HostingId, u32>);

fn load_table(connection: &Connection) -> Result<Table, StoreError> {
    let table = access_rows::load(connection)?;
    let mut uids = HashMap::new();
    for (id, uid) in access_rows::load_uids(connection)? {
        uids.insert(crate::store::parsed("hosting id", &id)?, uid);
    }
    Ok((table, uids))
}

/// Begins a transaction that writes. Where the state can only be read, one that reads: its writes will fail, but an end
/// of access can still be worked out and take effect in the table.
fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    // The connection is locked and every transaction ends with its change, so none is open here.
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .or_else(|_| Transaction::new_unchecked(connection, TransactionBehavior::Deferred))
}
