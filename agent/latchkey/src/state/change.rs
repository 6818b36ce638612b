//! One change under way: the transaction and the table that will be swapped in, written side by side.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Actor, Email, Hosting, HostingId, Instance, InstanceId, Person, PersonId, Share, ShareId, ShareState,
};
use rusqlite::{Connection, Transaction};

use crate::accounts::{self, FileDoors};
use crate::caller::{Caller, Note};
use crate::channels::Channel;
use crate::database_passwords;
use crate::problem::{Code, Problem};
use crate::store::audit::{Head, Outcome};
use crate::store::mail_queue::NewLetter;
use crate::store::residue::Residue;
use crate::store::{StoreError, access_rows, audit, gateway_rows, hand_overs, mail_queue, shown_passwords};
use crate::token::random_number;

/// One change under way. Dropped without [`super::State::change`] finishing it, nothing happened.
pub(crate) struct Change<'c> {
    /// The moment at which everything in this change is judged.
    pub(crate) now: Timestamp,
    /// Whether the change ends access: then its table counts even if it cannot be written down.
    pub(crate) ends_access: bool,
    transaction: Transaction<'c>,
    /// Why it could not be written down. Nothing is written after that.
    unwritten: OnceCell<StoreError>,
    table: Arc<AccessTable>,
    uids: HashMap<HostingId, u32>,
    caller: &'c Caller,
    head: Option<Head>,
    file_doors: Arc<FileDoors>,
    /// What whoever lost access in this change can still use.
    residue: Vec<Residue>,
}

impl<'c> Change<'c> {
    pub(super) fn new(
        transaction: Transaction<'c>,
        table: Arc<AccessTable>,
        now: Timestamp,
        caller: &'c Caller,
        file_doors: Arc<FileDoors>,
    ) -> Self {
        Self {
            now,
            ends_access: false,
            transaction,
            unwritten: OnceCell::new(),
            table,
            uids: HashMap::new(),
            caller,
            head: None,
            file_doors,
            residue: Vec::new(),
        }
    }

    /// Writes down first what ended while the state could not be written: repeating the request would find it ended
    /// already, and a restart would bring it back.
    pub(super) fn catch_up(&mut self, uids: &HashMap<HostingId, u32>, open: &[Channel]) -> Result<(), Problem> {
        let written = access_rows::load(&self.transaction)?;
        access_rows::replace_registrations(&self.transaction, &self.table, uids)?;
        gateway_rows::forget_sign_ins_but(&self.transaction, |id| open.iter().any(|channel| channel.id() == id))?;
        for share in self.table.clone().shares() {
            if written.share(share.id) != Some(share) {
                self.put_share(Share::clone(share))?;
                let note = Note::of("state.catch_up").on(&share.instance).share(share.id);
                self.record(note.detail("changed while the state could not be written"))?;
            }
        }
        Ok(())
    }

    /// Whether the failure is one of the state rather than a refusal.
    pub(super) fn state_failed<T>(&self, worked: &Result<T, Problem>) -> bool {
        matches!(worked, Err(problem) if matches!(problem.code, Code::Unavailable | Code::Internal))
    }

    #[expect(clippy::type_complexity, reason = "taken apart at once by the only caller")]
    pub(super) fn finish(
        self,
        commit: bool,
    ) -> (Arc<AccessTable>, HashMap<HostingId, u32>, Option<Head>, Result<(), StoreError>) {
        let ended = match self.unwritten.into_inner() {
            Some(error) => {
                // SQLite may have done so by itself.
                drop(self.transaction.rollback());
                Err(error)
            }
            None if commit => self.transaction.commit().map_err(StoreError::at("commit a change")),
            None => self.transaction.rollback().map_err(StoreError::at("undo a change")),
        };
        (self.table, self.uids, self.head, ended)
    }

    /// The table as it will be.
    pub(crate) fn table(&self) -> &AccessTable {
        &self.table
    }

