//! What the files worker and the disk say, as problems for the caller.

use std::io;

use latchkey_files::client::FilesError;
use latchkey_protocol::FileFault;

use crate::problem::{Code, Problem};

/// Of something asked of the files worker about a path.
pub(crate) fn problem(error: FilesError) -> Problem {
    let FilesError::Fault(fault) = error else {
        return Problem::new(Code::Unavailable, "the files cannot be reached at the moment; try again");
    };
    let code = match fault {
        FileFault::NotFound => Code::NotFound,
        FileFault::Denied | FileFault::ReadOnly => Code::Forbidden,
        FileFault::Exists
        | FileFault::NotADirectory
        | FileFault::IsADirectory
        | FileFault::NotEmpty
        | FileFault::NotRegular
        | FileFault::Loop
        | FileFault::Changed
        | FileFault::OtherFileSystem => Code::Conflict,
        FileFault::NameTooLong | FileFault::Invalid => Code::Invalid,
        FileFault::QuotaExceeded | FileFault::DiskFull => Code::Quota,
        FileFault::TooLarge | FileFault::TooMuch => Code::TooLarge,
        FileFault::Busy => Code::Busy,
        FileFault::TimedOut => Code::TimedOut,
        FileFault::Ended | FileFault::Io => Code::Unavailable,
    };
    let problem = Problem::new(code, fault.to_string());
    match code {
        Code::Busy => problem.retry_after(1),
        Code::Invalid => Problem { field: Some("path".into()), ..problem },
        _ => problem,
    }
}

/// Of reading or writing a file that is open.
pub(crate) fn problem_of_write(error: &io::Error) -> Problem {
    let fault = match error.kind() {
        io::ErrorKind::StorageFull => FileFault::DiskFull,
        io::ErrorKind::QuotaExceeded => FileFault::QuotaExceeded,
        io::ErrorKind::FileTooLarge => FileFault::TooLarge,
        io::ErrorKind::ReadOnlyFilesystem => FileFault::ReadOnly,
        _ => {
            tracing::warn!(%error, "a file of a hosting could not be read or written");
            FileFault::Io
        }
    };
    problem(fault.into())
}
