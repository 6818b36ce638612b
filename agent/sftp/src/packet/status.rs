//! Status codes of SFTP version 3, and which of them a fault of the files worker is.

use std::io;

use latchkey_files::client::FilesError;
use latchkey_protocol::FileFault;
use rustix::io::Errno;

/// What a STATUS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Done,
    EndOfFile,
    Fault(FileFault),
    /// As many MiB as the account may have are used up.
    QuotaUsedUp {
        mib: u32,
    },
    /// Nobody knows how much of the account's quota is used.
    NotMeasured(FileFault),
    /// The account may only read.
    ReadOnlyAccount,
    /// Owners never change.
    OwnersStay,
    /// The handle is none, or is of the wrong kind.
    BadHandle,
    /// The file was not opened for this: reading or writing.
    NotOpenedForThis,
    TooManyHandles,
    Unsupported,
    /// The name is no path.
    BadName,
    /// The files worker is gone.
    Unavailable,
}

impl Status {
    /// The code: version 3 knows nine.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::EndOfFile => 1,
            // As OpenSSH answers EBADF.
            Self::Fault(FileFault::NotFound) | Self::NotOpenedForThis => 2,
            Self::Fault(FileFault::Denied | FileFault::ReadOnly) | Self::ReadOnlyAccount | Self::OwnersStay => 3,
            Self::Unsupported => 8,
            Self::Fault(_)
            | Self::QuotaUsedUp { .. }
            | Self::NotMeasured(_)
            | Self::BadHandle
            | Self::TooManyHandles
            | Self::BadName
            | Self::Unavailable => 4,
        }
    }

    /// A sentence for whoever sits at the client.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Done => "Success".into(),
            Self::EndOfFile => "End of file".into(),
            Self::Fault(FileFault::NotFound) => "No such file".into(),
            Self::Fault(fault) => sentence(&fault.to_string()),
            Self::QuotaUsedUp { mib } => format!("The quota of {mib} MiB of this account is used up"),
            Self::NotMeasured(FileFault::Denied) => {
                "A folder here cannot be read, so nobody knows how much of the quota is used".into()
            }
            Self::NotMeasured(FileFault::TooLarge) => {
                "Folders here are too deep, so nobody knows how much of the quota is used".into()
            }
            Self::NotMeasured(_) => "How much of the quota is used is not known at the moment; try again".into(),
            Self::ReadOnlyAccount => "This account may only read".into(),
            Self::OwnersStay => "Owners cannot be changed here".into(),
            Self::BadHandle => "No such handle".into(),
            Self::NotOpenedForThis => "The file was not opened for this".into(),
            Self::TooManyHandles => "Too many open files; close some first".into(),
            Self::Unsupported => "Operation unsupported".into(),
            Self::BadName => "The name is too long or holds a zero byte".into(),
            Self::Unavailable => "The files cannot be reached at the moment; try again".into(),
        }
    }
}

impl From<FilesError> for Status {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Fault(fault) => Self::Fault(fault),
            FilesError::Gone => Self::Unavailable,
        }
    }
}

impl From<Errno> for Status {
    /// Of a system call on a file that is open.
    fn from(error: Errno) -> Self {
        Self::Fault(match error {
            Errno::NOSPC => FileFault::DiskFull,
            Errno::DQUOT => FileFault::QuotaExceeded,
            Errno::FBIG | Errno::OVERFLOW => FileFault::TooLarge,
            Errno::ROFS => FileFault::ReadOnly,
            Errno::ACCESS | Errno::PERM => FileFault::Denied,
            Errno::INVAL => FileFault::Invalid,
            _ => FileFault::Io,
        })
    }
}

impl From<io::Error> for Status {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or(Self::Fault(FileFault::Io), Self::from)
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_say_so() {
        for (fault, code, text) in [
            (FileFault::DiskFull, 4, "The disk is full"),
            (FileFault::QuotaExceeded, 4, "The disk quota of this hosting is used up"),
            (FileFault::NotFound, 2, "No such file"),
            (FileFault::Denied, 3, "This is not allowed here"),
            (FileFault::Exists, 4, "Something of that name is there already"),
        ] {
            assert_eq!((Status::Fault(fault).code(), Status::Fault(fault).text().as_str()), (code, text));
        }
    }
}
