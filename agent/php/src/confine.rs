//! What a call has of its own before PHP starts: mounts, limits, and where the child may begin to look at files.
//!
//! Which files it may reach is in `paths.rs`, which system calls in `system_calls.rs`. Order matters and is kept in `main.rs`: the mounts and the bounding set need root, files are opened as the user.

use std::{ffi::CString, os::fd::OwnedFd, path::Path, time::Duration};

use latchkey_confine::privileges::{self, PrivilegesError};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags},
    process::{Gid, Resource, Uid},
};

use crate::call::Call;

const MIB: u64 = 1024 * 1024;

/// Room in the call's own `/tmp`: a plugin or a theme that is downloaded has to fit, and it is memory.
const TMP_MAX_BYTES: u64 = 256 * MIB;
const TMP_MAX_FILES: u32 = 20_000;

/// Why the child could not be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: Errno,
    },
    #[error("cannot enter {what}")]
    Enter {
        what: String,
        #[source]
        source: Errno,
    },
    #[error("the home is not owned by the system user any more")]
    ForeignHome,
    #[error("the cache directory belongs to somebody else")]
    ForeignCache,
}

/// Keeps mounts made here away from the node.
pub(crate) fn make_mounts_private() -> Result<(), ConfineError> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(system("make the mounts private"))
}

/// Mounts a `/proc` that shows the processes of the child's own namespace only.
pub(crate) fn mount_own_proc() -> Result<(), ConfineError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(c"proc", c"/proc", c"proc", flags, None).map_err(system("mount /proc"))
}

/// Mounts a `/tmp` of the call's own: nothing of other sites is seen there, and nothing stays behind.
///
/// A call that needs something in the node's `/tmp` (a home on a test machine) keeps it.
pub(crate) fn mount_own_tmp(call: &Call) -> Result<(), ConfineError> {
    if call.paths().any(|path| path.starts_with("/tmp")) {
        return Ok(());
    }
    let (uid, gid) = (call.uid, call.gid);
    let options = format!("size={TMP_MAX_BYTES},nr_inodes={TMP_MAX_FILES},mode=700,uid={uid},gid={gid}");
    let options = CString::new(options).map_err(|_nul| system("name the options of /tmp")(Errno::INVAL))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(c"tmpfs", c"/tmp", c"tmpfs", flags, Some(options.as_c_str())).map_err(system("mount /tmp"))
}

/// Bounds what PHP can use up, whatever its own settings say.
pub(crate) fn limit_resources(deadline: Duration) -> Result<(), PrivilegesError> {
    // A little more than the wall clock allows one thread, so that the deadline is what usually ends a loop.
    let cpu_s = deadline.as_secs() + 5;
    privileges::limit(&[
        // Address space: PHP maps shared memory of extensions; what it fills is bounded by the data limit.
        (Resource::As, 4096 * MIB),
        (Resource::Data, 1024 * MIB),
        // Processes of this uid on the whole node, so it must leave room for the site's own PHP pool.
        (Resource::Nproc, 512),
        (Resource::Fsize, 4096 * MIB),
        (Resource::Cpu, cpu_s),
        (Resource::Core, 0),
        (Resource::Nofile, 1024),
    ])
}

/// Enters the docroot as the system user, sets the mode of new files, and returns the home that was found.
///
/// The home is opened without following any link; beneath it links may point around but not out.
pub(crate) fn enter_docroot(call: &Call) -> Result<OwnedFd, ConfineError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let home = rustix::fs::openat2(rustix::fs::CWD, &call.home, flags, Mode::empty(), resolve)
        .map_err(|source| ConfineError::Enter { what: format!("the home {}", call.home.display()), source })?;
    let owner = rustix::fs::fstat(&home).map_err(system("read the home's owner"))?.st_uid;
    if owner != call.uid.as_raw() {
        return Err(ConfineError::ForeignHome);
    }
    let docroot = if call.docroot.as_os_str().is_empty() { Path::new(".") } else { &call.docroot };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&home, docroot, flags, Mode::empty(), resolve)
        .and_then(|docroot| rustix::process::fchdir(&docroot))
        .map_err(|source| ConfineError::Enter { what: format!("the docroot {}", docroot.display()), source })?;
    rustix::process::umask(Mode::from_raw_mode(0o027));
    Ok(home)
}

/// Makes the user's own directory for compiled scripts, beneath one that only root writes.
///
/// Whoever writes there runs code in the site, so it is the user's alone.
pub(crate) fn ensure_cache(cache: &Path, uid: Uid, gid: Gid) -> Result<(), ConfineError> {
    match rustix::fs::mkdir(cache, Mode::from_raw_mode(0o700)) {
        // The parent directory is root's, so nobody else can have put something else in its place.
        Ok(()) => rustix::fs::chown(cache, Some(uid), Some(gid)).map_err(system("own the cache directory")),
        Err(Errno::EXIST) => {
            let found = rustix::fs::lstat(cache).map_err(system("look at the cache directory"))?;
            let is_directory = rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir();
            if is_directory && found.st_uid == uid.as_raw() { Ok(()) } else { Err(ConfineError::ForeignCache) }
        }
        Err(source) => Err(system("make the cache directory")(source)),
    }
}

fn system(action: &'static str) -> impl Fn(Errno) -> ConfineError {
    move |source| ConfineError::System { action, source }
}
