//! Giving an unnamed file its name, so that nobody ever sees half of it.

use std::{
    ffi::{OsStr, OsString},
    os::fd::OwnedFd,
};

use latchkey_protocol::{FileFault, Links};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode},
    io::Errno,
    rand::GetRandomFlags,
};

use super::{
    fault::fault,
    resolve::{Home, Rooted, look_at, own_name},
};
use crate::mount::MountId;

/// How a file is called for the moment in which it already has a name and does not yet have its own.
const HIDDEN: &str = ".latchkey-upload-";

/// How often a name is sought that nobody has.
const TRIES: usize = 16;

/// Gives `file` the name of `at`, in place of the regular file that is there. A link at the end of the path is followed,
/// as a client that writes to it expects.
pub(super) fn publish(home: &Home, at: &Rooted, file: &OwnedFd) -> Result<(), FileFault> {
    let found = look_at(file)?;
    let is_ours = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
        && found.st_uid == home.uid()
        && found.st_nlink == 0
        && MountId::of(file).map_err(fault)? == home.mount();
    if !is_ours {
        return Err(FileFault::Invalid);
    }
    let at = at.beside(at.resolved()?);
    match at.handle(Links::Meant) {
        Ok(old) => keep_mode(&old, file)?,
        Err(FileFault::NotFound) => {}
        Err(fault) => return Err(fault),
    }
    let (directory, name) = at.parent()?;
    match link(file, &directory, name) {
        Err(Errno::EXIST) => replace(file, &directory, name),
        other => other.map_err(fault),
    }
}

/// A file keeps its mode when its content is replaced; what is no file is not replaced.
fn keep_mode(old: &OwnedFd, new: &OwnedFd) -> Result<(), FileFault> {
    let old = look_at(old)?;
    match FileType::from_raw_mode(old.st_mode) {
        FileType::RegularFile => rustix::fs::fchmod(new, Mode::from_raw_mode(old.st_mode & 0o777)).map_err(fault),
        FileType::Directory => Err(FileFault::IsADirectory),
        _ => Err(FileFault::NotRegular),
    }
}

fn replace(file: &OwnedFd, directory: &OwnedFd, name: &OsStr) -> Result<(), FileFault> {
    let hidden = link_hidden(file, directory)?;
    rustix::fs::renameat(directory, &hidden, directory, name).map_err(|error| {
        let _ = rustix::fs::unlinkat(directory, &hidden, AtFlags::empty());
        fault(error)
    })
}

fn link_hidden(file: &OwnedFd, directory: &OwnedFd) -> Result<OsString, FileFault> {
    for _ in 0..TRIES {
        let hidden = OsString::from(format!("{HIDDEN}{:016x}", random()?));
        match link(file, directory, &hidden) {
            Err(Errno::EXIST) => {}
            other => return other.map(|()| hidden).map_err(fault),
        }
    }
    Err(FileFault::Busy)
}

/// Links what is open, whatever happened to any name.
pub(super) fn link(file: &OwnedFd, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, own_name(file), directory, name, AtFlags::SYMLINK_FOLLOW)
}

/// For names that nobody has.
pub(super) fn random() -> Result<u64, FileFault> {
    let mut bytes = [0_u8; 8];
    let filled = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty()).map_err(fault)?;
    if filled == bytes.len() { Ok(u64::from_ne_bytes(bytes)) } else { Err(FileFault::Busy) }
}
