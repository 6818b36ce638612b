//! Packing files and directories, whatever the format. Links, devices, pipes and sockets are left out, and so is what
//! cannot be read: an archive that was made here is one that is extracted here.

use std::{io::Read, os::fd::OwnedFd};

use latchkey_protocol::{FileFault, FileWork, SITE_PATH_MAX_BYTES};
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::{
    super::{
        super::resolve::{Rooted, look_at},
        beneath::Beneath,
        term::Term,
    },
    limits::{BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, NAMES_MAX_BYTES},
    stream::Source,
};

/// An archive that is being written.
pub(super) trait Pack {
    /// What it was written to.
    type Written;

    /// How many files and folders it takes.
    const ENTRIES_MAX: u64 = ENTRIES_MAX;

    /// Adds a directory.
    fn directory(&mut self, name: &[u8], stat: &Stat) -> Result<(), FileFault>;

    /// Adds a file, and all that is read from it.
    fn file(&mut self, name: &[u8], stat: &Stat, content: &mut impl Read) -> Result<(), FileFault>;

    /// Writes the end.
    fn finish(self) -> Result<Self::Written, FileFault>;
}

/// Packs each with all that is in it, under its own name; of the root of all, only what is in it.
pub(super) fn all(from: &[Rooted], into: &mut impl Pack, term: &Term) -> Result<FileWork, FileFault> {
    let mut packing = Packing { into, term, work: FileWork::default(), names_bytes: 0 };
    for one in from {
        let name = one.path().split().map_or_else(Vec::new, |(_, name)| name.to_vec());
        packing.top(one, &name)?;
    }
    Ok(packing.work)
}

struct Packing<'p, P> {
    into: &'p mut P,
    term: &'p Term,
    work: FileWork,
    names_bytes: u64,
}

impl<P: Pack> Packing<'_, P> {
    fn top(&mut self, at: &Rooted, name: &[u8]) -> Result<(), FileFault> {
        let opened = at.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW, Mode::empty())?;
        let stat = look_at(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(name, &stat, opened),
            FileType::Directory => {
                if !name.is_empty() {
                    self.directory(name, &stat)?;
                }
                self.beneath(Beneath::of(opened, at, self.term)?, name)
            }
            _ => Err(FileFault::NotRegular),
        }
    }

    fn beneath(&mut self, mut beneath: Beneath<'_>, top: &[u8]) -> Result<(), FileFault> {
        while let Some(met) = beneath.next()? {
            let name = if top.is_empty() { met.path.clone() } else { [top, &met.path].join(&b'/') };
            match met.kind() {
                FileType::Directory => self.directory(&name, &met.stat)?,
                FileType::RegularFile => {
                    if let Some(file) = beneath.open(&met)? {
                        // It may have been replaced since it was met.
                        self.file(&name, &look_at(&file)?, file)?;
                    }
                }
                _ => self.work.left_out += 1,
            }
        }
        self.work.left_out += beneath.left_out();
        if beneath.was_too_deep() { Err(FileFault::TooMuch) } else { Ok(()) }
    }

    fn directory(&mut self, name: &[u8], stat: &Stat) -> Result<(), FileFault> {
        self.count(name)?;
        self.into.directory(name, stat)
    }

    fn file(&mut self, name: &[u8], stat: &Stat, file: OwnedFd) -> Result<(), FileFault> {
        self.count(name)?;
        let most = BYTES_MAX.saturating_sub(self.work.bytes);
        if u64::try_from(stat.st_size).unwrap_or_default() > most {
            return Err(FileFault::TooMuch);
        }
        let mut source = Source::new(file, self.term, most);
        self.into.file(name, stat, &mut source)?;
        self.work.bytes = self.work.bytes.saturating_add(source.read_bytes());
        Ok(())
    }

    fn count(&mut self, name: &[u8]) -> Result<(), FileFault> {
        self.term.goes_on()?;
        self.work.entries += 1;
        // A folder's ends with a slash.
        let length = name.len() + 1;
        self.names_bytes += length as u64;
        let is_too_much = self.work.entries > P::ENTRIES_MAX
            || self.names_bytes > NAMES_MAX_BYTES
            || length > SITE_PATH_MAX_BYTES
            || name.split(|byte| *byte == b'/').count() > DEPTH_MAX;
        if is_too_much { Err(FileFault::TooMuch) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of nothing.
    struct Nowhere<const ENTRIES: u64>;

    impl<const ENTRIES: u64> Pack for Nowhere<ENTRIES> {
        type Written = ();

        const ENTRIES_MAX: u64 = ENTRIES;

        fn directory(&mut self, _name: &[u8], _stat: &Stat) -> Result<(), FileFault> {
            Ok(())
        }

        fn file(&mut self, _name: &[u8], _stat: &Stat, content: &mut impl Read) -> Result<(), FileFault> {
            std::io::copy(content, &mut std::io::sink()).map(drop).map_err(|_| FileFault::TooMuch)
        }

        fn finish(self) -> Result<(), FileFault> {
            Ok(())
        }
    }

    /// Counts names until one is too much; how many went before it.
    #[track_caller]
    fn counted<const ENTRIES: u64>(name: &[u8]) -> u64 {
        let (mut into, term) = (Nowhere::<ENTRIES>, Term::default());
        let mut packing = Packing { into: &mut into, term: &term, work: FileWork::default(), names_bytes: 0 };
        while packing.count(name).is_ok() {}
        assert_eq!(packing.count(name), Err(FileFault::TooMuch));
        packing.work.entries - 2
    }

    #[test]
    fn so_many_entries_with_so_long_names_are_packed() {
        assert_eq!(counted::<3>(b"name"), 3);
        assert_eq!(counted::<ENTRIES_MAX>(b"name"), ENTRIES_MAX);
        assert_eq!(counted::<ENTRIES_MAX>(&[b'x'; 99]), NAMES_MAX_BYTES / 100);
        assert_eq!(counted::<3>(&[b'x'; SITE_PATH_MAX_BYTES - 1]), 3);
        assert_eq!(counted::<3>(&[b'x'; SITE_PATH_MAX_BYTES]), 0);
        let deep = |depth| vec![&b"d"[..]; depth].join(&b'/');
        assert_eq!((counted::<3>(&deep(DEPTH_MAX)), counted::<3>(&deep(DEPTH_MAX + 1))), (3, 0));
    }

    #[test]
    fn so_many_bytes_are_packed_whatever_a_file_was_said_to_have() {
        let (mut into, term) = (Nowhere::<3>, Term::default());
        let mut packing = Packing { into: &mut into, term: &term, work: FileWork::default(), names_bytes: 0 };
        packing.work.bytes = BYTES_MAX - 5;
        let file = |length: u64| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(length).unwrap();
            let file = OwnedFd::from(file);
            (look_at(&file).unwrap(), file)
        };
        let (said, six) = file(6);
        assert_eq!(packing.file(b"said", &said, six), Err(FileFault::TooMuch));
        let ((less, five), (_, six)) = (file(5), file(6));
        assert_eq!(packing.file(b"more", &less, six), Err(FileFault::TooMuch));
        assert_eq!((packing.file(b"all", &less, five), packing.work.bytes), (Ok(()), BYTES_MAX));
    }
}
