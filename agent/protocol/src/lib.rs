//! Frames between the processes of the agent: what they say and how they travel.
//!
//! One connection carries one [`Request`], with the id of what it is part of, and one [`Reply`]. A frame is one message of a `SOCK_SEQPACKET` Unix
//! socket: JSON of at most [`FRAME_MAX_BYTES`] with at most [`DESCRIPTORS_MAX`] descriptors beside it. Whatever is
//! malformed is an error after which the peer has to be dropped. What a request may do is decided in the broker,
//! not here.
//!
//! All of them tell errors in the same way: [`chain()`].

mod audit_head;
mod bytes;
mod chain;
mod command;
mod config_file;
mod cron;
mod file_archives;
mod file_tasks;
mod files;
mod frame;
mod ftp;
mod listener;
mod message;
mod php_exit;
mod sealed;
mod site_path;
mod text_fault;

pub use audit_head::{NoHead, RecordedHead, is_sha256};
pub use chain::chain;
pub use command::{
    COMMAND_DEADLINE_MAX_MS, COMMAND_STDERR_MAX_BYTES, COMMAND_STDOUT_MAX_BYTES, CommandArgument, CommandCall,
    CommandEnd, CommandSecret,
};
pub use config_file::{
    CONFIG_FILE_MAX_BYTES, CONFIG_FILE_NAME_MAX_BYTES, CONFIG_FILES_MAX, ConfigFileCall, ConfigFileCame, ConfigFileWish,
};
pub use cron::{CRON_COMMAND_MAX_BYTES, CRON_RUN_DEADLINE_MAX_MS, CronRun};
pub use file_archives::{ArchiveFlaw, ArchiveFormat, BadArchive};
pub use file_tasks::{
    FileFound, FileLine, FileListing, FileMark, FileOrder, FileSearch, FileTask, FileTaskDone, FileWork, SearchEnd,
};
pub use files::{
    AttributeChanges, Creation, Existing, FileAccessMode, FileAnswered, FileAsked, FileAttributes, FileEntry,
    FileFault, FileReply, FileRequest, FileSystemSpace, HIDDEN_FOLDER, Links, OpenHow, Place, Walked,
};
pub use frame::{DESCRIPTORS_MAX, FRAME_MAX_BYTES, FrameError, FrameSocket};
pub use ftp::{FtpAnswered, FtpAsked, FtpDeed, FtpDid, FtpPassword, FtpSignIn};
pub use listener::FrameListener;
pub use message::{
    AUDIT_HEADS_MAX, Asked, COMPONENT_MAX_BYTES, CRONTAB_MAX_BYTES, CRONTAB_TEXT_MAX_BYTES, Confinement,
    HostingRegistration, PHP_DEADLINE_MAX_MS, PhpCall, PhpEnd, Purpose, RefusalCode, RegisteredHosting, Reply, Request,
};
pub use php_exit::PHP_NOT_STARTED;
pub use sealed::{SealedError, read_sealed, seal_text};
pub use site_path::{NAME_MAX_BYTES, SITE_PATH_MAX_BYTES, SitePath, SitePathError};
pub use text_fault::TextFault;
