//! Hard links, to the user's own regular files only, and symbolic links, to within the root only.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use latchkey_protocol::{FileFault, Links, SITE_PATH_MAX_BYTES};
use rustix::fs::{FileType, Mode};

use super::{
    fault::fault,
    publish,
    resolve::{HANDLE, Home, Rooted, look_at},
};

/// Makes a hard link to exactly the file that was looked at.
pub(super) fn hard_link(home: &Home, from: &Rooted, to: &Rooted) -> Result<(), FileFault> {
    let file = from.handle(Links::Meant)?;
    let found = look_at(&file)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile if found.st_uid == home.uid() => {}
        FileType::RegularFile | FileType::Symlink => return Err(FileFault::Denied),
        FileType::Directory => return Err(FileFault::IsADirectory),
        _ => return Err(FileFault::NotRegular),
    }
    let (directory, name) = to.parent()?;
    publish::link(&file, &directory, name).map_err(fault)
}

/// Makes a symbolic link if it points to within the root: relative, climbing only at its beginning and no higher than
/// the root, and leading through no link that leads out. Its target may be missing.
///
/// This holds at the moment. Whoever follows the link beneath the root is safe in any case; a web server is as safe as
/// with the links that the site itself makes.
pub(super) fn symbolic_link(at: &Rooted, target: &[u8]) -> Result<(), FileFault> {
    let (directory, name) = at.parent()?;
    if target.is_empty() || target.contains(&0) {
        return Err(FileFault::Invalid);
    }
    let depth = at.path_of(&directory)?.names().count();
    if target.starts_with(b"/") || !climbs_at_most(target, depth) {
        return Err(FileFault::Denied);
    }
    let parent = at.path_of(&directory)?;
    let from_root = [parent.as_relative().as_bytes(), target].join(&b'/');
    if from_root.len() > SITE_PATH_MAX_BYTES {
        return Err(FileFault::NameTooLong);
    }
    match at.open_relative(&OsString::from_vec(from_root), HANDLE, Mode::empty()) {
        Ok(_) | Err(FileFault::NotFound) => {}
        Err(fault) => return Err(fault),
    }
    rustix::fs::symlinkat(OsStr::from_bytes(target), &directory, name).map_err(fault)
}

/// What a symbolic link says.
pub(super) fn read_link(at: &Rooted) -> Result<Vec<u8>, FileFault> {
    let link = at.handle(Links::Meant)?;
    if FileType::from_raw_mode(look_at(&link)?.st_mode) != FileType::Symlink {
        return Err(FileFault::Invalid);
    }
    rustix::fs::readlinkat(&link, c"", Vec::new()).map(std::ffi::CString::into_bytes).map_err(fault)
}

/// Whether `..` stands at the beginning only, where no link can come before it, and at most so often.
pub(super) fn climbs_at_most(target: &[u8], depth: usize) -> bool {
    let mut names = target.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let climbs = names.by_ref().take_while(|name| *name == b"..").count();
    climbs <= depth && names.all(|name| name != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_climbs_at_its_beginning_only_and_no_higher_than_the_root() {
        for (target, depth) in [(&b"a"[..], 0), (b"..", 1), (b"../../a/b", 2), (b"./.././a", 1), (b"a/./b/", 0)] {
            assert!(climbs_at_most(target, depth), "{}", target.escape_ascii());
        }
        for (target, depth) in [(&b".."[..], 0), (b"a/..", 5), (b"../../a", 1), (b"../a/../b", 5), (b"a//../..", 5)] {
            assert!(!climbs_at_most(target, depth), "{}", target.escape_ascii());
        }
    }
}
