//! Names in directories: making, renaming and removing one, in a directory that is held open.

use latchkey_protocol::{Existing, FileFault};
use rustix::fs::{AtFlags, RenameFlags};

use super::{fault::fault, open::new_mode, resolve::Rooted};

/// Makes a directory.
pub(super) fn make_directory(at: &Rooted, mode: u32) -> Result<(), FileFault> {
    if at.path().is_root() {
        return Err(FileFault::Exists);
    }
    let (directory, name) = at.parent()?;
    rustix::fs::mkdirat(&directory, name, new_mode(mode)).map_err(fault)
}

/// Removes an empty directory; never the root.
pub(super) fn remove_directory(at: &Rooted) -> Result<(), FileFault> {
    let (directory, name) = at.parent()?;
    rustix::fs::unlinkat(&directory, name, AtFlags::REMOVEDIR).map_err(fault)
}

/// Removes a file, a link, or whatever else is no directory.
pub(super) fn remove_file(at: &Rooted) -> Result<(), FileFault> {
    let (directory, name) = at.parent()?;
    rustix::fs::unlinkat(&directory, name, AtFlags::empty()).map_err(fault)
}

/// Renames within one root; links are renamed themselves.
pub(super) fn rename(from: &Rooted, to: &Rooted, existing: Existing) -> Result<(), FileFault> {
    let ((old, old_name), (new, new_name)) = (from.parent()?, to.parent()?);
    let flags = match existing {
        Existing::Refused => RenameFlags::NOREPLACE,
        Existing::Replaced => RenameFlags::empty(),
    };
    rustix::fs::renameat_with(&old, old_name, &new, new_name, flags).map_err(fault)
}
