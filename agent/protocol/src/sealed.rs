//! A text that is too long for a frame: a file in memory that nobody can change any more, handed over beside it.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    io::Errno,
};

const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Why such a text was not read.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// It is no file in memory, or somebody could still change it.
    #[error("expected a file in memory that is sealed")]
    NotSealed,
    /// It is longer than it may be.
    #[error("expected at most {most} bytes")]
    TooLong {
        /// So many bytes it may have.
        most: u64,
    },
    /// The system does not give it.
    #[error("cannot read a file in memory")]
    Read(#[source] std::io::Error),
}

/// Puts a text into a file in memory that is at its beginning, and sealed.
pub fn seal_text(text: &[u8]) -> Result<OwnedFd, Errno> {
    let file = File::from(rustix::fs::memfd_create("latchkey", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all_at(text, 0).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Reads such a text, whoever made it. Never blocks: what is not sealed is not read.
pub fn read_sealed(file: OwnedFd, most: u64) -> Result<Vec<u8>, SealedError> {
    // Only files in memory have seals at all.
    let seals = rustix::fs::fcntl_get_seals(&file).map_err(|_errno| SealedError::NotSealed)?;
    if !seals.contains(SEALS) {
        return Err(SealedError::NotSealed);
    }
    let file = File::from(file);
    let length = file.metadata().map_err(SealedError::Read)?.len();
    if length > most {
        return Err(SealedError::TooLong { most });
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut text, 0).map_err(SealedError::Read)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_text_comes_back_and_nobody_can_change_it() {
        let text = vec![b'x'; 70_000];
        let mut file = File::from(seal_text(&text).unwrap());
        assert!(file.write_all_at(b"y", 0).is_err() && file.set_len(1).is_err() && file.set_len(80_000).is_err());
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        // Where somebody has read up to does not matter.
        assert_eq!((read, read_sealed(file.into(), 70_000).unwrap()), (text.clone(), text));
        assert_eq!(read_sealed(seal_text(b"").unwrap(), 0).unwrap(), b"");
    }

    #[test]
    fn what_is_longer_or_could_change_is_not_read() {
        let sealed = || seal_text(b"four").unwrap();
        assert!(matches!(read_sealed(sealed(), 3), Err(SealedError::TooLong { most: 3 })));
        let open = rustix::fs::memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        let (pipe, _writer) = std::io::pipe().unwrap();
        for other in [open, pipe.into(), File::open("/proc/self/exe").unwrap().into()] {
            assert!(matches!(read_sealed(other, 10), Err(SealedError::NotSealed)));
        }
    }
}
