//! What is given up before PHP starts: mounts, limits, privileges, and where the child may begin to look at files.
//!
//! Which files it may reach is in `paths.rs`, which system calls in `system_calls.rs`. Order matters and is kept in `main.rs`: the mounts and the bounding set need root, files are opened as the user.

use std::{ffi::CString, os::fd::OwnedFd, path::Path, time::Duration};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags},
    process::{DumpableBehavior, Gid, Resource, Rlimit, Uid},
    thread::{CapabilitySet, CapabilitySets},
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
    #[error("privileges remain after they were dropped: {0}")]
    Remaining(&'static str),
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

/// Keeps the memory of this process from other processes of its user and from core dumps, until PHP is executed.
pub(crate) fn hide_memory() -> Result<(), ConfineError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("hide the memory"))
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
pub(crate) fn limit_resources(deadline: Duration) -> Result<(), ConfineError> {
    // A little more than the wall clock allows one thread, so that the deadline is what usually ends a loop.
    let cpu_s = deadline.as_secs() + 5;
    let limits = [
        // Address space: PHP maps shared memory of extensions; what it fills is bounded by the data limit.
        (Resource::As, 4096 * MIB),
        (Resource::Data, 1024 * MIB),
        // Processes of this uid on the whole node, so it must leave room for the site's own PHP pool.
        (Resource::Nproc, 512),
        (Resource::Fsize, 4096 * MIB),
        (Resource::Cpu, cpu_s),
        (Resource::Core, 0),
        (Resource::Nofile, 1024),
    ];
    for (resource, limit) in limits {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(limit, |hard| hard.min(limit));
        let new = Rlimit { current: Some(hard), maximum: Some(hard) };
        rustix::process::setrlimit(resource, new).map_err(system("set a resource limit"))?;
    }
    Ok(())
}

/// Becomes the system user for good, and proves it.
pub(crate) fn drop_privileges(uid: Uid, gid: Gid) -> Result<(), ConfineError> {
    empty_bounding_set()?;
    rustix::thread::set_no_new_privs(true).map_err(system("set no_new_privs"))?;
    rustix::thread::set_thread_groups(&[]).map_err(system("drop supplementary groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(system("change the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(system("change the user"))?;
    keep_capabilities(CapabilitySet::empty())?;
    verify_dropped(uid, gid)
}

/// In the watching parent: keeps of root's rights only the one to kill what the site's user started.
pub(crate) fn keep_only_killing() -> Result<(), ConfineError> {
    empty_bounding_set()?;
    rustix::thread::set_no_new_privs(true).map_err(system("set no_new_privs"))?;
    keep_capabilities(CapabilitySet::KILL)
}

fn empty_bounding_set() -> Result<(), ConfineError> {
    for bit in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The first number that the kernel does not know.
            Err(Errno::INVAL) => break,
            Err(source) => return Err(system("empty the bounding set")(source)),
        }
    }
    Ok(())
}

fn keep_capabilities(kept: CapabilitySet) -> Result<(), ConfineError> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(system("drop capabilities"))
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

fn verify_dropped(uid: Uid, gid: Gid) -> Result<(), ConfineError> {
    let remaining = |what| Err(ConfineError::Remaining(what));
    if rustix::process::getuid() != uid || rustix::process::geteuid() != uid {
        return remaining("the user");
    }
    if rustix::process::getgid() != gid || rustix::process::getegid() != gid {
        return remaining("the group");
    }
    if !rustix::process::getgroups().map_err(system("read the groups"))?.is_empty() {
        return remaining("supplementary groups");
    }
    let held = rustix::thread::capabilities(None).map_err(system("read the capabilities"))?;
    if !(held.effective.is_empty() && held.permitted.is_empty() && held.inheritable.is_empty()) {
        return remaining("capabilities");
    }
    if rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        return remaining("the way back to root");
    }
    Ok(())
}

fn system(action: &'static str) -> impl Fn(Errno) -> ConfineError {
    move |source| ConfineError::System { action, source }
}
