//! Tasks: what works on many files, each carried out by one thread of its own kind until it is done or ended.
//!
//! Taken on first and carried out then: so its number is known to whoever wants to end it, before it begins.

mod copy;
mod list;
mod term;

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_protocol::{FileFault, FileTask, FileTaskDone};

use self::{list::Listed, term::Term};
use super::resolve::Home;

/// How many may be taken on at a time on one connection.
pub const TASKS_MAX: usize = 64;

/// The tasks of a connection.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    taken: HashMap<u64, Arc<Task>>,
}

#[derive(Debug)]
struct Task {
    asked: FileTask,
    term: Term,
    /// What has been read and is being told.
    listed: Mutex<Option<Listed>>,
}

impl Tasks {
    /// Takes one on and returns its number.
    pub(super) fn begin(&self, asked: FileTask, beside: Option<OwnedFd>) -> Result<u64, FileFault> {
        if beside.is_some() {
            return Err(FileFault::Invalid);
        }
        let mut table = self.table();
        if table.taken.len() >= TASKS_MAX {
            return Err(FileFault::Busy);
        }
        table.last += 1;
        let number = table.last;
        table.taken.insert(number, Arc::new(Task { asked, term: Term::default(), listed: Mutex::default() }));
        Ok(number)
    }

    /// Carries one out, and forgets it unless there is more to tell.
    pub(super) fn carry_out(&self, number: u64, home: &Home) -> Result<FileTaskDone, FileFault> {
        let task = self.table().taken.get(&number).cloned().ok_or(FileFault::Invalid)?;
        let done = task.carry_out(home);
        if !matches!(done, Ok(FileTaskDone::Listed { is_over: false, .. })) {
            self.table().taken.remove(&number);
        }
        done
    }

    /// Ends one and forgets it; whoever carries it out stops at the next step.
    pub(super) fn end(&self, number: u64) -> Result<(), FileFault> {
        let ended = self.table().taken.remove(&number).ok_or(FileFault::Invalid)?;
        ended.term.end();
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn carry_out(&self, home: &Home) -> Result<FileTaskDone, FileFault> {
        self.term.begin();
        match &self.asked {
            FileTask::List(listing) => {
                let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
                if listed.is_none() {
                    *listed = Some(list::list(&home.at(&listing.at)?, listing, &self.term)?);
                }
                Ok(listed.as_mut().ok_or(FileFault::Io)?.tell())
            }
            FileTask::Copy { from, to } => {
                let (from, to) = home.both(from, to)?;
                copy::copy(&from, &to, &self.term).map(FileTaskDone::Worked)
            }
        }
    }
}
