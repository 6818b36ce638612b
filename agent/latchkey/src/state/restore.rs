//! Going back to a backup. What ended since then stays ended; nothing is granted that was not.
//!
//! Where the state is whole and goes on from the backup, its shares are changed like by any other change. Where it is
//! damaged or gone, the backup takes its place, narrowed by everything that is still known of what came after it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use latchkey_access::{AccessTable, HostingId, Share, ShareId, ShareState};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Change, State};
use crate::caller::{Caller, Note};
use crate::channels::{Channel, Ended, Taken};
use crate::problem::{Code, Problem};
use crate::store::audit::{self, Head, Outcome};
use crate::store::backup::{self, BackupError, Copy};
use crate::store::wordpress_sessions::{self, KeptSession};
use crate::store::{self, Store, StoreError, access_rows, accounts, cron_entries, gateway_rows, mail_queue, residue};

/// What becomes of shares of which nothing is known but the backup: they may have ended or been narrowed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are suspended, and invitations are withdrawn.
    Suspended,
    /// They come back as they were: the operator knows that nothing was taken away since.
    Kept,
}

impl Unknown {
    /// Where a backup waits to be restored this way.
    pub(crate) fn waiting_in(self, state_dir: &Path) -> PathBuf {
        state_dir.join(match self {
            Self::Suspended => "restore.db",
            Self::Kept => "restore-keep-active.db",
        })
    }
}

/// What a restore did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Restored {
    /// The last row of the audit in the backup.
    pub(crate) backup_head: Option<Head>,
    /// Where the state from before lies, if the backup took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_aside: Option<String>,
    /// What became of the shares.
    pub(crate) shares: Counts,
    /// What was closed.
    pub(crate) ended: Ended,
}

/// Shares, counted by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Counts {
    /// As in the backup.
    pub(crate) as_backed_up: usize,
    /// Ended since the backup; they stay ended.
    pub(crate) stay_ended: usize,
    /// Granted since the backup; they ended.
    pub(crate) taken_back: usize,
    /// Changed since the backup, or not known whether: with the terms of the backup, suspended.
    pub(crate) suspended: usize,
    /// Invitations that may have been withdrawn since; they ended.
    pub(crate) withdrawn: usize,
}

impl Counts {
    fn sentence(&self) -> String {
        let Self { as_backed_up, stay_ended, taken_back, suspended, withdrawn } = self;
        format!(
            "{as_backed_up} shares as backed up, {stay_ended} ended since stay ended, {taken_back} granted since ended, \
             {suspended} suspended, {withdrawn} invitations withdrawn"
        )
    }
}

/// Why a restore did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The backup is none, or the files cannot be handled.
    #[error("the backup was not put in place")]
    Backup(#[from] BackupError),
    /// The database refused.
    #[error("the backup was not put in place")]
    Store(#[from] StoreError),
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        let text = crate::problem::chain(&error);
        tracing::error!(error = %text, "a backup was not restored");
        Self::new(Code::Unavailable, text)
    }
}

/// What a share of the backup is from now on, beside what it is now. Nothing that ended lives again, and what was changed
/// since must be looked at by somebody before it grants anything.
fn share_after(backed_up: &Share, now: Option<&Share>, unknown: Unknown, counts: &mut Counts) -> Share {
    let suspended = |generation: u64| Share {
        state: ShareState::Suspended,
        generation: generation.max(backed_up.generation),
        ..backed_up.clone()
    };
    match (backed_up.state, now) {
        (state, _) if state.is_final() => backed_up.clone(),
        (_, Some(now)) if now.state.is_final() => {
            counts.stay_ended += 1;
            now.clone()
        }
        (before, Some(now)) if before == ShareState::Pending || allows_the_same(backed_up, now) => {
            counts.as_backed_up += 1;
            now.clone()
        }
        (_, Some(now)) => {
            counts.suspended += 1;
            suspended(now.generation)
        }
        (_, None) if unknown == Unknown::Kept => {
            counts.as_backed_up += 1;
            backed_up.clone()
        }
        (ShareState::Pending, None) => {
            counts.withdrawn += 1;
            Share { state: ShareState::Revoked, ..backed_up.clone() }
        }
        (_, None) => {
            counts.suspended += 1;
            suspended(0)
        }
    }
}

fn allows_the_same(one: &Share, other: &Share) -> bool {
    (&one.terms, one.state, one.granted_by, one.linked_to)
        == (&other.terms, other.state, other.granted_by, other.linked_to)
}

/// What is known of the state that a backup takes the place of.
#[derive(Default)]
struct Known {
    /// All of the table.
    table: Option<Arc<AccessTable>>,
    uids: HashMap<HostingId, u32>,
    /// Sessions that are open or must end.
    sessions: Vec<KeptSession>,
    /// The damaged database, for what of its audit can be read.
    database: Option<Connection>,
}

