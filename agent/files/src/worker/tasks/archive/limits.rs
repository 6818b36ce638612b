//! What an archive may hold, made here or elsewhere. They are in the README.

use std::{cell::Cell, fs::File, os::unix::fs::MetadataExt as _};

use latchkey_protocol::{ArchiveFlaw, FileFault};
use rustix::fs::SeekFrom;

use super::{super::term::Term, stop::Stop};

/// Files and folders.
pub(super) const ENTRIES_MAX: u64 = 200_000;

/// The same of a zip that is made here: what is known of each is kept until its end.
pub(super) const ZIP_ENTRIES_MAX: u64 = 100_000;

/// All names together: those of a zip are kept until its end.
pub(super) const NAMES_MAX_BYTES: u64 = 8 << 20;

/// All files that are unpacked, and all that are packed.
pub(super) const BYTES_MAX: u64 = 32 << 30;

/// All that is read of an archive, and all that it unfolds to: files, and what is said of them.
const ALL_MAX_BYTES: u64 = BYTES_MAX + (1 << 30);

/// Folders within one another, with the name of what is in them.
pub(super) const DEPTH_MAX: usize = 64;

/// An archive unfolds to at most so many times what it takes of the disk. Deflate gets to 1,032 times at best, so that
/// only Zstandard and files with holes come here.
pub(super) const RATIO_MAX: u64 = 1100;

/// ... beyond this.
pub(super) const RATIO_FREE_BYTES: u64 = 100 << 20;

/// What Zstandard may look back, as a power of two: 32 MiB.
pub(super) const WINDOW_LOG_MAX: u32 = 25;

/// The longest header that goes before an entry of a tar.
pub(super) const EXTENSION_MAX_BYTES: u64 = 64 << 10;

/// As much is read and written at a time.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// How much of an archive was read or written, and what it unfolds to. Asked at each step whether the task goes on.
pub(super) struct Budget<'t> {
    term: &'t Term,
    /// How much of the disk it takes.
    on_disk: u64,
    packed: Cell<u64>,
    unfolded: Cell<u64>,
}

impl<'t> Budget<'t> {
    /// Of an archive that is unpacked: holes in its file do not make it larger.
    pub(super) fn of(file: &File, term: &'t Term) -> Result<Self, FileFault> {
        let found = file.metadata().map_err(|_error| FileFault::Io)?;
        let size = found.len();
        // A file system that tells no holes has none.
        let has_holes = rustix::fs::seek(file, SeekFrom::Hole(0)).is_ok_and(|hole| hole < size);
        let on_disk = if has_holes { found.blocks().saturating_mul(512) } else { size };
        Ok(Self { on_disk, ..Self::of_new(term) })
    }

    /// Of one that is made.
    pub(super) const fn of_new(term: &'t Term) -> Self {
        Self { term, on_disk: u64::MAX, packed: Cell::new(0), unfolded: Cell::new(0) }
    }

    /// So much more of the archive was read, or written.
    pub(super) fn packed(&self, bytes: usize) -> Result<(), Stop> {
        self.term.goes_on()?;
        let packed = add(&self.packed, bytes);
        if packed > ALL_MAX_BYTES { Err(ArchiveFlaw::Bytes.into()) } else { Ok(()) }
    }

    /// It unfolds to so much more.
    pub(super) fn unfolded(&self, bytes: usize) -> Result<(), Stop> {
        self.term.goes_on()?;
        let unfolded = add(&self.unfolded, bytes);
        if unfolded > ALL_MAX_BYTES {
            return Err(ArchiveFlaw::Bytes.into());
        }
        let expected = self.packed.get().min(self.on_disk).saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        if unfolded > expected { Err(ArchiveFlaw::Ratio.into()) } else { Ok(()) }
    }
}

fn add(to: &Cell<u64>, bytes: usize) -> u64 {
    to.set(to.get().saturating_add(bytes as u64));
    to.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(end: Result<(), Stop>) -> Option<ArchiveFlaw> {
        match end {
            Ok(()) => None,
            Err(Stop::Flaw(flaw)) => Some(flaw),
            Err(Stop::Fault(fault)) => panic!("{fault}"),
        }
    }

    #[test]
    fn an_archive_may_unfold_a_hundred_mebibytes_freely_and_so_many_times_its_size() {
        let term = Term::default();
        let budget = Budget::of_new(&term);
        assert_eq!(flaw(budget.unfolded(100 << 20)), None);
        assert_eq!(flaw(budget.unfolded(1)), Some(ArchiveFlaw::Ratio));
        budget.packed(1 << 20).unwrap();
        assert_eq!(flaw(budget.unfolded((1000 << 20) - 1)), None);
        assert_eq!(flaw(budget.unfolded(1)), Some(ArchiveFlaw::Ratio));
    }

    #[test]
    fn an_archive_may_hold_so_many_bytes_and_have_so_many() {
        let term = Term::default();
        let budget = Budget::of_new(&term);
        let all = usize::try_from(ALL_MAX_BYTES).unwrap();
        assert_eq!(flaw(budget.packed(all)), None);
        assert_eq!(flaw(budget.unfolded(all)), None);
        assert_eq!(flaw(budget.unfolded(1)), Some(ArchiveFlaw::Bytes));
        assert_eq!(flaw(budget.packed(1)), Some(ArchiveFlaw::Bytes));
    }

    #[test]
    fn nothing_is_read_or_unfolded_of_an_archive_whose_task_has_ended() {
        let term = Term::default();
        let budget = Budget::of_new(&term);
        budget.packed(1).unwrap();
        budget.unfolded(1).unwrap();
        term.end();
        for end in [budget.packed(1), budget.unfolded(1)] {
            assert!(matches!(end, Err(Stop::Fault(FileFault::Ended))), "{end:?}");
        }
    }

    #[test]
    fn holes_in_an_archive_are_not_counted() {
        let term = Term::default();
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(Budget::of(&file, &term).unwrap().on_disk < 1 << 20);
        let whole = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &whole, &[7; 10_000]).unwrap();
        assert_eq!(Budget::of(&whole, &term).unwrap().on_disk, 10_000);
    }
}
