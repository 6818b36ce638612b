//! The entity tag of a file: another one as soon as its content is another.
//!
//! Of a file that fits into one reply it is a hash of the content, so that no change is so quick that it is not seen. Of a
//! larger one it is made of what the kernel notes with each change.

use std::io;
use std::os::unix::fs::FileExt as _;

use latchkey_files::tree::OpenFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::TEXT_MAX_BYTES;
use crate::token::hex;

/// An entity tag, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tag(pub(crate) String);

impl Tag {
    /// The tag of a small file's content.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self(hex(&Sha256::digest(content)))
    }

    /// The tag of an open file. Reads a small one. Blocks.
    pub(crate) fn of(file: &OpenFile) -> io::Result<Self> {
        let found = rustix::fs::fstat(file)?;
        let size = u64::try_from(found.st_size).unwrap_or(u64::MAX);
        if size <= TEXT_MAX_BYTES {
            return read_whole(file).map(|content| Self::of_content(&content));
        }
        let noted = [
            found.st_ino.cast_signed(),
            found.st_size,
            found.st_mtime,
            found.st_mtime_nsec.cast_signed(),
            found.st_ctime,
            found.st_ctime_nsec.cast_signed(),
        ];
        Ok(Self(hex(&Sha256::digest(noted.map(i64::to_le_bytes).concat()))))
    }

    /// As a header has it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// All of a file, or as much as a text may have and one byte more. Blocks.
pub(super) fn read_whole(file: &OpenFile) -> io::Result<Vec<u8>> {
    let (mut content, mut part) = (Vec::new(), vec![0; 64 << 10]);
    while content.len() as u64 <= TEXT_MAX_BYTES {
        match file.file().read_at(&mut part, content.len() as u64) {
            Ok(0) => break,
            Ok(count) => content.extend_from_slice(part.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(content)
}
