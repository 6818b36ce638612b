//! What the runner gives up, in the order in which it has to: see `main.rs`.
//!
//! What is left: to compute, to wait, and to speak on sockets that it is given.

use landlock::AccessNet;
use latchkey_confine::{
    filter::{self, FilterError, Otherwise},
    privileges::{self, PrivilegesError},
    rules::{Rules, RulesError},
};
use rustix::process::{Gid, Resource, Uid};

const MIB: u64 = 1024 * 1024;

/// Room for lanes.
const DESCRIPTORS: u64 = 64;

/// All that running components takes beside computing, once the threads run. Anything else ends the process.
const CALLS: &[i64] = &[
    // Lanes and calls.
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_getsockopt,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
];

/// Second: becomes a user without files, within limits, who lets serve go first. Whoever started it without being able to change users (an author,
/// who tries out an adapter) is that user already; all else is given up all the same.
///
/// No limit of address space: each memory of an instance reserves 4 GiB of it. `memory_bytes` bounds what is used. The
/// component's data becomes a file in memory once.
pub fn become_nobody(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    privileges::limit(&[
        (Resource::Data, 4096 * MIB),
        (Resource::Fsize, 256 * MIB),
        (Resource::Core, 0),
        (Resource::Nofile, DESCRIPTORS),
    ])?;
    privileges::let_others_go_first();
    privileges::drop_all_or_stay(uid, gid)
}

/// Third, before any thread, when the component is loaded: reaches no file and no port, and makes no more code.
/// Returns the ABI of Landlock in force.
pub fn keep_to_sockets(landlock_at_most: Option<i32>) -> Result<Option<i32>, RulesError> {
    Rules::new(landlock_at_most, AccessNet::BindTcp | AccessNet::ConnectTcp)?.apply()
}

/// Last, when all threads run: makes no system call but those that running components takes.
pub fn keep_to_calls() -> Result<(), FilterError> {
    // Looks once where the kernel has its clock, which takes a call of its own.
    let _now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    filter::allow_only_for_all_threads(&[filter::COMPUTING, CALLS].concat(), Otherwise::Killed)
}
