//! Archives, as serve and a files worker speak of them: in which format, and what is wrong with one.

use serde::{Deserialize, Serialize};

use crate::bytes;

/// As much of the name of an entry is told.
const ENTRY_MAX_BYTES: usize = 200;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    /// A zip, each file compressed by itself.
    Zip,
    /// A tar, compressed by gzip.
    TarGz,
    /// A tar, compressed by Zstandard.
    TarZst,
}

/// An archive that is not extracted, and where it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadArchive {
    /// The beginning of the name of the entry; empty if it is about the archive as a whole.
    #[serde(with = "bytes")]
    pub entry: Vec<u8>,
    /// What is wrong.
    pub flaw: ArchiveFlaw,
}

impl BadArchive {
    /// About one entry.
    #[must_use]
    pub fn of(entry: &[u8], flaw: ArchiveFlaw) -> Self {
        let length = entry.len().min(ENTRY_MAX_BYTES);
        Self { entry: entry.get(..length).unwrap_or_default().to_vec(), flaw }
    }
}

/// Why an archive is not extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFlaw {
    /// Its content is that of no format which is known here.
    #[error("expected a zip, or a tar that is plain or compressed by gzip or Zstandard")]
    Unknown,
    /// It ends too early.
    #[error("the archive ends in the middle")]
    Truncated,
    /// A checksum or a structure is wrong.
    #[error("the archive is damaged")]
    Damaged,
    /// There is something before or after it.
    #[error("there is something beside the archive in the file")]
    Surrounded,
    /// A name is absolute.
    #[error("its name begins with a slash")]
    Absolute,
    /// A name climbs.
    #[error("its name holds `..`")]
    Climbs,
    /// A name is none: empty, or with an empty part, a `.` in the middle, or a zero byte.
    #[error("its name is empty in a part, or holds a zero byte")]
    NoName,
    /// A name is too long for a file system.
    #[error("its name is longer than 255 bytes in a part, or 4000 bytes in all")]
    LongName,
    /// A name may be one or several.
    #[error("its name holds a backslash, which may or may not part folders")]
    Backslash,
    /// It is a symbolic or a hard link.
    #[error("it is a link")]
    Link,
    /// It is neither a file nor a folder.
    #[error("it is neither a file nor a folder")]
    Special,
    /// The same name comes again, or is that of a file and of a folder.
    #[error("it comes twice, or is a file where a folder is")]
    Twice,
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It is compressed or written in a way that is not known here.
    #[error("it is compressed or written in a way that is not supported")]
    Unsupported,
    /// More memory than a worker has.
    #[error("it takes more memory to decompress than is allowed")]
    Memory,
    /// Its size is not what the archive says.
    #[error("its size is not what the archive says")]
    Size,
    /// Its content is not what the archive's checksum says.
    #[error("its content does not have the checksum that the archive says")]
    Checksum,
    /// Two entries share bytes of the archive.
    #[error("it shares bytes of the archive with another entry")]
    Overlaps,
    /// The two descriptions of an entry differ.
    #[error("it is described in two ways that differ")]
    Ambiguous,
    /// Too many entries.
    #[error("the archive has too many entries")]
    Entries,
    /// Folders too deep within one another.
    #[error("it lies in too many folders within one another")]
    Depth,
    /// Too many bytes.
    #[error("the archive holds too many bytes")]
    Bytes,
    /// So well compressed that it can only be a trap.
    #[error("it unfolds to far more than what its size allows to expect")]
    Ratio,
}
