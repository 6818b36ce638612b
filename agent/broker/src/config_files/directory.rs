//! One directory of configuration files, held open: what is in it, and changes that can be taken back.
//!
//! A change that is not confirmed yet has a note beside it, of what the file was made into, and the file as it was under
//! another name. All these names begin with a dot and end in none that a program includes.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
};

use latchkey_protocol::CONFIG_FILE_MAX_BYTES;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Gid,
};
use sha2::{Digest as _, Sha256};

/// What the names beside a file begin with.
const BESIDE: &str = ".latchkey-";

/// What a note says of a file that was removed.
const NONE: &str = "none";

/// The directory.
#[derive(Debug)]
pub(super) struct Directory(pub(super) OwnedFd);

/// A change that can be taken back or confirmed. It does neither by itself: whoever dies in between leaves the note.
#[derive(Debug)]
pub(super) struct Begun<'d> {
    directory: &'d Directory,
    name: String,
}

/// A file as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) content: Vec<u8>,
    pub(super) version: String,
    mode: Mode,
    group: Gid,
}

impl Directory {
    /// All names in it, in order; not those that are no text.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort();
        Ok(names)
    }

    /// A file with its version; `None` if there is none. No link is followed.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Found>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(&self.0, name, flags, Mode::empty(), resolve) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let facts = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(facts.st_mode).is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut content = Vec::new();
        File::from(file).take(CONFIG_FILE_MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
        if content.len() > CONFIG_FILE_MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is longer than {CONFIG_FILE_MAX_BYTES} bytes"),
            ));
        }
        let version = version(&content);
        let (mode, group) = (Mode::from_raw_mode(facts.st_mode & 0o777), Gid::from_raw(facts.st_gid));
        Ok(Some(Found { content, version, mode, group }))
    }

    /// Puts this content in place of what was found, or of nothing.
    pub(super) fn replace(&self, name: &str, found: Option<&Found>, content: &[u8]) -> io::Result<Begun<'_>> {
        let new = beside(name, "new");
        self.forget(&new)?;
        let as_new = (Mode::from_raw_mode(0o644), Gid::ROOT);
        let (mode, group) = found.map_or(as_new, |found| (found.mode, found.group));
        self.make(&new, content, (mode, group))?;
        self.begin(name, found.is_some(), &version(content))?;
        rustix::fs::renameat(&self.0, &new, &self.0, name)?;
        self.sync()?;
        Ok(Begun { directory: self, name: name.to_owned() })
    }

    /// Takes a file away.
    pub(super) fn remove(&self, name: &str) -> io::Result<Begun<'_>> {
        self.begin(name, true, NONE)?;
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?;
        self.sync()?;
        Ok(Begun { directory: self, name: name.to_owned() })
    }

    /// Takes back what somebody who died began and did not confirm, and says of which files. What was changed by somebody
    /// else since then stays as it is.
    pub(super) fn mend(&self) -> io::Result<Vec<String>> {
        let mut mended = Vec::new();
        for left in self.names()? {
            let Some(rest) = left.strip_prefix(BESIDE) else { continue };
            let Some(name) = rest.strip_suffix(".doing") else { continue };
            // What cannot be read is somebody else's by now.
            let now = self.read(name).map(|found| found.map_or_else(|| NONE.to_owned(), |found| found.version));
            let note = self.read(&left)?.map(|note| note.content).unwrap_or_default();
            if now.is_ok_and(|now| now.as_bytes() == note) {
                Begun { directory: self, name: name.to_owned() }.take_back()?;
                mended.push(name.to_owned());
            } else {
                self.forget(&left)?;
            }
        }
        // What has no note any more is done, or was never begun.
        for left in self.names()?.iter().filter(|name| name.starts_with(BESIDE)) {
            self.forget(left)?;
        }
        Ok(mended)
    }

    /// Keeps what is there under another name, and notes what it is made into; all of it on disk.
    fn begin(&self, name: &str, is_there: bool, version: &str) -> io::Result<()> {
        let (old, note) = (beside(name, "old"), beside(name, "doing"));
        self.forget(&old)?;
        self.forget(&note)?;
        if is_there {
            rustix::fs::linkat(&self.0, name, &self.0, &old, AtFlags::empty())?;
        }
        self.make(&note, version.as_bytes(), (Mode::from_raw_mode(0o600), Gid::ROOT))?;
        self.sync()
    }

    fn make(&self, name: &str, content: &[u8], (mode, group): (Mode, Gid)) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?;
        rustix::fs::fchown(&file, None, Some(group))?;
        // Whatever the umask.
        rustix::fs::fchmod(&file, mode)?;
        let mut file = File::from(file);
        file.write_all(content)?;
        file.sync_all()
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

