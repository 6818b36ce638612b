//! Walks through all that is beneath a directory: how long its files are together, a part of it in each answer.
//!
//! A walk holds the directories on its way open, so nothing that is renamed meanwhile leads it anywhere else. What it
//! cannot look into though it may be full of the user's own files makes it fail: it never says too little.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_protocol::{FileFault, Walked};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::{fault::fault, remove_all::open_child, resolve::Rooted};

/// How many may be under way on one connection.
pub const WALKS_MAX: usize = 8;

/// How many directories within one another a walk goes down.
pub const DEEPEST_WALK: usize = 64;

/// How many entries one answer is about.
const ENTRIES_PER_ANSWER: usize = 4096;

/// How many files with several names are told apart in one walk; further ones count with each name.
const LINKED_MAX: usize = 100_000;

/// The walks of a connection.
#[derive(Debug, Default)]
pub(super) struct Walks {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    under_way: HashMap<u64, Arc<Mutex<Walk>>>,
}

#[derive(Debug)]
struct Walk {
    /// The directories from the first down to the one that is being read.
    way: Vec<Dir>,
    bytes: u64,
    /// Files with several names that were counted, by file system and number.
    linked: HashSet<(u64, u64)>,
}

impl Walks {
    /// Begins one and returns its number.
    pub(super) fn begin(&self, at: &Rooted) -> Result<u64, FileFault> {
        let opened = at.open(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK, Mode::empty())?;
        let walk = Walk { way: vec![Dir::new(opened).map_err(fault)?], bytes: 0, linked: HashSet::new() };
        let mut table = self.table();
        if table.under_way.len() >= WALKS_MAX {
            return Err(FileFault::Busy);
        }
        table.last += 1;
        let number = table.last;
        table.under_way.insert(number, Arc::new(Mutex::new(walk)));
        Ok(number)
    }

    /// Goes on with one, and forgets it when it is over. `uid` is the user of this process.
    pub(super) fn go_on(&self, number: u64, uid: u32) -> Result<Walked, FileFault> {
        let walk = self.table().under_way.get(&number).cloned().ok_or(FileFault::Invalid)?;
        let walked = walk.lock().unwrap_or_else(PoisonError::into_inner).go_on(uid);
        if !matches!(walked, Ok(Walked { is_over: false, .. })) {
            self.table().under_way.remove(&number);
        }
        walked
    }

    /// Forgets one that is not over.
    pub(super) fn end(&self, number: u64) -> Result<(), FileFault> {
        let ended = self.table().under_way.remove(&number);
        ended.map(drop).ok_or(FileFault::Invalid)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Walk {
    fn go_on(&mut self, uid: u32) -> Result<Walked, FileFault> {
        for _ in 0..ENTRIES_PER_ANSWER {
            let Some(directory) = self.way.last_mut() else {
                return Ok(Walked { bytes: self.bytes, is_over: true });
            };
            let entry = match directory.read() {
                Some(Ok(entry)) => entry,
                // Removed since.
                None | Some(Err(Errno::NOENT)) => {
                    self.way.pop();
                    continue;
                }
                Some(Err(error)) => return Err(fault(error)),
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.meet(entry.file_name(), entry.file_type(), uid)?;
            }
        }
        Ok(Walked { bytes: self.bytes, is_over: self.way.is_empty() })
    }

    fn meet(&mut self, name: &CStr, kind: FileType, uid: u32) -> Result<(), FileFault> {
        let Some(directory) = self.way.last() else { return Ok(()) };
        let directory = directory.fd().map_err(fault)?;
        match kind {
            FileType::Directory => self.go_down(name, uid),
            FileType::RegularFile | FileType::Unknown => match stat(directory, name) {
                Ok(found) => match FileType::from_raw_mode(found.st_mode) {
                    FileType::Directory => self.go_down(name, uid),
                    FileType::RegularFile => {
                        self.count(&found);
                        Ok(())
                    }
                    _ => Ok(()),
                },
                Err(Errno::NOENT) => Ok(()),
                Err(Errno::ACCESS) => hides(uid, &rustix::fs::fstat(directory).map_err(fault)?),
                Err(error) => Err(fault(error)),
            },
            _ => Ok(()),
        }
    }

    fn go_down(&mut self, name: &CStr, uid: u32) -> Result<(), FileFault> {
        let Some(directory) = self.way.last() else { return Ok(()) };
        let directory = directory.fd().map_err(fault)?;
        match open_child(&directory, name) {
            Ok(_) if self.way.len() >= DEEPEST_WALK => Err(FileFault::TooLarge),
            Ok(child) => {
                self.way.push(Dir::new(child).map_err(fault)?);
                Ok(())
            }
            // Replaced or removed since; or on another mount, where the account does not get either.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(()),
            Err(Errno::ACCESS) => match stat(directory, name) {
                Ok(found) => hides(uid, &found),
                Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(fault(error)),
            },
            Err(error) => Err(fault(error)),
        }
    }

    fn count(&mut self, found: &Stat) {
        if found.st_nlink > 1 {
            let file = (found.st_dev, found.st_ino);
            if self.linked.contains(&file) {
                return;
            }
            if self.linked.len() < LINKED_MAX {
                self.linked.insert(file);
            }
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(found.st_size).unwrap_or_default());
    }
}

fn stat(directory: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// A folder that cannot be looked into: the user has nothing in somebody else's, and may have anything in one of their own.
const fn hides(uid: u32, folder: &Stat) -> Result<(), FileFault> {
    if folder.st_uid == uid { Err(FileFault::Denied) } else { Ok(()) }
}
