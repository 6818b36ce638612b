//! What a files worker is asked to do that may take long: begun, carried out, ended early if nobody waits any more.
//!
//! A task works on many files at once, so that their names and attributes need not travel one by one.

use serde::{Deserialize, Serialize};

use crate::{FileEntry, Place, bytes};

/// A task for the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileTask {
    /// A part of a directory, in order. Answered by [`FileTaskDone::Listed`].
    List(FileListing),
    /// Copies a file, or a directory with all that is in it. Answered by [`FileTaskDone::Worked`].
    Copy {
        /// What. A link is copied itself.
        from: Place,
        /// To what; nothing must be there.
        to: Place,
    },
}

/// A part of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileListing {
    /// Which directory.
    pub at: Place,
    /// In which order.
    pub order: FileOrder,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Only what comes after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileMark>,
    /// How many entries at most.
    pub limit: u32,
}

/// The order of entries. Those that are equal in it are ordered by the bytes of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOrder {
    /// By the bytes of their names.
    Name,
    /// By their length.
    Size,
    /// By the time of their last change.
    Modified,
}

/// A place in an order: that of an entry, whether it is there still or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMark {
    /// What it is ordered by first; 0 in the order of names.
    pub key: i64,
    /// Its name.
    #[serde(with = "bytes")]
    pub name: Vec<u8>,
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileTaskDone {
    /// Entries of a directory; the next ones come when it is carried out again.
    Listed {
        /// In order.
        items: Vec<FileEntry>,
        /// How many the directory has.
        total: u64,
        /// Whether there are more after the limit.
        has_more: bool,
        /// Whether these are the last ones up to the limit.
        is_over: bool,
    },
    /// Files were worked on.
    Worked(FileWork),
}

/// How much was worked on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileWork {
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// What was left out: devices, pipes, sockets, and links that lead out of the home.
    pub left_out: u64,
}
