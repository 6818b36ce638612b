//! What a files worker is asked to do that may take long: begun, carried out, ended early if nobody waits any more.
//!
//! A task works on many files at once, so that their names and attributes need not travel one by one.

use serde::{Deserialize, Serialize};

use crate::{ArchiveFormat, BadArchive, FileAttributes, FileEntry, Place, SitePath, bytes};

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
    /// Writes files and directories, with all that is in them, into an archive. Answered by [`FileTaskDone::Worked`].
    Archive {
        /// The root of all of them.
        root: SitePath,
        /// Which. Each is named in the archive as it is in its directory.
        from: Vec<SitePath>,
        /// The archive, beneath the same root; nothing must be there.
        to: SitePath,
        /// How it is written.
        format: ArchiveFormat,
    },
    /// Writes all that is in a directory as a zip into a pipe, whose descriptor comes with it. Answered by
    /// [`FileTaskDone::Worked`]; the pipe is closed then.
    Zip {
        /// Which directory.
        from: Place,
    },
    /// Extracts an archive into a new directory. Answered by [`FileTaskDone::Worked`] or [`FileTaskDone::Refused`].
    Extract {
        /// The archive.
        from: Place,
        /// The directory; nothing must be there.
        to: Place,
    },
    /// Searches beneath a directory. Answered by [`FileTaskDone::Found`].
    Search(FileSearch),
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSearch {
    /// Beneath which directory.
    pub at: Place,
    /// What names have to be like: a part of them, or all of them where it holds `*` or `?`. Never by case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What files have to hold in one of their lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether upper and lower case differ in what files hold.
    pub is_case_sensitive: bool,
    /// How many are found at most.
    pub limit: u32,
}

/// A file, directory or link that was searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFound {
    /// Where, relative to the directory that was searched.
    pub path: SitePath,
    /// Of the entry itself.
    pub attributes: FileAttributes,
    /// The first line that holds what files have to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<FileLine>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLine {
    /// Its number, from 1.
    pub number: u64,
    /// A part of it that holds what was searched for; what is no text in it is replaced.
    pub text: String,
}

/// Why a search ended before it had looked at everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// As many were found as were asked for.
    Limit,
    /// It had taken as long as it may.
    Time,
    /// It had looked at as many entries as it may.
    Entries,
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
    /// An archive is none that is extracted.
    Refused(BadArchive),
    /// What was found; the next ones come when it is carried out again.
    Found {
        /// In the order of the file system.
        items: Vec<FileFound>,
        /// How many files and directories were not looked into, because they cannot be read or are too large.
        left_out: u64,
        /// Why it ended early, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<SearchEnd>,
        /// Whether these are the last ones.
        is_over: bool,
    },
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
