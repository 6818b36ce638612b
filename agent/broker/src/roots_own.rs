//! Files and directories that are root's alone: nobody else can write to them, or put another one in their place.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

/// Why a file is not taken for root's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRoots {
    /// It is not there.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// It is no file, or its path has a link in it.
    #[error("{} has to be what it is said to be, by a path without symbolic links", .0.display())]
    NoFile(PathBuf),
    /// Nobody may execute it.
    #[error("cannot start {}: nobody may execute it", .0.display())]
    NoProgram(PathBuf),
    /// Somebody else may write it, or a directory above it.
    #[error("{} has to belong to root and to be writable by root alone", .0.display())]
    OfOthers(PathBuf),
    /// It cannot be looked at.
    #[error("cannot look at {}", path.display())]
    System {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Opens such a file for reading.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, NotRoots> {
    opened(path, OFlags::RDONLY | OFlags::NONBLOCK)
}

/// Only looks whether a program is such a file.
pub(crate) fn look_at(path: &Path) -> Result<(), NotRoots> {
    let program = opened(path, OFlags::PATH)?;
    match rustix::fs::fstat(&program) {
        Ok(facts) if facts.st_mode & 0o111 != 0 => Ok(()),
        Ok(_) => Err(NotRoots::NoProgram(path.to_owned())),
        Err(error) => Err(NotRoots::System { path: path.to_owned(), source: error.into() }),
    }
}

/// Opens such a directory.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, NotRoots> {
    check_above(path)?;
    let (directory, facts) = open_without_links(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    if facts.st_uid == 0 && facts.st_mode & 0o022 == 0 {
        Ok(directory)
    } else {
        Err(NotRoots::OfOthers(path.to_owned()))
    }
}

fn opened(path: &Path, how: OFlags) -> Result<OwnedFd, NotRoots> {
    check_above(path)?;
    let (file, facts) = open_without_links(path, how)?;
    if !FileType::from_raw_mode(facts.st_mode).is_file() {
        return Err(NotRoots::NoFile(path.to_owned()));
    }
    if facts.st_uid != 0 || facts.st_mode & 0o022 != 0 {
        return Err(NotRoots::OfOthers(path.to_owned()));
    }
    Ok(file)
}

/// Whether the directories above are root's.
fn check_above(path: &Path) -> Result<(), NotRoots> {
    // From above, so that what is looked at is not replaced any more.
    let directories: Vec<&Path> = path.ancestors().skip(1).collect();
    for directory in directories.into_iter().rev() {
        let (_, facts) = open_without_links(directory, OFlags::PATH | OFlags::DIRECTORY)?;
        // In a sticky one nobody renames or removes what is somebody else's.
        let is_closed = facts.st_mode & 0o022 == 0 || facts.st_mode & 0o1000 != 0;
        if facts.st_uid != 0 || !is_closed {
            return Err(NotRoots::OfOthers(directory.to_owned()));
        }
    }
    Ok(())
}

fn open_without_links(path: &Path, how: OFlags) -> Result<(OwnedFd, Stat), NotRoots> {
    let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve);
    let looked_at = opened.and_then(|opened| {
        let facts = rustix::fs::fstat(&opened)?;
        Ok((opened, facts))
    });
    looked_at.map_err(|error| match error {
        Errno::NOENT => NotRoots::Missing(path.to_owned()),
        Errno::LOOP | Errno::NOTDIR => NotRoots::NoFile(path.to_owned()),
        error => NotRoots::System { path: path.to_owned(), source: error.into() },
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_could_write_or_replace_is_refused_beside_one_of_roots() {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().join("folder");
        let file = folder.join("file");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let refused = |of: &Path| assert!(matches!(look_at(&file), Err(NotRoots::OfOthers(path)) if path == of));
        for (path, right, wrong) in [(&file, 0o755, [0o775, 0o757]), (&folder, 0o755, [0o775, 0o757])] {
            for mode in wrong {
                set_mode(path, mode);
                refused(path);
            }
            set_mode(path, right);
            look_at(&file).unwrap();
            chown(path, Some(12_345), None).unwrap();
            refused(path);
            chown(path, Some(0), None).unwrap();
            look_at(&file).unwrap();
        }
        // As /tmp is.
        set_mode(&folder, 0o1777);
        look_at(&file).unwrap();
        open(&file).unwrap();
        set_mode(&file, 0o644);
        assert!(matches!(look_at(&file), Err(NotRoots::NoProgram(path)) if path == file));
        open(&file).unwrap();
    }

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let ground = tempfile::tempdir().unwrap();
        let at = |name: &str| ground.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/inside"), "").unwrap();
        set_mode(&at("folder/inside"), 0o755);
        symlink(at("file"), at("link")).unwrap();
        symlink(at("folder"), at("way")).unwrap();
        look_at(&at("folder/inside")).unwrap();
        for path in ["link", "way/inside", "folder", "file/x"] {
            assert!(matches!(look_at(&at(path)), Err(NotRoots::NoFile(_))), "{path}");
        }
        assert!(matches!(look_at(&at("nothing")), Err(NotRoots::Missing(_))));
    }
}
