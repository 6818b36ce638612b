//! What an archive may hold, made here or elsewhere. They are in the README.

use std::cell::Cell;

use latchkey_protocol::ArchiveFlaw;

/// Files and folders.
pub(super) const ENTRIES_MAX: u64 = 200_000;

/// All names together: those of a zip are kept until its end.
pub(super) const NAMES_MAX_BYTES: u64 = 32 << 20;

/// All that is unpacked, and all that is packed.
pub(super) const BYTES_MAX: u64 = 32 << 30;

/// Folders within one another.
pub(super) const DEPTH_MAX: usize = 64;

/// An archive unfolds to at most so many times its size ...
pub(super) const RATIO_MAX: u64 = 200;

/// ... beyond this.
pub(super) const RATIO_FREE_BYTES: u64 = 100 << 20;

/// What Zstandard may look back, as a power of two: 32 MiB.
pub(super) const WINDOW_LOG_MAX: u32 = 25;

/// The longest header that goes before an entry of a tar.
pub(super) const EXTENSION_MAX_BYTES: u64 = 64 << 10;

/// As much is read and written at a time.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// How much of an archive was read, and what it unfolded to.
#[derive(Debug, Default)]
pub(super) struct Budget {
    packed: Cell<u64>,
    unpacked: Cell<u64>,
}

impl Budget {
    /// So much more of the archive was read.
    pub(super) fn read(&self, bytes: usize) {
        self.packed.set(self.packed.get().saturating_add(bytes as u64));
    }

    /// It unfolded to so much more.
    pub(super) fn unfolded(&self, bytes: usize) -> Result<(), ArchiveFlaw> {
        let unpacked = self.unpacked.get().saturating_add(bytes as u64);
        self.unpacked.set(unpacked);
        if unpacked > BYTES_MAX {
            return Err(ArchiveFlaw::Bytes);
        }
        let expected = self.packed.get().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        if unpacked > expected { Err(ArchiveFlaw::Ratio) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_may_unfold_a_hundred_mebibytes_freely_and_two_hundred_times_its_size() {
        let budget = Budget::default();
        assert_eq!(budget.unfolded(100 << 20), Ok(()));
        assert_eq!(budget.unfolded(1), Err(ArchiveFlaw::Ratio));
        budget.read(1 << 20);
        assert_eq!(budget.unfolded((100 << 20) - 1), Ok(()));
        assert_eq!(budget.unfolded(1), Err(ArchiveFlaw::Ratio));
    }

    #[test]
    fn an_archive_may_hold_so_many_bytes() {
        let budget = Budget::default();
        budget.read(BYTES_MAX as usize);
        assert_eq!(budget.unfolded(BYTES_MAX as usize), Ok(()));
        assert_eq!(budget.unfolded(1), Err(ArchiveFlaw::Bytes));
    }
}
