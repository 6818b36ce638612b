//! Descriptors and signals that a worker inherited, and executable memory: the system calls that need `unsafe`.
#![allow(unsafe_code, reason = "close_range, signal and this prctl have no safe form")]

use std::io;

/// Why something inherited is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct InheritedError {
    action: &'static str,
    #[source]
    source: io::Error,
}

/// Closes every descriptor but 0, 1 and 2. Call it before any other is opened.
pub fn close_strays() -> Result<(), InheritedError> {
    // SAFETY: nothing in this process owns a descriptor above 2 yet; what is open was inherited by number.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if result == 0 { Ok(()) } else { Err(failed("close inherited descriptors")) }
}

/// Has a file that would become too large answered with an error, instead of ending the process.
pub fn survive_large_files() -> Result<(), InheritedError> {
    // SAFETY: to ignore a signal runs no code of ours.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(failed("ignore SIGXFSZ")) } else { Ok(()) }
}

/// Refuses memory that could be written to ever to be executed: no new code. What is executable already stays so.
///
/// A kernel before 6.3 does not know it, which changes nothing.
pub fn refuse_new_code() -> Result<(), InheritedError> {
    const SET_MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    // SAFETY: takes numbers only, and takes rights away.
    let result = unsafe { libc::prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0_u64, 0_u64, 0_u64) };
    let unknown = || io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
    if result == 0 || unknown() { Ok(()) } else { Err(failed("refuse new code")) }
}

fn failed(action: &'static str) -> InheritedError {
    InheritedError { action, source: io::Error::last_os_error() }
}
