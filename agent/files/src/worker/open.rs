//! Opening regular files, with a name and without one.

use std::os::fd::OwnedFd;

use latchkey_protocol::{Creation, FileAccessMode, FileFault, OpenHow, SitePath};
use rustix::fs::{FileType, Mode, OFlags};

use super::{
    fault::fault,
    resolve::{Rooted, look_at},
};

/// Opens a regular file. A pipe, a device or a lease of somebody else cannot make it wait.
pub(super) fn open(at: &Rooted, how: &OpenHow) -> Result<OwnedFd, FileFault> {
    let access = match how.access {
        FileAccessMode::Read => OFlags::RDONLY,
        FileAccessMode::Write => OFlags::WRONLY,
        FileAccessMode::ReadWrite => OFlags::RDWR,
    };
    let creation = match how.creation {
        Creation::Existing => OFlags::empty(),
        Creation::Truncate => OFlags::TRUNC,
        Creation::Create => OFlags::CREATE,
        Creation::CreateOrTruncate => OFlags::CREATE | OFlags::TRUNC,
        Creation::New => OFlags::CREATE | OFlags::EXCL,
    };
    if creation.contains(OFlags::TRUNC) && how.access == FileAccessMode::Read {
        // The kernel would truncate it all the same.
        return Err(FileFault::Invalid);
    }
    let append = if how.append { OFlags::APPEND } else { OFlags::empty() };
    let mode = if creation.contains(OFlags::CREATE) { new_mode(how.mode) } else { Mode::empty() };
    regular(at.open(access | creation | append | OFlags::NONBLOCK | OFlags::NOCTTY, mode)?)
}

/// Opens a new file without a name in the directory that holds what `at` leads to, and says what that is. It has to be a
/// regular file that may be written, as if it were written in place, or missing.
pub(super) fn open_unnamed(at: &Rooted, mode: u32) -> Result<(OwnedFd, SitePath), FileFault> {
    let target = match at.open(OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()) {
        Ok(there) => at.path_of(&regular(there)?)?,
        Err(FileFault::NotFound) => at.resolved()?,
        Err(fault) => return Err(fault),
    };
    let (parent, _name) = target.split().ok_or(FileFault::IsADirectory)?;
    let unnamed = at.beside(parent).open(OFlags::TMPFILE | OFlags::RDWR, new_mode(mode))?;
    Ok((unnamed, target))
}

/// The mode of a new file: never with the bits that change whose rights a program has.
pub(super) fn new_mode(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

/// Takes a regular file only, and lets it block like any other.
fn regular(opened: OwnedFd) -> Result<OwnedFd, FileFault> {
    match FileType::from_raw_mode(look_at(&opened)?.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(FileFault::IsADirectory),
        _ => return Err(FileFault::NotRegular),
    }
    let flags = rustix::fs::fcntl_getfl(&opened).map_err(fault)?;
    rustix::fs::fcntl_setfl(&opened, flags - OFlags::NONBLOCK).map_err(fault)?;
    Ok(opened)
}
