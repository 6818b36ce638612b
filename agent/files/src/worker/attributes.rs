//! Attributes, read and changed through descriptors, so that no link leads a change somewhere else.

use std::os::fd::OwnedFd;

use latchkey_protocol::{AttributeChanges, FileAttributes, FileFault, FileSystemSpace, Links};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatVfsMountFlags, Timespec, Timestamps};

use super::{
    fault::fault,
    resolve::{Rooted, look_at, own_name},
};

/// The attributes of a path.
pub(super) fn read(at: &Rooted, links: Links) -> Result<FileAttributes, FileFault> {
    Ok(of_stat(&look_at(&at.handle(links)?)?))
}

/// Changes those of a path.
pub(super) fn set(at: &Rooted, links: Links, changes: &AttributeChanges) -> Result<(), FileFault> {
    if let Some(size) = changes.size {
        resize(&open_to_resize(at, links)?, size)?;
    }
    let found = at.handle(links)?;
    if let Some(mode) = changes.mode {
        let mode = permitted(&look_at(&found)?, mode)?;
        // The name leads to what is held, and nowhere else.
        rustix::fs::chmod(own_name(&found), mode).map_err(fault)?;
    }
    touch(&found, changes)
}

/// Changes those of an open file.
pub(super) fn set_open(file: &OwnedFd, changes: &AttributeChanges) -> Result<(), FileFault> {
    let found = look_at(file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(FileFault::NotRegular);
    }
    if let Some(size) = changes.size {
        resize(file, size)?;
    }
    if let Some(mode) = changes.mode {
        rustix::fs::fchmod(file, permitted(&found, mode)?).map_err(fault)?;
    }
    touch(file, changes)
}

/// Room on the file system of a path.
pub(super) fn read_space(at: &Rooted) -> Result<FileSystemSpace, FileFault> {
    let found = rustix::fs::fstatvfs(at.handle(Links::Followed)?).map_err(fault)?;
    Ok(FileSystemSpace {
        block_size: found.f_bsize,
        fragment_size: found.f_frsize,
        blocks: found.f_blocks,
        blocks_free: found.f_bfree,
        blocks_available: found.f_bavail,
        files: found.f_files,
        files_free: found.f_ffree,
        files_available: found.f_favail,
        name_max: found.f_namemax,
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// As a client is told.
pub(super) fn of_stat(found: &Stat) -> FileAttributes {
    FileAttributes {
        mode: found.st_mode,
        size: u64::try_from(found.st_size).unwrap_or_default(),
        uid: found.st_uid,
        gid: found.st_gid,
        accessed: found.st_atime,
        modified: found.st_mtime,
        links: found.st_nlink,
    }
}

fn open_to_resize(at: &Rooted, links: Links) -> Result<OwnedFd, FileFault> {
    let follow = match links {
        Links::Followed => OFlags::empty(),
        Links::Meant => OFlags::NOFOLLOW,
    };
    let file = at.open(OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | follow, Mode::empty())?;
    match FileType::from_raw_mode(look_at(&file)?.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(FileFault::NotRegular),
    }
}

fn resize(file: &OwnedFd, size: u64) -> Result<(), FileFault> {
    if i64::try_from(size).is_err() {
        return Err(FileFault::TooLarge);
    }
    rustix::fs::ftruncate(file, size).map_err(fault)
}

/// The mode without set-user-id and set-group-id; a directory keeps a set-group-id that the operator gave it.
fn permitted(found: &Stat, mode: u32) -> Result<Mode, FileFault> {
    let kept = match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => 0,
        FileType::Directory => found.st_mode & Mode::SGID.as_raw_mode(),
        _ => return Err(FileFault::NotRegular),
    };
    Ok(Mode::from_raw_mode(mode & 0o1777 | kept))
}

fn touch(found: &OwnedFd, changes: &AttributeChanges) -> Result<(), FileFault> {
    let Some((accessed, modified)) = changes.times else { return Ok(()) };
    let at = |seconds| Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: at(accessed), last_modification: at(modified) };
    rustix::fs::utimensat(found, c"", &times, AtFlags::EMPTY_PATH).map_err(fault)
}
