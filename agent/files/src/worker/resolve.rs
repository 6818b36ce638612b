//! How a path becomes a descriptor: `openat2` beneath a root beneath the home, and nothing else.
//!
//! Links are followed as long as they stay beneath the root; magic links (`/proc`) and other mounts never are. What the
//! kernel has no such form for is done on the directory that holds it, with one name: see [`Rooted::parent`].

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use latchkey_protocol::{FileFault, Links, Place, SitePath};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::fault::{fault, fault_of_path};
use crate::mount::MountId;

/// How often a path is tried when something was renamed meanwhile, so that the kernel could not tell whether a `..` in a
/// link stays beneath. It may be any rename on the node, so on a busy one that is often.
const TRIES: usize = 256;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// The home of a hosting, opened once.
#[derive(Debug)]
pub struct Home {
    directory: OwnedFd,
    uid: u32,
    mount: MountId,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It is not there, or a part of its path is a link.
    #[error("cannot open the home {path:?}")]
    Open {
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is somebody else's.
    #[error("the home {path:?} is not owned by the system user")]
    Foreign {
        /// Its path.
        path: PathBuf,
    },
}

impl Home {
    /// Opens the home without following any link; it has to be owned by the user of this process.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let failed = |source: Errno| HomeError::Open { path: path.to_owned(), source: source.into() };
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let directory = rustix::fs::openat2(rustix::fs::CWD, path, HANDLE | OFlags::DIRECTORY, Mode::empty(), resolve)
            .map_err(failed)?;
        let uid = rustix::process::geteuid().as_raw();
        if rustix::fs::fstat(&directory).map_err(failed)?.st_uid != uid {
            return Err(HomeError::Foreign { path: path.to_owned() });
        }
        let mount = MountId::of(&directory).map_err(failed)?;
        Ok(Self { directory, uid, mount })
    }

    /// The mount that it lies on; nothing on another one is reached.
    #[must_use]
    pub const fn mount(&self) -> MountId {
        self.mount
    }

    /// The directory itself, for confining the process to it.
    #[must_use]
    pub const fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// The user of this process.
    pub(super) const fn uid(&self) -> u32 {
        self.uid
    }

    /// Opens the root of a place.
    pub(super) fn at(&self, place: &Place) -> Result<Rooted, FileFault> {
        Ok(Rooted { root: self.root(&place.root)?, path: place.path.clone() })
    }

    /// Opens the one root of two places.
    pub(super) fn both(&self, from: &Place, to: &Place) -> Result<(Rooted, Rooted), FileFault> {
        if from.root != to.root {
            return Err(FileFault::Denied);
        }
        let from = self.at(from)?;
        let to = Rooted { root: Arc::clone(&from.root), path: to.path.clone() };
        Ok((from, to))
    }

    fn root(&self, root: &SitePath) -> Result<Arc<OwnedFd>, FileFault> {
        let resolve = BENEATH | ResolveFlags::NO_SYMLINKS;
        match open(&self.directory, root.as_relative(), HANDLE | OFlags::DIRECTORY, Mode::empty(), resolve) {
            Ok(opened) => Ok(Arc::new(opened)),
            // A link: somebody put it there in place of the directory.
            Err(FileFault::Loop | FileFault::NotADirectory) => Err(FileFault::Denied),
            Err(fault) => Err(fault),
        }
    }
}

/// For looking at something, or for names in it; not for what is in it.
pub(super) const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A path beneath a root that is open.
#[derive(Debug)]
pub(super) struct Rooted {
    root: Arc<OwnedFd>,
    path: SitePath,
}

impl Rooted {
    /// The path.
    pub(super) const fn path(&self) -> &SitePath {
        &self.path
    }

    /// Opens it with these flags; follows a link at its end unless they hold `NOFOLLOW`.
    pub(super) fn open(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, FileFault> {
        self.open_relative(self.path.as_relative(), flags, mode)
    }

    /// Opens what bytes that are no parsed path, such as a link's, lead to from the root.
    pub(super) fn open_relative(&self, path: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, FileFault> {
        open(&self.root, path, flags | OFlags::CLOEXEC, mode, BENEATH)
    }

    /// A handle on whatever it is, for its attributes.
    pub(super) fn handle(&self, links: Links) -> Result<OwnedFd, FileFault> {
        let flags = match links {
            Links::Followed => HANDLE,
            Links::Meant => HANDLE | OFlags::NOFOLLOW,
        };
        self.open(flags, Mode::empty())
    }

    /// A handle on the directory that holds it, and its one name there. The root itself has none: denied.
    pub(super) fn parent(&self) -> Result<(OwnedFd, &OsStr), FileFault> {
        let (parent, name) = self.path.split().ok_or(FileFault::Denied)?;
        let directory = self.open_relative(parent.as_relative(), HANDLE | OFlags::DIRECTORY, Mode::empty())?;
        Ok((directory, OsStr::from_bytes(name)))
    }

    /// The same root with another path.
    pub(super) fn beside(&self, path: SitePath) -> Self {
        Self { root: Arc::clone(&self.root), path }
    }

    /// The path with all links followed, as it was a moment ago; the last component may be missing.
    pub(super) fn resolved(&self) -> Result<SitePath, FileFault> {
        match self.handle(Links::Followed) {
            Ok(found) => self.path_of(&found),
            Err(FileFault::NotFound) => {
                let (parent, name) = self.parent()?;
                self.path_of(&parent)?.child(name.as_bytes()).map_err(|_long| FileFault::NameTooLong)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Where something open is beneath the root, as the kernel names it.
    pub(super) fn path_of(&self, opened: &OwnedFd) -> Result<SitePath, FileFault> {
        let (root, found) = (kernel_path(&self.root)?, kernel_path(opened)?);
        // Whatever was moved or removed since it was opened is not beneath any more.
        let inner = Path::new(&found).strip_prefix(&root).map_err(|_moved| FileFault::Busy)?;
        SitePath::parse_strict(inner.as_os_str().as_bytes()).map_err(|_long| FileFault::NameTooLong)
    }
}

/// The name by which a descriptor of this process can be given to calls that take a path only.
pub(super) fn own_name(opened: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", opened.as_raw_fd())
}

/// The attributes of what is open.
pub(super) fn look_at(opened: &OwnedFd) -> Result<Stat, FileFault> {
    rustix::fs::fstat(opened).map_err(fault)
}

fn kernel_path(opened: &OwnedFd) -> Result<OsString, FileFault> {
    let path = rustix::fs::readlink(own_name(opened), Vec::new()).map_err(fault)?;
    Ok(OsString::from_vec(path.into_bytes()))
}

fn open(from: &OwnedFd, path: &OsStr, flags: OFlags, mode: Mode, resolve: ResolveFlags) -> Result<OwnedFd, FileFault> {
    for _ in 0..TRIES {
        match rustix::fs::openat2(from, path, flags, mode, resolve) {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            Err(Errno::INTR) => {}
            other => return other.map_err(fault_of_path),
        }
    }
    Err(FileFault::Busy)
}
