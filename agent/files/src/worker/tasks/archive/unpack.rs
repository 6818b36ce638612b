//! Unpacking into a new directory, whatever the format: by descriptors, through no link, each name once.

use std::{
    ffi::CString,
    io::Read,
    os::fd::{AsFd, OwnedFd},
};

use latchkey_protocol::{ArchiveFlaw, FileFault, FileWork};
use rustix::{
    fs::{Mode, OFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::{
    super::{
        super::{fault::fault, remove_all::open_child, resolve::Rooted},
        term::Term,
    },
    limits::{BUFFER_BYTES, BYTES_MAX, ENTRIES_MAX, NAMES_MAX_BYTES},
    name::EntryName,
    stop::Stop,
};

/// What may be kept of an entry's mode: never who it runs as, and never what others may write.
const MODE: u32 = 0o755;

/// A directory that is being filled from an archive.
pub(super) struct Unpacking<'t> {
    root: OwnedFd,
    term: &'t Term,
    work: FileWork,
    begun: u64,
    names_bytes: u64,
    /// The name of the entry under way.
    entry: Vec<u8>,
    /// The directory that the last one went to.
    last: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
}

/// What an archive says of an entry beside its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    /// In seconds since 1970.
    pub(super) modified: Option<i64>,
}

impl<'t> Unpacking<'t> {
    /// Makes the directory.
    pub(super) fn into(to: &Rooted, term: &'t Term) -> Result<Self, FileFault> {
        let (parent, name) = to.parent()?;
        let name = CString::new(name.as_encoded_bytes()).map_err(|_nul| FileFault::Invalid)?;
        rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(MODE)).map_err(fault)?;
        let root = open_child(&parent, &name).map_err(fault)?;
        let buffer = vec![0; BUFFER_BYTES];
        let (work, entry) = (FileWork::default(), Vec::new());
        Ok(Self { root, term, work, begun: 0, names_bytes: 0, entry, last: None, buffer })
    }

    /// What was unpacked.
    pub(super) const fn work(&self) -> FileWork {
        self.work
    }

    /// The name of the entry under way.
    pub(super) fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// From here on it is about the entry of this name, or about none.
    pub(super) fn about(&mut self, name: &[u8]) -> Result<(), Stop> {
        self.term.goes_on()?;
        self.entry.clear();
        self.entry.extend_from_slice(name);
        Ok(())
    }

    /// Begins with an entry of this name; one that says nothing new counts, too.
    pub(super) fn begin(&mut self, name: &[u8]) -> Result<(), Stop> {
        self.about(name)?;
        self.begun += 1;
        self.names_bytes += name.len() as u64;
        let is_too_much = self.begun > ENTRIES_MAX || self.names_bytes > NAMES_MAX_BYTES;
        if is_too_much { Err(ArchiveFlaw::Entries.into()) } else { Ok(()) }
    }

    /// Unpacks a directory.
    pub(super) fn directory(&mut self, at: &EntryName<'_>, attributes: Attributes) -> Result<(), Stop> {
        // What is said of the directory itself that is extracted into is not for the archive to say.
        let Some(name) = at.name else { return Ok(()) };
        let folders: Vec<_> = at.folders.iter().copied().chain([name]).collect();
        let directory = self.folder(&folders)?;
        let mode = Mode::from_raw_mode((attributes.mode & MODE) | 0o700);
        rustix::fs::fchmod(&directory, mode).map_err(fault)?;
        self.last = Some((folders.join(&b'/'), directory));
        Ok(())
    }

    /// Unpacks a file and says how long it is.
    pub(super) fn file(
        &mut self,
        at: &EntryName<'_>,
        attributes: Attributes,
        content: &mut impl Read,
    ) -> Result<u64, Stop> {
        let name = at.name.filter(|_| !at.is_folder).ok_or(ArchiveFlaw::Ambiguous)?;
        let name = CString::new(name).map_err(|_nul| ArchiveFlaw::NoName)?;
        let directory = self.folder(&at.folders)?;
        self.count()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => return Err(ArchiveFlaw::Twice.into()),
            other => other.map_err(fault)?,
        };
        self.last = Some((at.folders.join(&b'/'), directory));
        let length = self.write(&file, content)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode & MODE)).map_err(fault)?;
        if let Some(modified) = attributes.modified {
            let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            let last_modification = Timespec { tv_sec: modified, tv_nsec: 0 };
            rustix::fs::futimens(&file, &Timestamps { last_access, last_modification }).map_err(fault)?;
        }
        self.work.bytes = self.work.bytes.saturating_add(length);
        Ok(length)
    }

    fn write(&mut self, file: &OwnedFd, content: &mut impl Read) -> Result<u64, Stop> {
        let mut length = 0;
        loop {
            self.term.goes_on()?;
            let count = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(length),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::of_read(error)),
            };
            let mut left = self.buffer.get(..count).unwrap_or_default();
            while !left.is_empty() {
                match rustix::io::write(file, left) {
                    Ok(written) => left = left.get(written..).unwrap_or_default(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(fault(error).into()),
                }
            }
            length += count as u64;
            if self.work.bytes.saturating_add(length) > BYTES_MAX {
                return Err(ArchiveFlaw::Bytes.into());
            }
        }
    }

    /// The directory of these names, made as far as it is not there.
    fn folder(&mut self, names: &[&[u8]]) -> Result<OwnedFd, Stop> {
        if let Some((_, directory)) = self.last.take_if(|(path, _)| *path == names.join(&b'/')) {
            return Ok(directory);
        }
        let mut directory: Option<OwnedFd> = None;
        for name in names {
            let name = CString::new(*name).map_err(|_nul| ArchiveFlaw::NoName)?;
            let above = directory.as_ref().unwrap_or(&self.root).as_fd();
            let is_new = match rustix::fs::mkdirat(above, &name, Mode::from_raw_mode(MODE)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(fault(error).into()),
            };
            let below = match open_child(&above, &name) {
                // A file.
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(ArchiveFlaw::Twice.into()),
                other => other.map_err(fault)?,
            };
            if is_new {
                self.count()?;
            }
            directory = Some(below);
        }
        match directory {
            Some(directory) => Ok(directory),
            None => self.root.try_clone().map_err(|_full| FileFault::Busy.into()),
        }
    }

    /// Folders count that no entry is about, too.
    fn count(&mut self) -> Result<(), Stop> {
        self.term.goes_on()?;
        self.work.entries += 1;
        if self.work.entries > ENTRIES_MAX { Err(ArchiveFlaw::Entries.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::{Place, SitePath};

    use super::{super::super::super::resolve::Home, *};

    const PLAIN: Attributes = Attributes { mode: 0o644, modified: None };

    /// It is refused for that.
    #[track_caller]
    fn refused<T>(end: Result<T, Stop>, flaw: ArchiveFlaw) {
        let end = end.map(drop);
        assert!(matches!(end, Err(Stop::Flaw(found)) if found == flaw), "{end:?}");
    }

    #[test]
    fn so_many_entries_names_folders_and_bytes_are_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let to = Place { root: SitePath::ROOT, path: SitePath::parse(b"to").unwrap() };
        let term = Term::default();
        let mut unpacking = Unpacking::into(&home.at(&to).unwrap(), &term).unwrap();
        unpacking.begun = ENTRIES_MAX - 1;
        unpacking.begin(b"last").unwrap();
        refused(unpacking.begin(b"more"), ArchiveFlaw::Entries);
        (unpacking.begun, unpacking.names_bytes) = (0, NAMES_MAX_BYTES - 4);
        unpacking.begin(b"last").unwrap();
        refused(unpacking.begin(b"m"), ArchiveFlaw::Entries);
        unpacking.work.entries = ENTRIES_MAX - 1;
        unpacking.folder(&[b"last"]).unwrap();
        refused(unpacking.folder(&[b"more"]), ArchiveFlaw::Entries);
        (unpacking.work.entries, unpacking.work.bytes) = (0, BYTES_MAX - 5);
        let mut file = |name: &str, content: &[u8]| {
            unpacking.file(&EntryName::parse(name.as_bytes()).unwrap(), PLAIN, &mut &*content)
        };
        refused(file("too-long", b"6 more"), ArchiveFlaw::Bytes);
        assert_eq!(file("fits", b"last5").unwrap(), 5);
        refused(file("beyond", b"x"), ArchiveFlaw::Bytes);
    }
}
