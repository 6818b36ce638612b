//! A part of a directory in order. Of one with a hundred thousand entries no more is held than what is told.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    ffi::CString,
    os::fd::{AsFd, BorrowedFd},
    vec,
};

use latchkey_protocol::{FileEntry, FileFault, FileListing, FileMark, FileOrder, FileTaskDone};
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, Stat},
    io::Errno,
};

use super::{
    super::{attributes::of_stat, directories::Room, fault::fault, resolve::Rooted},
    term::Term,
};

/// No listing is longer.
const MOST: u32 = 1000;

/// How many entries are read between two looks at whether the task goes on.
const STEP: u64 = 1024;

/// What was read, as far as it is not told yet.
#[derive(Debug)]
pub(super) struct Listed {
    left: vec::IntoIter<FileEntry>,
    /// Read already, and too large for the answer before.
    next: Option<FileEntry>,
    total: u64,
    has_more: bool,
}

/// Reads the directory once, from one end to the other.
pub(super) fn list(at: &Rooted, asked: &FileListing, term: &Term) -> Result<Listed, FileFault> {
    let opened = at.open(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK, Mode::empty())?;
    let mut directory = Dir::new(opened).map_err(fault)?;
    let limit = usize::try_from(asked.limit.min(MOST)).unwrap_or_default();
    let after = asked.after.clone().map(|mark| Turned { mark, is_descending: asked.is_descending });
    let (mut first, mut total, mut fitting) = (BinaryHeap::with_capacity(limit + 1), 0_u64, 0_u64);
    while let Some(read) = directory.read() {
        let read = read.map_err(fault)?;
        let name = read.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if total.is_multiple_of(STEP) {
            term.goes_on()?;
        }
        let key = match asked.order {
            FileOrder::Name => 0,
            FileOrder::Size | FileOrder::Modified => {
                let Some(found) = stat(directory.fd().map_err(fault)?, name)? else { continue };
                if asked.order == FileOrder::Size { found.st_size } else { found.st_mtime }
            }
        };
        total += 1;
        let mark = FileMark { key, name: name.to_bytes().to_vec() };
        let entry = Turned { mark, is_descending: asked.is_descending };
        if after.as_ref().is_some_and(|after| entry <= *after) {
            continue;
        }
        fitting += 1;
        first.push(entry);
        if first.len() > limit {
            first.pop();
        }
    }
    let mut items = Vec::with_capacity(first.len());
    for entry in first.into_sorted_vec() {
        let name = CString::new(entry.mark.name).map_err(|_nul| FileFault::Invalid)?;
        if let Some(found) = stat(directory.fd().map_err(fault)?, &name)? {
            items.push(FileEntry { name: name.into_bytes(), attributes: of_stat(&found) });
        }
    }
    let has_more = fitting > u64::from(asked.limit.min(MOST));
    Ok(Listed { left: items.into_iter(), next: None, total, has_more })
}

impl Listed {
    /// As many entries as one frame holds.
    pub(super) fn tell(&mut self) -> FileTaskDone {
        let (mut items, mut room) = (Vec::new(), Room::of_a_frame());
        let mut is_over = true;
        while let Some(entry) = self.next.take().or_else(|| self.left.next()) {
            if !room.takes(&entry) {
                self.next = Some(entry);
                is_over = false;
                break;
            }
            items.push(entry);
        }
        FileTaskDone::Listed { items, total: self.total, has_more: self.has_more, is_over }
    }
}

/// None if it was removed since.
fn stat(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<Option<Stat>, FileFault> {
    match rustix::fs::statat(directory.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(fault(error)),
    }
}

/// A place in the order that was asked for, which may be turned round.
#[derive(Debug, PartialEq, Eq)]
struct Turned {
    mark: FileMark,
    is_descending: bool,
}

impl Ord for Turned {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.mark.cmp(&other.mark);
        if self.is_descending { order.reverse() } else { order }
    }
}

impl PartialOrd for Turned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
