//! What serve asks of the files worker of a hosting, and what the worker answers.
//!
//! One connection carries many requests, each with a number of its own; answers may come in any order. Bytes of files do
//! not travel here: the worker answers with an open descriptor of a regular file, and serve checks it again.

use serde::{Deserialize, Serialize};

use crate::{FileTask, FileTaskDone, SitePath, bytes};

/// The folder of a home that holds what serve keeps there for a while. No archive and no search has it.
pub const HIDDEN_FOLDER: &[u8] = b".latchkey";

/// A request to the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAsked {
    /// Which one; the answer repeats it.
    pub number: u64,
    /// What is asked.
    pub request: FileRequest,
}

/// An answer of the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAnswered {
    /// The number of the request.
    pub number: u64,
    /// What came of it.
    pub reply: FileReply,
}

/// Where something is: a path beneath a root beneath the hosting's home. No link leads out of the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The root, relative to the home; no part of it may be a symbolic link.
    pub root: SitePath,
    /// Relative to the root.
    pub path: SitePath,
}

/// What serve may ask of a files worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileRequest {
    /// Opens a regular file. Answered by [`FileReply::Opened`] with its descriptor.
    Open {
        /// Which.
        at: Place,
        /// How.
        how: OpenHow,
    },
    /// Opens a new file without a name, to be written and then published in place of what `at` leads to: a regular file
    /// that may be written, or nothing yet. Answered by [`FileReply::OpenedUnnamed`] with its descriptor; nothing is left
    /// of it when all its descriptors are closed.
    OpenUnnamed {
        /// What it is going to be called.
        at: Place,
        /// The mode of a new file, before the umask; a file that is there keeps its own.
        mode: u32,
    },
    /// Gives an unnamed file its name, atomically, in place of what is there. Carries its descriptor. Answered by [`FileReply::Done`].
    Publish {
        /// Where.
        at: Place,
    },
    /// Attributes. Answered by [`FileReply::Attributes`].
    Stat {
        /// Of what.
        at: Place,
        /// Of a link or of what it points at.
        links: Links,
    },
    /// Changes attributes. Answered by [`FileReply::Done`].
    SetAttributes {
        /// Of what.
        at: Place,
        /// Of a link or of what it points at.
        links: Links,
        /// To what.
        changes: AttributeChanges,
    },
    /// Changes attributes of an open file. Carries its descriptor. Answered by [`FileReply::Done`].
    SetOpenAttributes {
        /// To what.
        changes: AttributeChanges,
    },
    /// Opens a directory for reading. Answered by [`FileReply::Directory`].
    OpenDirectory {
        /// Which.
        at: Place,
    },
    /// The next entries of an open directory. Answered by [`FileReply::Entries`]; none: it is at its end.
    ReadDirectory {
        /// Its number.
        directory: u64,
    },
    /// Closes a directory. Answered by [`FileReply::Done`].
    CloseDirectory {
        /// Its number.
        directory: u64,
    },
    /// Makes a directory. Answered by [`FileReply::Done`].
    MakeDirectory {
        /// Where.
        at: Place,
        /// Its mode, before the umask.
        mode: u32,
    },
    /// Removes an empty directory. Answered by [`FileReply::Done`].
    RemoveDirectory {
        /// Which.
        at: Place,
    },
    /// Removes a file or a link. Answered by [`FileReply::Done`].
    RemoveFile {
        /// Which.
        at: Place,
    },
    /// Removes whatever it is, a directory with all that is in it; follows no link. Answered by [`FileReply::Done`].
    RemoveAll {
        /// Which.
        at: Place,
    },
    /// Renames. Both places have the same root. Answered by [`FileReply::Done`].
    Rename {
        /// What.
        from: Place,
        /// To what.
        to: Place,
        /// What happens to something that is there.
        existing: Existing,
    },
    /// Makes a hard link to a regular file. Both places have the same root. Answered by [`FileReply::Done`].
    HardLink {
        /// To what.
        from: Place,
        /// Its new name.
        to: Place,
    },
    /// Makes a symbolic link, which may only point to within the root. Answered by [`FileReply::Done`].
    SymbolicLink {
        /// Where.
        at: Place,
        /// What it says.
        #[serde(with = "bytes")]
        target: Vec<u8>,
    },
    /// What a symbolic link says. Answered by [`FileReply::Link`].
    ReadLink {
        /// Which.
        at: Place,
    },
    /// The path with all links followed; its last component may be missing. Answered by [`FileReply::Path`].
    Resolve {
        /// Of what.
        at: Place,
    },
    /// Room on the file system. Answered by [`FileReply::Space`].
    StatFileSystem {
        /// Of what.
        at: Place,
    },
    /// Begins a walk through all that is beneath a directory, to add up how long its files are. Answered by
    /// [`FileReply::Walk`].
    BeginWalk {
        /// Which.
        at: Place,
    },
    /// Goes on with a walk for some thousand entries. Answered by [`FileReply::Walked`].
    GoOnWalking {
        /// Its number.
        walk: u64,
    },
    /// Ends a walk. Answered by [`FileReply::Done`].
    EndWalk {
        /// Its number.
        walk: u64,
    },
    /// Takes a task on. Carries the descriptor that it writes to, if it writes to one. Answered by [`FileReply::Task`].
    BeginTask {
        /// What is to be done.
        task: FileTask,
    },
    /// Carries a task out, or goes on telling what came of it. Answered by [`FileReply::TaskDone`].
    CarryOutTask {
        /// Its number.
        task: u64,
    },
    /// Ends a task, also while it is carried out. Answered by [`FileReply::Done`].
    EndTask {
        /// Its number.
        task: u64,
    },
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenHow {
    /// For what.
    pub access: FileAccessMode,
    /// Whether each write goes to the end.
    pub append: bool,
    /// What happens if it is there, or is not.
    pub creation: Creation,
    /// The mode of a new file, before the umask.
    pub mode: u32,
}

