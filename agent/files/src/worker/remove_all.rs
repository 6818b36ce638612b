//! Removing a directory with all that is in it, by descriptors, so that nobody can swap a link in on the way.
//!
//! At most [`DEEPEST`] directories are open at a time. What lies deeper is first moved up into the directory that is being
//! removed: so there is no bound on the depth of what can be removed.

use std::{
    ffi::{CStr, CString},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use latchkey_protocol::FileFault;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags},
    io::Errno,
};

use super::{fault::fault, publish::random, resolve::Rooted};

/// How many directories within one another are open at a time.
const DEEPEST: usize = 32;

/// How often the directory is gone through again: for what was moved up, and for what others put there meanwhile.
const ROUNDS: usize = 1000;

/// Removes whatever it is; never the root. What is not reached stays, and so does the directory above it.
pub(super) fn remove_all(at: &Rooted) -> Result<(), FileFault> {
    let (parent, name) = at.parent()?;
    let name = CString::new(name.as_bytes()).map_err(|_nul| FileFault::Invalid)?;
    match rustix::fs::unlinkat(&parent, &name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        other => return other.map_err(fault),
    }
    let top = open_child(&parent, &name).map_err(fault)?;
    for _ in 0..ROUNDS {
        empty(top.as_fd(), top.as_fd(), DEEPEST)?;
        match rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) => {}
            other => return other.map_err(fault),
        }
    }
    Err(FileFault::Busy)
}

/// Removes what is in a directory; what lies deeper than `levels` goes up to `top`.
fn empty(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, levels: usize) -> Result<(), FileFault> {
    let mut entries = Dir::read_from(directory).map_err(fault)?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(fault)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            remove_directory(top, directory, name, levels)?;
            continue;
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // The file system did not tell, or somebody put it there.
            Err(Errno::ISDIR) => remove_directory(top, directory, name, levels)?,
            Err(error) => return Err(fault(error)),
        }
    }
    Ok(())
}

fn remove_directory(top: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &CStr, levels: usize) -> Result<(), FileFault> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY) => {}
        // Somebody put something else there: in another round.
        Err(Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(fault(error)),
    }
    let Some(below) = levels.checked_sub(1).filter(|below| *below > 0) else {
        return move_up(top, parent, name);
    };
    match open_child(&parent, name) {
        Ok(directory) => empty(top, directory.as_fd(), below)?,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(error) => return Err(fault(error)),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(fault(error)),
    }
}

fn move_up(top: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), FileFault> {
    let above = format!(".latchkey-removing-{:016x}", random()?);
    match rustix::fs::renameat_with(parent, name, top, above, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(fault(error)),
    }
}

/// Opens a directory in one that is held, following nothing.
pub(super) fn open_child(parent: &impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}