impl Known {
    /// What a running agent knows, whatever became of its file.
    fn by(state: &State) -> Self {
        Self {
            table: Some(state.table()),
            uids: state.uids(),
            sessions: state.channels.wordpress(),
            database: state.store.reader_apart().ok(),
        }
    }

    /// What can still be read of a database that is damaged.
    fn of_damaged(path: &Path) -> Self {
        let Some(database) = store::connect_to_damaged(path) else { return Self::default() };
        let table = access_rows::load(&database).ok().map(Arc::new);
        let uids = access_rows::load_uids(&database).unwrap_or_default();
        let uids = uids.into_iter().filter_map(|(id, uid)| Some((id.parse().ok()?, uid))).collect();
        let sessions = wordpress_sessions::load(&database).unwrap_or_default();
        Self { table, uids, sessions, database: Some(database) }
    }

    fn share(&self, id: ShareId) -> Option<&Share> {
        self.table.as_ref()?.share(id).map(AsRef::as_ref)
    }

    /// The table, if it is of a state that went on from the backup: one that lost its state knows fewer shares.
    fn table_beyond(&self, backed_up: &AccessTable) -> Option<&AccessTable> {
        let table = self.table.as_deref()?;
        let knows_all = backed_up.shares().all(|share| table.share(share.id).is_some())
            && backed_up.people().all(|person| table.person(person.id).is_some());
        knows_all.then_some(table)
    }
}

impl State {
    /// Goes back to a backup while everything runs. The answer holds the channels that are not allowed any more, as with
    /// [`State::change`]. Blocks.
    pub(crate) fn restore(
        &self,
        caller: &Caller,
        mut copy: Copy,
        unknown: Unknown,
    ) -> (Result<Restored, Problem>, Taken) {
        let goes_on = self.store.reader_apart().and_then(|reader| {
            backup::check(&reader, self.store.path())?;
            audit::holds(&reader, copy.head.as_ref())
        });
        if goes_on.unwrap_or(false) {
            let loaded = access_rows::load(&copy.connection);
            let head = copy.head;
            return self.change(caller, |change| {
                let counts = go_back(change, &loaded?, head.as_ref())?;
                Ok(Restored { backup_head: head, kept_aside: None, shares: counts, ended: Ended::default() })
            });
        }
        match self.replace(caller, &mut copy, unknown) {
            Ok((restored, dead)) => (Ok(restored), dead),
            Err(error) => (Err(error.into()), Taken::default()),
        }
    }

    /// Puts the backup in the place of a state that is damaged or another's.
    fn replace(&self, caller: &Caller, copy: &mut Copy, unknown: Unknown) -> Result<(Restored, Taken), RestoreError> {
        let mut writer = self.store.writer();
        let now = self.clock.now();
        let kept = backup::keep_copy_aside(self.store.path(), now)?;
        let known = Known::by(self);
        let (counts, head) = prepare(copy, &known, caller, unknown, now)?;
        drop(known);
        self.store.take_over(&copy.connection, &mut writer)?;
        let (table, uids) = super::load_table(&copy.connection)?;
        *self.uids.lock().unwrap_or_else(PoisonError::into_inner) = uids;
        wordpress_sessions::load(&copy.connection)?.into_iter().for_each(|kept| self.channels.keep(kept));
        self.channels.cron.keep(cron_entries::on_shares(&copy.connection)?);
        self.channels.used.keep(residue::used_shares(&copy.connection)?);
        let dead = self.channels.swap(Arc::new(table), now);
        // Their rows are not in the backup, or without the keys and passwords that opened them: people begin again.
        let begins_again = |channel: &Channel| !matches!(channel, Channel::Wordpress(_));
        let dead = dead.and(self.channels.take_where(begins_again));
        drop(writer);
        self.store.note(None);
        self.audit_head.send_replace(Some(head));
        self.changed.send_modify(|count| *count += 1);
        let kept_aside = Some(kept.display().to_string());
        let restored = Restored { backup_head: copy.head.clone(), kept_aside, shares: counts, ended: Ended::default() };
        Ok((restored, dead))
    }
}

