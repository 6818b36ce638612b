//! What an error of the kernel means to whoever asked.

use latchkey_protocol::FileFault;
use rustix::io::Errno;

/// Of a system call on one component, or on a descriptor.
pub(super) fn fault(error: Errno) -> FileFault {
    match error {
        Errno::NOENT => FileFault::NotFound,
        Errno::ACCESS | Errno::PERM => FileFault::Denied,
        Errno::EXIST => FileFault::Exists,
        Errno::NOTDIR => FileFault::NotADirectory,
        Errno::ISDIR => FileFault::IsADirectory,
        Errno::NOTEMPTY => FileFault::NotEmpty,
        Errno::NXIO | Errno::NODEV => FileFault::NotRegular,
        Errno::DQUOT => FileFault::QuotaExceeded,
        Errno::NOSPC => FileFault::DiskFull,
        Errno::ROFS => FileFault::ReadOnly,
        Errno::FBIG | Errno::OVERFLOW => FileFault::TooLarge,
        Errno::NAMETOOLONG => FileFault::NameTooLong,
        Errno::LOOP => FileFault::Loop,
        Errno::XDEV => FileFault::OtherFileSystem,
        Errno::AGAIN | Errno::BUSY | Errno::TXTBSY | Errno::MFILE | Errno::NFILE | Errno::NOMEM => FileFault::Busy,
        Errno::INVAL | Errno::OPNOTSUPP => FileFault::Invalid,
        _ => FileFault::Io,
    }
}

/// Of resolving a path: what leads out of the root is denied.
pub(super) fn fault_of_path(error: Errno) -> FileFault {
    match error {
        Errno::XDEV => FileFault::Denied,
        other => fault(other),
    }
}
