//! What the worker gives up, in the order in which it has to: see `main.rs`.
//!
//! What is left is what opening files of one home takes. Neither the program nor its threads can get anything back.

use landlock::{AccessFs, AccessNet};
use latchkey_confine::{
    descriptors::{self, InheritedError},
    filter::{self, FilterError, Otherwise},
    privileges::{self, PrivilegesError},
    rules::{Rules, RulesError},
};
use rustix::{
    fs::Mode,
    process::{Gid, Resource, Uid},
};

use crate::worker::Home;

const MIB: u64 = 1024 * 1024;

/// The largest size that a file can be given without writing to it.
pub const FILE_MAX_BYTES: u64 = 1024 * 1024 * MIB;

/// Room beneath the limit of the frames' descriptors, of directories and of deleting.
const DESCRIPTORS: u64 = 1024;

/// All that answering requests takes beside computing, once the threads run.
///
/// A call that is missing is answered with EPERM, as by a kernel that lacks it: a newer C library may try one.
const CALLS: &[i64] = &[
    // Requests and answers; the log.
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_write,
    // What tasks read and write, in files that they have opened.
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_copy_file_range,
    // How long a task goes on, where the kernel maps no clock.
    libc::SYS_clock_gettime,
    // Paths and directories.
    libc::SYS_openat2,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    // Changes.
    libc::SYS_ftruncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    libc::SYS_utimensat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
];

/// First: forgets what was inherited, and hides the memory.
pub fn forget_inherited() -> Result<(), ForgetError> {
    descriptors::close_strays()?;
    descriptors::survive_large_files()?;
    Ok(privileges::hide_memory()?)
}

/// Why something inherited is still there.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Descriptors or signals.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] PrivilegesError),
}

/// Second: becomes the system user, within limits. Files are made as PHP expects them: 0644 and 0755 at most.
pub fn become_user(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    privileges::limit(&[
        // Address space: each thread's memory allocator reserves some.
        (Resource::As, 4096 * MIB),
        (Resource::Data, 256 * MIB),
        (Resource::Fsize, FILE_MAX_BYTES),
        (Resource::Core, 0),
        (Resource::Nofile, DESCRIPTORS),
    ])?;
    privileges::drop_all(uid, gid)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Third, before any thread: reaches nothing but the home. Returns the ABI of Landlock in force.
///
/// Nothing is executed there, and no device, socket or pipe is made.
pub fn keep_to(home: &Home, landlock_at_most: Option<i32>) -> Result<Option<i32>, RulesError> {
    let mut rules = Rules::new(landlock_at_most, AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    let refused = AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::IoctlDev;
    let allowed = rules.all() & !refused;
    rules.allow(home.directory(), allowed)?;
    rules.apply()
}

/// Last, when all threads run: makes no system call but those that answering takes.
pub fn keep_to_calls() -> Result<(), FilterError> {
    filter::allow_only_for_all_threads(&[filter::COMPUTING, CALLS].concat(), Otherwise::Refused)
}