/// Takes a whole state back to the backup's shares.
fn go_back(change: &mut Change<'_>, backed_up: &AccessTable, head: Option<&Head>) -> Result<Counts, Problem> {
    change.ends_access = true;
    let mut counts = Counts::default();
    for before in backed_up.shares() {
        let now = change.share(before.id)?;
        let after = share_after(before, Some(&now), Unknown::Suspended, &mut counts);
        if after != *now {
            change.put_share(after)?;
            change.record(
                Note::of("state.restore")
                    .on(&now.instance)
                    .share(now.id)
                    .detail("back to its backed up terms, suspended"),
            )?;
        }
    }
    let newer = change.table().shares().filter(|share| backed_up.share(share.id).is_none() && !share.state.is_final());
    for share in newer.cloned().collect::<Vec<_>>() {
        counts.taken_back += 1;
        change.set_state(share.id, ShareState::Revoked)?;
        change
            .record(Note::of("state.restore").on(&share.instance).share(share.id).detail("granted after the backup"))?;
    }
    change.record(Note::of("state.restore").detail(summary(head, &counts)))?;
    Ok(counts)
}

fn summary(head: Option<&Head>, counts: &Counts) -> String {
    let from = head.map_or_else(|| "an empty audit".to_owned(), |head| format!("row {} ({})", head.seq, head.hash));
    format!("from a backup that ends with {from}: {}", counts.sentence())
}

/// Makes a backup ready to be the state: narrowed by what is known of the time after it.
fn prepare(
    copy: &mut Copy,
    known: &Known,
    caller: &Caller,
    unknown: Unknown,
    now: Timestamp,
) -> Result<(Counts, Head), StoreError> {
    let backed_up = access_rows::load(&copy.connection)?;
    let transaction = copy.connection.transaction().map_err(StoreError::at("begin to prepare the backup"))?;
    let mut counts = Counts::default();
    if let Some(table) = known.table_beyond(&backed_up) {
        // Addresses, owners and suspended hostings are as they are now.
        access_rows::replace_registrations(&transaction, table, &known.uids)?;
        let is_newer = |share: &&Arc<Share>| backed_up.share(share.id).is_none() && !share.state.is_final();
        counts.taken_back = table.shares().filter(is_newer).count();
    }
    for before in backed_up.shares() {
        let after = share_after(before, known.share(before.id), unknown, &mut counts);
        if after != **before {
            access_rows::save_share(&transaction, &Share { generation: after.generation + 1, ..after })?;
        }
    }
    accounts::forget_ended(&transaction)?;
    if unknown == Unknown::Suspended {
        accounts::forget_credentials(&transaction)?;
    }
    // Links and letters that were used, replaced or sent since must not be good again.
    gateway_rows::forget_sign_ins(&transaction)?;
    if unknown == Unknown::Suspended {
        gateway_rows::forget_invitations(&transaction)?;
        mail_queue::drop_all(&transaction)?;
    }
    for kept in &known.sessions {
        wordpress_sessions::save(&transaction, &kept.session)?;
        if kept.must_end {
            wordpress_sessions::mark_ending(&transaction, &kept.session.mark)?;
        }
    }
    if let Some(database) = &known.database {
        audit::go_on_with(&transaction, database)?;
    }
    let note = Note::of("state.restore").detail(summary(copy.head.as_ref(), &counts));
    let head = audit::append(&transaction, caller.audit_row(&backed_up, note, Outcome::Allowed, now))?;
    transaction.commit().map_err(StoreError::at("prepare the backup"))?;
    Ok((counts, head))
}

/// A backup that the running state has to go back to.
pub(crate) type Waiting = (Copy, Unknown);

/// Opens the state, after a restore that waits for the start.
///
/// A backup waits when the agent did not run, or did not start because its state is damaged. Where the state is whole,
/// the answer is the backup with it: it is restored like while running.
pub(crate) fn open_store(state_dir: &Path, now: Timestamp) -> Result<(Store, Option<Waiting>), RestoreError> {
    let waiting = [Unknown::Suspended, Unknown::Kept].map(|unknown| (unknown.waiting_in(state_dir), unknown));
    let Some((file, unknown)) = waiting.into_iter().find(|(file, _)| file.exists()) else {
        return Ok((Store::open(state_dir)?, None));
    };
    let opened = backup::open(&file);
    let mut copy = match opened {
        Ok(copy) => copy,
        Err(error) => {
            tracing::error!(error = %crate::problem::chain(&error), "the backup that waits is not restored");
            backup::remove(&file)?;
            return Ok((Store::open(state_dir)?, None));
        }
    };
    let path = store::path_in(state_dir);
    let whole = if path.exists() { Store::open(state_dir).map(Some) } else { Ok(None) };
    if let Ok(Some(store)) = whole {
        backup::remove(&file)?;
        return Ok((store, Some((copy, unknown))));
    }
    let (counts, _) = prepare(&mut copy, &Known::of_damaged(&path), &Caller::agent(), unknown, now)?;
    drop(copy);
    let kept = backup::move_aside(&path, now)?;
    backup::move_into_place(&file, &path)?;
    tracing::warn!(kept_aside = %kept.display(), shares = %counts.sentence(), "a backup took the place of the state");
    Ok((Store::open(state_dir)?, None))
}
