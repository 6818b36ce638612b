//! The folder of a session: opened beneath the hosting's home, bound onto a directory of root's.
//!
//! What pure-ftpd is told is a path that nobody but root can replace, of the very folder that was checked.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use latchkey_protocol::SitePath;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
    process::Uid,
};

use crate::{registry::Hosting, rights::RightsOf};

/// Why a folder is not bound.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, or behind a link.
    #[error("cannot open the folder {path} of hosting {hosting:?}")]
    Open {
        /// The hosting.
        hosting: String,
        /// The folder.
        path: SitePath,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It does not belong to the hosting's user.
    #[error("the folder {path} of hosting {hosting:?} belongs to somebody else")]
    Foreign {
        /// The hosting.
        hosting: String,
        /// The folder.
        path: SitePath,
    },
    /// It cannot be bound.
    #[error("cannot {action} {at:?}")]
    Bind {
        /// What was attempted.
        action: &'static str,
        /// On what.
        at: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A folder, bound until this is dropped.
#[derive(Debug)]
pub struct BoundFolder {
    at: PathBuf,
}

impl BoundFolder {
    /// Opens a folder of a hosting and binds it at `at`, which must not exist.
    pub fn bind(hosting: &Hosting, path: &SitePath, at: PathBuf) -> Result<Self, FolderError> {
        let opened = open(hosting, path)?;
        let failed = |action| {
            let at = at.clone();
            move |source: io::Error| FolderError::Bind { action, at, source }
        };
        fs::DirBuilder::new().mode(0o755).create(&at).map_err(failed("make"))?;
        // From here on what was made is taken away again, whatever fails.
        let bound = Self { at: at.clone() };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = rustix::mount::open_tree(&opened, "", flags).map_err(io::Error::from).map_err(failed("copy"))?;
        rustix::mount::move_mount(tree, "", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(io::Error::from)
            .map_err(failed("bind to"))?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount_remount(&at, flags, "").map_err(io::Error::from).map_err(failed("set the flags of"))?;
        Ok(bound)
    }

    /// Where it is bound.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for BoundFolder {
    fn drop(&mut self) {
        if let Err(error) = unbind(&self.at) {
            crate::log::warn("cannot take a bound folder away", &[("error", &crate::log::chain(&error))]);
        }
    }
}

/// Makes a directory one whose mounts others see: pure-ftpd has a view of the files of its own, because of its log. The
/// directory stays mounted, and repeating it changes nothing: what has a view of it loses nothing.
pub fn share(directory: &Path) -> Result<(), FolderError> {
    let failed =
        |action| move |errno: Errno| FolderError::Bind { action, at: directory.to_owned(), source: errno.into() };
    let share = || rustix::mount::mount_change(directory, MountPropagationFlags::SHARED);
    match share() {
        Err(Errno::INVAL) => {
            rustix::mount::mount_bind(directory, directory).map_err(failed("mount"))?;
            share().map_err(failed("share"))
        }
        shared => shared.map_err(failed("share")),
    }
}

/// Takes away what is bound at `at`, if anything is, and the directory.
pub fn unbind(at: &Path) -> Result<(), FolderError> {
    let failed = |action| move |source: io::Error| FolderError::Bind { action, at: at.to_owned(), source };
    match rustix::mount::unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Nothing was bound there, or somebody else has taken it away.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(failed("take away what is bound at")(error.into())),
    }
    match fs::remove_dir(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove")(error)),
        _ => Ok(()),
    }
}

/// Opens a folder beneath the home through no link, with the rights of the hosting's user, to whom it has to belong.
fn open(hosting: &Hosting, path: &SitePath) -> Result<OwnedFd, FolderError> {
    let opened = RightsOf::take(Uid::from_raw(hosting.uid)).and_then(|_rights| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let home = rustix::fs::openat2(CWD, &hosting.home, flags, Mode::empty(), no_links)?;
        rustix::fs::openat2(home, path.as_relative(), flags, Mode::empty(), no_links | ResolveFlags::BENEATH)
    });
    let failed = |source: Errno| FolderError::Open {
        hosting: hosting.hosting.clone(),
        path: path.clone(),
        source: source.into(),
    };
    let opened = opened.map_err(failed)?;
    if rustix::fs::fstat(&opened).map_err(failed)?.st_uid != hosting.uid {
        return Err(FolderError::Foreign { hosting: hosting.hosting.clone(), path: path.clone() });
    }
    Ok(opened)
}