impl Begun<'_> {
    /// It stays so.
    pub(super) fn confirm(self) -> io::Result<()> {
        self.directory.forget(&beside(&self.name, "doing"))?;
        self.directory.sync()?;
        self.directory.forget(&beside(&self.name, "old"))
    }

    /// It is again what it was.
    pub(super) fn take_back(self) -> io::Result<()> {
        let (directory, old) = (self.directory, beside(&self.name, "old"));
        match rustix::fs::renameat(&directory.0, &old, &directory.0, &self.name) {
            Ok(()) => {}
            Err(Errno::NOENT) => directory.forget(&self.name)?,
            Err(error) => return Err(error.into()),
        }
        directory.sync()?;
        // Both names may have been one file, which renaming leaves alone.
        directory.forget(&old)?;
        directory.forget(&beside(&self.name, "doing"))
    }
}

/// What `write` and `remove` compare: SHA-256 as hexadecimal digits.
pub(super) fn version(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn beside(name: &str, what: &str) -> String {
    format!("{BESIDE}{name}.{what}")
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
        path::Path,
    };

    use super::*;

    fn open(path: &Path) -> Directory {
        Directory(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap())
    }

    fn content(path: &Path, name: &str) -> Option<String> {
        fs::read_to_string(path.join(name)).ok()
    }

    #[test]
    fn a_change_is_confirmed_or_taken_back_and_leaves_nothing_beside_it() {
        let ground = tempfile::tempdir().unwrap();
        let (path, directory) = (ground.path(), open(ground.path()));
        directory.replace("a.conf", None, b"one").unwrap().take_back().unwrap();
        assert_eq!(directory.names().unwrap(), Vec::<String>::new());
        directory.replace("a.conf", None, b"one").unwrap().confirm().unwrap();
        fs::set_permissions(path.join("a.conf"), Permissions::from_mode(0o640)).unwrap();
        let found = directory.read("a.conf").unwrap().unwrap();
        let begun = directory.replace("a.conf", Some(&found), b"two").unwrap();
        assert_eq!(content(path, "a.conf").as_deref(), Some("two"));
        begun.take_back().unwrap();
        assert_eq!(content(path, "a.conf").as_deref(), Some("one"));
        directory.replace("a.conf", Some(&found), b"two").unwrap().confirm().unwrap();
        assert_eq!(content(path, "a.conf").as_deref(), Some("two"));
        assert_eq!(fs::metadata(path.join("a.conf")).unwrap().permissions().mode() & 0o777, 0o640);
        directory.remove("a.conf").unwrap().take_back().unwrap();
        assert_eq!(directory.names().unwrap(), ["a.conf"]);
        directory.remove("a.conf").unwrap().confirm().unwrap();
        assert_eq!(directory.names().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_was_begun_and_not_confirmed_is_taken_back_wherever_it_was_cut_off() {
        // What a process that is killed leaves behind, step by step: nothing here is confirmed.
        type Step = fn(&Directory, Option<&Found>);
        let before: [(&str, Step); 4] = [
            ("the new file is written", |directory, _| {
                directory.make(".latchkey-a.conf.new", b"x", (Mode::RUSR, Gid::ROOT)).unwrap()
            }),
            ("it is noted", |directory, found| directory.begin("a.conf", found.is_some(), &version(b"two")).unwrap()),
            ("it is replaced", |directory, found| drop(directory.replace("a.conf", found, b"two").unwrap())),
            ("it is put back, and not finished", |directory, found| {
                drop(directory.replace("a.conf", found, b"two").unwrap());
                match found {
                    Some(_) => fs_rename(directory, ".latchkey-a.conf.old", "a.conf"),
                    None => directory.forget("a.conf").unwrap(),
                }
            }),
        ];
        for (what, step) in before {
            for was in [None, Some("one")] {
                let ground = tempfile::tempdir().unwrap();
                let (path, directory) = (ground.path(), open(ground.path()));
                was.into_iter().for_each(|was| fs::write(path.join("a.conf"), was).unwrap());
                let found = directory.read("a.conf").unwrap();
                step(&directory, found.as_ref());
                directory.mend().unwrap();
                assert_eq!(content(path, "a.conf").as_deref(), was, "{what}");
                assert_eq!(directory.names().unwrap().len(), usize::from(was.is_some()), "{what}");
                assert_eq!(directory.mend().unwrap(), Vec::<String>::new());
            }
        }
    }

    fn fs_rename(directory: &Directory, from: &str, to: &str) {
        rustix::fs::renameat(&directory.0, from, &directory.0, to).unwrap();
    }

    #[test]
    fn a_removal_that_was_cut_off_is_taken_back_and_a_confirmed_change_is_not() {
        let ground = tempfile::tempdir().unwrap();
        let (path, directory) = (ground.path(), open(ground.path()));
        fs::write(path.join("a.conf"), "one").unwrap();
        drop(directory.remove("a.conf").unwrap());
        assert_eq!(
            (directory.mend().unwrap(), content(path, "a.conf").as_deref()),
            (vec!["a.conf".into()], Some("one"))
        );
        // Cut off while it is being confirmed: the note is gone, what it was is not.
        let found = directory.read("a.conf").unwrap();
        drop(directory.replace("a.conf", found.as_ref(), b"two").unwrap());
        directory.forget(".latchkey-a.conf.doing").unwrap();
        assert_eq!((directory.mend().unwrap(), content(path, "a.conf").as_deref()), (vec![], Some("two")));
        assert_eq!(directory.names().unwrap(), ["a.conf"]);
    }

    #[test]
    fn what_the_operator_has_mended_stays_as_it_is() {
        let ground = tempfile::tempdir().unwrap();
        let (path, directory) = (ground.path(), open(ground.path()));
        drop(directory.replace("a.conf", None, b"two").unwrap());
        fs::write(path.join("a.conf"), "by hand").unwrap();
        assert_eq!(directory.mend().unwrap(), Vec::<String>::new());
        assert_eq!((content(path, "a.conf").as_deref(), directory.names().unwrap().len()), (Some("by hand"), 1));
    }

    #[test]
    fn links_folders_and_long_files_are_not_read() {
        let ground = tempfile::tempdir().unwrap();
        let (path, directory) = (ground.path(), open(ground.path()));
        symlink("/etc/passwd", path.join("link")).unwrap();
        fs::create_dir(path.join("folder")).unwrap();
        fs::write(path.join("long"), vec![b'x'; CONFIG_FILE_MAX_BYTES + 1]).unwrap();
        fs::write(path.join("most"), vec![b'x'; CONFIG_FILE_MAX_BYTES]).unwrap();
        for name in ["link", "folder", "long", "../passwd"] {
            assert!(directory.read(name).is_err(), "{name}");
        }
        assert!(directory.read("most").unwrap().is_some() && directory.read("none").unwrap().is_none());
    }
}
