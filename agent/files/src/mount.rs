//! The mount that something lies on: how a descriptor is told to be of a hosting's home.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, StatxFlags},
    io::Errno,
};

/// The number of a mount, from the kernel; no other mount of the node has it at the same time.
///
/// Not the device: on overlay file systems and btrfs, files of one mount have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountId(pub u64);

impl MountId {
    /// The mount that an open file or directory lies on.
    pub fn of(opened: &impl AsFd) -> Result<Self, Errno> {
        let found = rustix::fs::statx(opened, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(Self(found.stx_mnt_id))
    }
}
