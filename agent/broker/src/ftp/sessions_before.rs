//! Sessions that an earlier `latchkey-ftpauth` let in and could not see to their end: ended at start.

use std::{
    ffi::OsStr,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{folder, session};
use crate::log;

/// A process by its number and the moment of its start, in clock ticks since the node's: no other ever has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    pid: i32,
    started: u64,
}

impl Incarnation {
    /// Of the process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program, in brackets, may hold anything.
        let (_, after_name) = stat.rsplit_once(')')?;
        let started = after_name.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// The process itself, if it still is that one.
    pub fn open(self) -> Option<OwnedFd> {
        let handle = rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Compared after it was opened: a number that was given anew in between is noticed.
        (Self::of(self.pid) == Some(self)).then_some(handle)
    }

    /// Its number.
    #[must_use]
    pub const fn pid(self) -> i32 {
        self.pid
    }

    /// As the name of its session's folder.
    #[must_use]
    pub fn folder_in(self, folders: &Path) -> PathBuf {
        folders.join(format!("{}-{}", self.pid, self.started))
    }

    fn parse(name: &OsStr) -> Option<Self> {
        let (pid, started) = name.to_str()?.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }
}

/// Ends every session that has a folder, and takes the folder away.
///
/// # Errors
/// When one of them does not end: then nobody may be told that they are over.
pub fn end(folders: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folders)? {
        let entry = entry?;
        let Some(incarnation) = Incarnation::parse(&entry.file_name()) else { continue };
        if let Some(process) = incarnation.open() {
            let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
            session::wait_for_end(&process)?;
            log::info("ended a session from before", &[("pid", &incarnation.pid.to_string())]);
        }
        folder::unbind(&entry.path()).map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_again_by_the_name_of_its_folder_and_another_one_is_not() {
        let own = Incarnation::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let folder = own.folder_in(Path::new("/folders"));
        assert_eq!(Incarnation::parse(folder.file_name().unwrap()), Some(own));
        assert!(own.open().is_some());
        assert!(Incarnation { started: own.started + 1, ..own }.open().is_none());
        assert_eq!(Incarnation::parse(OsStr::new("lost+found")), None);
    }
}
