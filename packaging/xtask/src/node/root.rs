//! The private directory of a node, with a short path because Unix sockets live in it.
//!
//! A lock on its file `owner` says that its owner lives: the kernel takes it away with the owner, however that ends.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, StatVfsMountFlags};

use super::options::Storage;
use crate::random;

const MEMORY: &str = "/dev/shm";
const DISK: &str = "/tmp";
const PLACES: [&str; 2] = [MEMORY, DISK];
const NEEDED_BYTES: u64 = 1 << 30;
const PREFIX: &str = "lk-";

/// A node's directory. Dropping it does not remove it: that is `ground`'s business, after the processes have ended.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    /// Holds the lock; never read.
    _owner: File,
}

impl Root {
    /// Makes one.
    pub(crate) fn make(storage: Storage) -> Result<Self> {
        let place = place(storage)?;
        let id = random::word(6)?;
        // It gets its name only when the lock is held, so that no sweep takes it for a dead one.
        let unnamed = place.join(format!(".{PREFIX}{id}"));
        fs::create_dir(&unnamed).with_context(|| format!("create {}", unnamed.display()))?;
        fs::set_permissions(&unnamed, fs::Permissions::from_mode(0o755)).context("set the mode of the root")?;
        let owner = File::create(unnamed.join("owner")).context("create the owner file")?;
        rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive).context("lock the owner file")?;
        let path = place.join(format!("{PREFIX}{id}"));
        fs::rename(&unnamed, &path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, _owner: owner })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it, with the directories above it.
    pub(crate) fn directory(&self, name: &str, mode: u32) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).context("set a mode")?;
        Ok(path)
    }
}

/// The file in which a root's process ids are recorded.
pub(crate) fn pids_of(root: &Path) -> PathBuf {
    root.join("pids")
}

/// The root that a home lies in, if it is one of ours.
pub(crate) fn of_home(home: &Path) -> Option<PathBuf> {
    PLACES.iter().map(Path::new).find_map(|place| {
        let first = home.strip_prefix(place).ok()?.components().next()?;
        first.as_os_str().to_str()?.starts_with(PREFIX).then(|| place.join(first))
    })
}

/// The roots whose owner is dead.
pub(crate) fn dead() -> Vec<PathBuf> {
    let entries = PLACES.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_dead(path)).collect()
}

fn is_dead(root: &Path) -> bool {
    let ours = root.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    // A directory that somebody else made, in a place where anybody may, is not ours, whatever its name.
    let of_root = || fs::symlink_metadata(root).is_ok_and(|found| found.is_dir() && is_owned_by_root(&found));
    let unlocked = || {
        File::open(root.join("owner"))
            .is_ok_and(|owner| rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok())
    };
    ours && of_root() && unlocked()
}

fn is_owned_by_root(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    found.uid() == 0
}

fn place(storage: Storage) -> Result<&'static Path> {
    let places: &[&'static str] = match storage {
        Storage::MemoryFirst => &PLACES,
        Storage::Disk => &[DISK],
    };
    for place in places.iter().copied().map(Path::new) {
        let Ok(found) = rustix::fs::statvfs(place) else { continue };
        let room = found.f_bavail.saturating_mul(found.f_frsize) >= NEEDED_BYTES;
        if room && !found.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Ok(place);
        }
    }
    bail!("neither {} has 1 GiB of room and allows execution", places.join(" nor "))
}
