//! Open directories, each read on from where the last answer ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_protocol::{FRAME_MAX_BYTES, FileEntry, FileFault};
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
};

use super::{attributes::of_stat, fault::fault, resolve::Rooted};

/// How many may be open on one connection.
const OPEN_MAX: usize = 256;

/// What the entries of one answer may take, with room for the frame around them.
const ENTRIES_MAX_BYTES: usize = FRAME_MAX_BYTES - 1024;

/// What an entry takes at most beside its name.
pub(super) const ATTRIBUTES_MAX_BYTES: usize = 256;

/// The open directories of a connection.
#[derive(Debug, Default)]
pub(super) struct Directories {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Arc<Mutex<Listing>>>,
}

#[derive(Debug)]
struct Listing {
    directory: Dir,
    /// Read already, and too large for the answer before.
    next: Option<FileEntry>,
}

impl Directories {
    /// Opens a directory and returns its number.
    pub(super) fn open(&self, at: &Rooted) -> Result<u64, FileFault> {
        let opened = at.open(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK, Mode::empty())?;
        let listing = Listing { directory: Dir::new(opened).map_err(fault)?, next: None };
        let mut table = self.table();
        if table.open.len() >= OPEN_MAX {
            return Err(FileFault::Busy);
        }
        table.last += 1;
        let number = table.last;
        table.open.insert(number, Arc::new(Mutex::new(listing)));
        Ok(number)
    }

    /// The next entries, as many as one frame holds; none at the end.
    pub(super) fn read(&self, number: u64) -> Result<Vec<FileEntry>, FileFault> {
        let listing = self.table().open.get(&number).cloned().ok_or(FileFault::Invalid)?;
        let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
        listing.read()
    }

    /// Forgets one.
    pub(super) fn close(&self, number: u64) -> Result<(), FileFault> {
        let closed = self.table().open.remove(&number);
        closed.map(drop).ok_or(FileFault::Invalid)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listing {
    fn read(&mut self) -> Result<Vec<FileEntry>, FileFault> {
        let (mut entries, mut room) = (Vec::new(), Room::of_a_frame());
        while let Some(entry) = self.next_entry()? {
            if !room.takes(&entry) {
                self.next = Some(entry);
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn next_entry(&mut self) -> Result<Option<FileEntry>, FileFault> {
        if let Some(entry) = self.next.take() {
            return Ok(Some(entry));
        }
        while let Some(read) = self.directory.read() {
            let read = read.map_err(fault)?;
            let name = read.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let directory = self.directory.fd().map_err(fault)?;
            match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
                Ok(found) => {
                    return Ok(Some(FileEntry { name: name.to_bytes().to_vec(), attributes: of_stat(&found) }));
                }
                // Removed since.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(None)
    }
}

/// The room of one frame for entries.
pub(super) struct Room(usize);

impl Room {
    pub(super) const fn of_a_frame() -> Self {
        Self(ENTRIES_MAX_BYTES)
    }

    /// Whether an entry has room; then it has taken it.
    pub(super) fn takes(&mut self, entry: &FileEntry) -> bool {
        self.takes_bytes(frame_bytes(entry))
    }

    /// The same for what is so long in a frame.
    pub(super) fn takes_bytes(&mut self, bytes: usize) -> bool {
        let rest = self.0.checked_sub(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

/// What an entry takes in a frame at most.
fn frame_bytes(entry: &FileEntry) -> usize {
    ATTRIBUTES_MAX_BYTES + text_bytes(&entry.name)
}

/// What bytes take in a frame at most: each is written in one to six.
pub(super) fn text_bytes(bytes: &[u8]) -> usize {
    let of_byte = |byte: &u8| match byte {
        b'"' | b'\\' | 0x80.. => 2,
        b' '.. => 1,
        _ => 6,
    };
    bytes.iter().map(of_byte).sum()
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::FileAttributes;

    use super::*;

    #[test]
    fn what_an_entry_takes_in_a_frame_is_not_underrated() {
        let most = FileAttributes {
            mode: u32::MAX,
            size: u64::MAX,
            uid: u32::MAX,
            gid: u32::MAX,
            accessed: i64::MIN,
            modified: i64::MIN,
            links: u64::MAX,
        };
        for byte in 1..=u8::MAX {
            let entry = FileEntry { name: vec![byte; 255], attributes: most };
            let written = serde_json::to_vec(&entry).unwrap().len();
            assert!(written < frame_bytes(&entry), "{byte:#x} takes {written}");
        }
    }
}