/// What a descriptor may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAccessMode {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

/// What happens on opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// It has to be there.
    Existing,
    /// It has to be there, and loses its content.
    Truncate,
    /// It is made if it is not there.
    Create,
    /// It is made if it is not there, and loses its content if it is.
    CreateOrTruncate,
    /// It must not be there.
    New,
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// It is followed.
    Followed,
    /// It is meant itself.
    Meant,
}

/// What a rename does with something of the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// It is refused.
    Refused,
    /// It is replaced, atomically.
    Replaced,
}

/// Attributes to change; what is absent stays. Owners never change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeChanges {
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permission bits, `0o7777`; set-user-id and set-group-id are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Times of last access and of last change, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<(i64, i64)>,
}

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileReply {
    /// It is done.
    Done,
    /// An open regular file. Carries its descriptor.
    Opened,
    /// A new file without a name. Carries its descriptor.
    OpenedUnnamed {
        /// What it is going to be called, with all links followed.
        path: SitePath,
    },
    /// Attributes.
    Attributes(FileAttributes),
    /// An open directory.
    Directory {
        /// Its number on this connection.
        directory: u64,
    },
    /// Entries of a directory, without `.` and `..`; none: it is at its end.
    Entries {
        /// In the order of the file system.
        items: Vec<FileEntry>,
    },
    /// What a symbolic link says.
    Link {
        /// Its bytes.
        #[serde(with = "bytes")]
        target: Vec<u8>,
    },
    /// A path relative to the root.
    Path {
        /// With all links followed.
        path: SitePath,
    },
    /// Room on the file system.
    Space(FileSystemSpace),
    /// A walk that has begun.
    Walk {
        /// Its number on this connection.
        walk: u64,
    },
    /// How far a walk has come.
    Walked(Walked),
    /// A task that was taken on.
    Task {
        /// Its number on this connection.
        task: u64,
    },
    /// What came of a task.
    TaskDone(FileTaskDone),
    /// Nothing was done, or not all of it.
    Failed {
        /// Why.
        fault: FileFault,
    },
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAttributes {
    /// Kind and permission bits, as `st_mode`.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Time of last access, in seconds since 1970.
    pub accessed: i64,
    /// Time of last change of the content, in seconds since 1970.
    pub modified: i64,
    /// How many names it has.
    pub links: u64,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    #[serde(with = "bytes")]
    pub name: Vec<u8>,
    /// Of the entry itself: links are not followed.
    pub attributes: FileAttributes,
}

/// Room on a file system, as `statvfs` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystemSpace {
    /// Size of a block in bytes.
    pub block_size: u64,
    /// Size of a fragment in bytes, the unit of the next three.
    pub fragment_size: u64,
    /// All of them.
    pub blocks: u64,
    /// Free ones.
    pub blocks_free: u64,
    /// Those free for this user.
    pub blocks_available: u64,
    /// All inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Inodes free for this user.
    pub files_available: u64,
    /// Longest name in bytes.
    pub name_max: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// What a walk has added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walked {
    /// How long all regular files are that it has met, in bytes; one with several names counts once.
    pub bytes: u64,
    /// Whether there is no more.
    pub is_over: bool,
}

/// Why something was not done. What a client is told follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// There is nothing of that name.
    #[error("there is no such file or directory")]
    NotFound,
    /// The system user may not, or it leads out of the root.
    #[error("this is not allowed here")]
    Denied,
    /// Something of that name is there.
    #[error("something of that name is there already")]
    Exists,
    /// It is not a directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// It is a directory.
    #[error("it is a directory")]
    IsADirectory,
    /// The directory is not empty.
    #[error("the directory is not empty")]
    NotEmpty,
    /// It is no regular file: a device, a pipe, a socket.
    #[error("it is no regular file")]
    NotRegular,
    /// The system user's quota is used up.
    #[error("the disk quota of this hosting is used up")]
    QuotaExceeded,
    /// The file system is full.
    #[error("the disk is full")]
    DiskFull,
    /// The file system is mounted read-only.
    #[error("the file system is read-only")]
    ReadOnly,
    /// Larger than the file system or the worker allows.
    #[error("the file would be too large")]
    TooLarge,
    /// A name is too long.
    #[error("the name is too long")]
    NameTooLong,
    /// Links that lead in a circle.
    #[error("too many symbolic links")]
    Loop,
    /// Between two file systems.
    #[error("it is on another file system")]
    OtherFileSystem,
    /// Too many are open, or there was a race that did not end.
    #[error("too much is going on; try again")]
    Busy,
    /// The request makes no sense.
    #[error("the request makes no sense")]
    Invalid,
    /// It was ended before it was done.
    #[error("it was ended before it was done")]
    Ended,
    /// It took longer than a task may.
    #[error("it took too long")]
    TimedOut,
    /// A file became shorter while it was read.
    #[error("a file in it became shorter while it was read; try again")]
    Changed,
    /// More entries, or deeper ones, than a task works on.
    #[error("there is too much in it")]
    TooMuch,
    /// The disk failed, or something else that nobody expected.
    #[error("an input or output error")]
    Io,
}
