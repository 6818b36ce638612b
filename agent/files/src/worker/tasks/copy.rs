//! Copying a file, or a directory with all that is in it, by descriptors: nobody can swap a link in on the way.
//!
//! What is half copied stays where it was put; whoever asked gives it its name when it is whole.

use std::{
    ffi::{CStr, CString, OsStr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use latchkey_protocol::{FileFault, FileWork};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    super::{
        fault::fault,
        links::climbs_at_most,
        remove_all::open_child,
        resolve::{Rooted, look_at},
    },
    term::Term,
};

/// How many directories within one another are copied.
const DEEPEST: usize = 64;

/// How many entries are copied at most.
const MOST: u64 = 1_000_000;

/// As much is copied between two looks at whether the task goes on.
const STEP_BYTES: usize = 4 << 20;

/// Copies what `from` leads to, to the new name `to`.
pub(super) fn copy(from: &Rooted, to: &Rooted, term: &Term) -> Result<FileWork, FileFault> {
    let source = from.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
    let (parent, name) = to.parent()?;
    let name = CString::new(name.as_bytes()).map_err(|_nul| FileFault::Invalid)?;
    let mut copying = Copying { term, work: FileWork::default() };
    match FileType::from_raw_mode(look_at(&source)?.st_mode) {
        FileType::RegularFile => copying.file(&source, parent.as_fd(), &name)?,
        FileType::Directory => copying.directory(source, parent.as_fd(), &name)?,
        _ => return Err(FileFault::NotRegular),
    }
    Ok(copying.work)
}

struct Copying<'t> {
    term: &'t Term,
    work: FileWork,
}

/// A directory that is being copied.
struct Level {
    source: Dir,
    target: OwnedFd,
    mode: Mode,
}

impl Copying<'_> {
    fn directory(&mut self, source: OwnedFd, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), FileFault> {
        let mut way = vec![self.level(source, parent, name)?];
        while let Some(level) = way.last_mut() {
            let entry = match level.source.read() {
                Some(Ok(entry)) => entry,
                None | Some(Err(Errno::NOENT)) => {
                    rustix::fs::fchmod(&level.target, level.mode).map_err(fault)?;
                    way.pop();
                    continue;
                }
                Some(Err(error)) => return Err(fault(error)),
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let depth = way.len();
            let Some(level) = way.last() else { return Ok(()) };
            if let Some(deeper) = self.entry(level, name, depth)? {
                way.push(deeper);
            }
        }
        Ok(())
    }

    /// Copies an entry; a directory is begun.
    fn entry(&mut self, level: &Level, name: &CStr, depth: usize) -> Result<Option<Level>, FileFault> {
        self.term.goes_on()?;
        let source = level.source.fd().map_err(fault)?;
        let found = match rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory if depth >= DEEPEST => return Err(FileFault::TooMuch),
            FileType::Directory => match open_child(&source, name) {
                Ok(child) => return self.level(child, level.target.as_fd(), name).map(Some),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => self.work.left_out += 1,
                Err(error) => return Err(fault(error)),
            },
            FileType::RegularFile => match open_regular(source, name) {
                Ok(Some(file)) => self.file(&file, level.target.as_fd(), name)?,
                Ok(None) => self.work.left_out += 1,
                Err(error) => return Err(error),
            },
            FileType::Symlink => self.link(level, name, depth)?,
            _ => self.work.left_out += 1,
        }
        Ok(None)
    }

    fn level(&mut self, source: OwnedFd, parent: BorrowedFd<'_>, name: &CStr) -> Result<Level, FileFault> {
        self.count()?;
        let mode = Mode::from_raw_mode(look_at(&source)?.st_mode & 0o777);
        rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(fault)?;
        let target = open_child(&parent, name).map_err(fault)?;
        Ok(Level { source: Dir::new(source).map_err(fault)?, target, mode })
    }

    fn file(&mut self, source: &OwnedFd, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), FileFault> {
        self.count()?;
        let mode = Mode::from_raw_mode(look_at(source)?.st_mode & 0o777);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(fault)?;
        loop {
            self.term.goes_on()?;
            match rustix::fs::copy_file_range(source, None, &target, None, STEP_BYTES) {
                Ok(0) => break,
                Ok(count) => self.work.bytes += count as u64,
                Err(Errno::INTR) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        rustix::fs::fchmod(&target, mode).map_err(fault)
    }

    /// A link that leads from within what is copied to within it is the same there; any other may lead out of the home.
    fn link(&mut self, level: &Level, name: &CStr, depth: usize) -> Result<(), FileFault> {
        self.count()?;
        let source = level.source.fd().map_err(fault)?;
        let target = rustix::fs::readlinkat(source, name, Vec::new()).map_err(fault)?.into_bytes();
        if target.starts_with(b"/") || !climbs_at_most(&target, depth - 1) {
            self.work.left_out += 1;
            return Ok(());
        }
        rustix::fs::symlinkat(OsStr::from_bytes(&target), &level.target, name).map_err(fault)
    }

    fn count(&mut self) -> Result<(), FileFault> {
        self.term.goes_on()?;
        self.work.entries += 1;
        if self.work.entries > MOST { Err(FileFault::TooMuch) } else { Ok(()) }
    }
}

/// Opens a regular file, following nothing; none if it is something else by now.
pub(super) fn open_regular(directory: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, FileFault> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve) {
        Ok(file) => {
            let is_regular = FileType::from_raw_mode(look_at(&file)?.st_mode) == FileType::RegularFile;
            Ok(is_regular.then_some(file))
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(error) => Err(fault(error)),
    }
}
