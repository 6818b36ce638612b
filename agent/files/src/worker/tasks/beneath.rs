//! Going through all that lies beneath a directory, by descriptors: nobody can swap a link in on the way.
//!
//! Follows no link and goes to no other mount. What serve keeps in the home for a while is passed by.

use std::{
    ffi::{CStr, CString},
    os::fd::OwnedFd,
};

use latchkey_protocol::{FileFault, HIDDEN_FOLDER, Links, SitePath};
use rustix::{
    fs::{AtFlags, Dir, FileType, Stat},
    io::Errno,
};

use super::{
    super::{
        fault::fault,
        remove_all::open_child,
        resolve::{Rooted, look_at},
    },
    copy::open_regular,
    term::Term,
};

/// How many directories within one another are gone through.
const DEEPEST: usize = 64;

/// A walk under way. A directory comes before what is in it.
pub(super) struct Beneath<'t> {
    term: &'t Term,
    /// The directories from the first one down to the one that is read.
    way: Vec<Dir>,
    /// The names of those but the first.
    names: Vec<Vec<u8>>,
    /// The directory that was met last.
    next: Option<CString>,
    hidden: Option<(u64, u64)>,
    left_out: u64,
    was_too_deep: bool,
}

/// Something that lies beneath.
pub(super) struct Met {
    /// Its path from where the walk began.
    pub(super) path: Vec<u8>,
    /// What is known of it.
    pub(super) stat: Stat,
    name: CString,
}

impl Met {
    /// What it is.
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

impl<'t> Beneath<'t> {
    /// Begins in an open directory that `at` led to.
    pub(super) fn of(directory: OwnedFd, at: &Rooted, term: &'t Term) -> Result<Self, FileFault> {
        let way = vec![Dir::new(directory).map_err(fault)?];
        Ok(Self {
            term,
            way,
            names: Vec::new(),
            next: None,
            hidden: hidden_beneath(at)?,
            left_out: 0,
            was_too_deep: false,
        })
    }

    /// How many directories and files could not be read, or lie too deep.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether some directory was left out because it lies too deep.
    pub(super) const fn was_too_deep(&self) -> bool {
        self.was_too_deep
    }

    /// The next one. What lies too deep is left out.
    pub(super) fn next(&mut self) -> Result<Option<Met>, FileFault> {
        if let Some(name) = self.next.take() {
            self.go_down(name)?;
        }
        while let Some(directory) = self.way.last_mut() {
            let entry = match directory.read() {
                Some(Ok(entry)) => entry,
                // Removed since.
                None | Some(Err(Errno::NOENT)) => {
                    self.way.pop();
                    self.names.pop();
                    continue;
                }
                Some(Err(error)) => return Err(fault(error)),
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..")
                && let Some(met) = self.meet(entry.file_name())?
            {
                return Ok(Some(met));
            }
        }
        Ok(None)
    }

    /// Opens what was met last, if it is a regular file still; what cannot be read is left out.
    pub(super) fn open(&mut self, met: &Met) -> Result<Option<OwnedFd>, FileFault> {
        let Some(directory) = self.way.last() else { return Ok(None) };
        let opened = match open_regular(directory.fd().map_err(fault)?, &met.name) {
            Err(FileFault::Denied) => None,
            other => other?,
        };
        if opened.is_none() {
            self.left_out += 1;
        }
        Ok(opened)
    }

    fn meet(&mut self, name: &CStr) -> Result<Option<Met>, FileFault> {
        self.term.goes_on()?;
        let Some(directory) = self.way.last() else { return Ok(None) };
        let directory = directory.fd().map_err(fault)?;
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            // A directory that can be read, but not entered.
            Err(Errno::ACCESS) => {
                self.left_out += 1;
                return Ok(None);
            }
            Err(error) => return Err(fault(error)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            if self.hidden == Some((stat.st_dev, stat.st_ino)) {
                return Ok(None);
            }
            self.next = Some(name.to_owned());
        }
        let path = self.names.iter().map(Vec::as_slice).chain([name.to_bytes()]).collect::<Vec<_>>().join(&b'/');
        Ok(Some(Met { path, stat, name: name.to_owned() }))
    }

    fn go_down(&mut self, name: CString) -> Result<(), FileFault> {
        let Some(directory) = self.way.last() else { return Ok(()) };
        match open_child(&directory.fd().map_err(fault)?, &name) {
            Ok(_) if self.way.len() >= DEEPEST => {
                self.was_too_deep = true;
                self.left_out += 1;
            }
            Ok(child) => {
                self.way.push(Dir::new(child).map_err(fault)?);
                self.names.push(name.into_bytes());
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS) => self.left_out += 1,
            Err(error) => return Err(fault(error)),
        }
        Ok(())
    }
}

/// Which directory is passed by, whatever way leads to it.
fn hidden_beneath(at: &Rooted) -> Result<Option<(u64, u64)>, FileFault> {
    let hidden = SitePath::ROOT.child(HIDDEN_FOLDER).map_err(|_long| FileFault::NameTooLong)?;
    match at.beside(hidden).handle(Links::Meant) {
        Ok(found) => look_at(&found).map(|found| Some((found.st_dev, found.st_ino))),
        Err(FileFault::NotFound) => Ok(None),
        Err(fault) => Err(fault),
    }
}