    /// The database, for rows that are not part of the table. What ends access writes with [`Change::write`].
    pub(crate) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// Writes rows.
    ///
    /// A change that ends access goes on where that fails: all of it counts in the table, nothing more is written, and
    /// the change fails when it is finished.
    pub(crate) fn write(&self, rows: impl FnOnce(&Connection) -> Result<(), StoreError>) -> Result<(), Problem> {
        if self.unwritten.get().is_some() {
            return Ok(());
        }
        match rows(&self.transaction) {
            Err(error) if self.ends_access => {
                self.unwritten.get_or_init(|| error);
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// On whose behalf.
    pub(crate) fn actor(&self) -> &'c Actor {
        &self.caller.actor
    }

    /// The person with this address, made if there is none.
    pub(crate) fn person_with(&mut self, email: &Email) -> Result<Arc<Person>, Problem> {
        if let Some(person) = self.table.person_by_email(email) {
            return Ok(person.clone());
        }
        let person = Person { id: PersonId::from_number(random_number()?), email: email.clone(), name: None };
        self.put_person(person.clone())?;
        Ok(Arc::new(person))
    }

    /// Writes a person.
    pub(crate) fn put_person(&mut self, person: Person) -> Result<(), Problem> {
        let saved = self.write(|rows| access_rows::save_person(rows, &person));
        Arc::make_mut(&mut self.table).put_person(person);
        saved
    }

    /// Writes a hosting.
    pub(crate) fn put_hosting(&mut self, hosting: Hosting, uid: u32) -> Result<(), Problem> {
        let saved = self.write(|rows| access_rows::save_hosting(rows, &hosting, uid));
        self.uids.insert(hosting.id.clone(), uid);
        Arc::make_mut(&mut self.table).put_hosting(hosting);
        saved
    }

    /// Removes a hosting.
    pub(crate) fn remove_hosting(&mut self, id: &HostingId) -> Result<(), Problem> {
        let saved = self.write(|rows| {
            accounts::forget_hosting(rows, id)?;
            shown_passwords::forget_hosting(rows, id)?;
            access_rows::delete_hosting(rows, id.as_str())
        });
        Arc::make_mut(&mut self.table).remove_hosting(id);
        saved
    }

    /// Writes an instance.
    pub(crate) fn put_instance(&mut self, instance: Instance) -> Result<(), Problem> {
        let saved = self.write(|rows| access_rows::save_instance(rows, &instance));
        Arc::make_mut(&mut self.table).put_instance(instance);
        saved
    }

    /// Removes an instance.
    pub(crate) fn remove_instance(&mut self, id: &InstanceId) -> Result<(), Problem> {
        let deleted = self.write(|rows| {
            access_rows::delete_instance(rows, id.as_str())?;
            // Another site may get the name; what was made for this one must not open it.
            hand_overs::delete_of(rows, id)
        });
        Arc::make_mut(&mut self.table).remove_instance(id);
        deleted
    }

    /// Writes a share as its next generation, and answers with it.
    ///
    /// The table takes it whether the database does or not, so that an end counts even if it cannot be written down.
    pub(crate) fn put_share(&mut self, mut share: Share) -> Result<Share, Problem> {
        share.generation += 1;
        let saved = self.write(|rows| {
            access_rows::save_share(rows, &share)?;
            if share.state.is_final() {
                gateway_rows::delete_invitation(rows, share.id)?;
                mail_queue::drop_invitations(rows, &share.id.to_string())?;
            }
            Ok(())
        });
        Arc::make_mut(&mut self.table).put_share(share.clone());
        saved?;
        accounts::follow(self, &share)?;
        database_passwords::follow(self, &share)?;
        Ok(share)
    }

    /// Notes what whoever loses access in this change can still use.
    pub(crate) fn leave(&mut self, residue: Vec<Residue>) {
        self.residue.extend(residue);
    }

    /// What was noted so far, once.
    pub(super) fn take_residue(&mut self) -> Vec<Residue> {
        std::mem::take(&mut self.residue)
    }

    /// Where people find their file accounts.
    pub(crate) fn file_doors(&self) -> Arc<FileDoors> {
        self.file_doors.clone()
    }

    /// The share with this id, whatever its state.
    pub(crate) fn share(&self, id: ShareId) -> Result<Arc<Share>, Problem> {
        self.table.share(id).cloned().ok_or_else(|| Problem::not_found("share"))
    }

    /// Puts a share into another state.
    pub(crate) fn set_state(&mut self, id: ShareId, state: ShareState) -> Result<Share, Problem> {
        let share = self.share(id)?;
        self.put_share(Share { state, ..Share::clone(&share) })
    }

    /// Puts a letter into the mail queue.
    pub(crate) fn send(&self, letter: &NewLetter) -> Result<(), Problem> {
        self.write(|rows| mail_queue::enqueue(rows, letter, self.now))
    }

    /// Notes in the audit what this change does.
    pub(crate) fn record(&mut self, note: Note) -> Result<(), Problem> {
        let row = self.caller.audit_row(&self.table, note, Outcome::Allowed, self.now);
        let mut head = None;
        self.write(|rows| audit::append(rows, row).map(|appended| head = Some(appended)))?;
        self.head = head.or(self.head.take());
        Ok(())
    }
}
