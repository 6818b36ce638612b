//! Tasks: what works on many files, each carried out by one thread of its own kind until it is done or ended.
//!
//! Taken on first and carried out then: so its number is known to whoever wants to end it, before it begins.

mod archive;
mod beneath;
mod copy;
mod list;
mod search;
mod term;

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_protocol::{FileFault, FileTask, FileTaskDone, Place};

use self::{list::Listed, search::Searched, term::Term};
use super::resolve::Home;

/// How many streams a worker writes at a time.
pub const STREAMS_MAX: usize = 3;

/// How many searches are asked of a worker at a time.
pub const SEARCHES_MAX: usize = 2;

/// How many may be taken on at a time on one connection.
pub const TASKS_MAX: usize = 64;

/// Whose turn one waits for: each kind has threads of its own, so that none keeps another waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lists a directory.
    List,
    /// Searches.
    Search,
    /// Copies.
    Copy,
    /// Makes or extracts an archive: takes much memory.
    Archive,
    /// Goes on for as long as somebody reads from its pipe.
    Stream,
}

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
    /// The pipe that it writes to, if it writes to one.
    pipe: Mutex<Option<OwnedFd>>,
    /// What has been read and is being told.
    told: Mutex<Option<Told>>,
}

/// What takes more than one answer.
#[derive(Debug)]
enum Told {
    Listed(Listed),
    Searched(Searched),
}

impl Tasks {
    /// Takes one on and returns its number.
    pub(super) fn begin(&self, asked: FileTask, beside: Option<OwnedFd>) -> Result<u64, FileFault> {
        if beside.is_some() != matches!(asked, FileTask::Zip { .. }) {
            return Err(FileFault::Invalid);
        }
        let mut table = self.table();
        if table.taken.len() >= TASKS_MAX {
            return Err(FileFault::Busy);
        }
        table.last += 1;
        let number = table.last;
        let task = Task { asked, term: Term::default(), pipe: Mutex::new(beside), told: Mutex::default() };
        table.taken.insert(number, Arc::new(task));
        Ok(number)
    }

    /// Carries one out, and forgets it unless there is more to tell.
    pub(super) fn carry_out(&self, number: u64, home: &Home) -> Result<FileTaskDone, FileFault> {
        let task = self.table().taken.get(&number).cloned().ok_or(FileFault::Invalid)?;
        let done = task.carry_out(home);
        let has_more_to_tell = matches!(
            done,
            Ok(FileTaskDone::Listed { is_over: false, .. } | FileTaskDone::Found { is_over: false, .. })
        );
        if !has_more_to_tell {
            self.table().taken.remove(&number);
        }
        done
    }

    /// Of which kind one is, if it is there.
    pub(super) fn kind(&self, number: u64) -> Option<Kind> {
        self.table().taken.get(&number).map(|task| match task.asked {
            FileTask::List(_) => Kind::List,
            FileTask::Search(_) => Kind::Search,
            FileTask::Copy { .. } => Kind::Copy,
            FileTask::Archive { .. } | FileTask::Extract { .. } => Kind::Archive,
            FileTask::Zip { .. } => Kind::Stream,
        })
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
        match self.asked {
            FileTask::Zip { .. } => self.term.begin_stream(),
            _ => self.term.begin(),
        }
        match &self.asked {
            FileTask::List(_) | FileTask::Search(_) => self.tell(home),
            FileTask::Copy { from, to } => {
                let (from, to) = home.both(from, to)?;
                copy::copy(&from, &to, &self.term).map(FileTaskDone::Worked)
            }
            FileTask::Archive { root, from, to, format } => {
                let to = home.at(&Place { root: root.clone(), path: to.clone() })?;
                let from: Vec<_> = from.iter().map(|path| to.beside(path.clone())).collect();
                archive::archive(&from, &to, *format, &self.term).map(FileTaskDone::Worked)
            }
            FileTask::Zip { from } => {
                let pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
                let pipe = pipe.ok_or(FileFault::Invalid)?;
                archive::zip(&home.at(from)?, pipe, &self.term).map(FileTaskDone::Worked)
            }
            FileTask::Extract { from, to } => {
                let (from, to) = home.both(from, to)?;
                archive::extract(&from, &to, &self.term)
            }
        }
    }

    /// Reads once, and tells a part of it each time.
    fn tell(&self, home: &Home) -> Result<FileTaskDone, FileFault> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none() {
            *told = Some(match &self.asked {
                FileTask::List(asked) => Told::Listed(list::list(&home.at(&asked.at)?, asked, &self.term)?),
                FileTask::Search(asked) => Told::Searched(search::search(&home.at(&asked.at)?, asked, &self.term)?),
                _ => return Err(FileFault::Invalid),
            });
        }
        match told.as_mut().ok_or(FileFault::Io)? {
            Told::Listed(listed) => Ok(listed.tell()),
            Told::Searched(searched) => Ok(searched.tell()),
        }
    }
}
