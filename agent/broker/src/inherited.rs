//! Descriptors that the broker is started with: the socket of the service manager (`sd_listen_fds(3)`), and strays.
#![allow(unsafe_code, reason = "a descriptor that was inherited by number can be owned in no safe way")]

use std::{
    fs,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use rustix::io::FdFlags;

/// The number of the first descriptor that the service manager hands over.
const FIRST: RawFd = 3;

/// Marks everything above standard error close-on-exec, so that no worker gets it, and takes the socket that was handed
/// over, if exactly one was. Call it once, before any descriptor is opened.
pub fn take_socket() -> Option<OwnedFd> {
    let strays = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let strays: Vec<RawFd> = strays.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in strays.into_iter().filter(|number| *number >= FIRST) {
        // SAFETY: only a flag is changed, through a borrow that ends here; a number that is closed by now gives an error.
        let _ = rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC);
    }
    let number = |key: &str| std::env::var_os(key)?.to_str()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) || number("LISTEN_FDS") != Some(1) {
        return None;
    }
    // SAFETY: the service manager promises this process that descriptor 3 is open and its own, and this is called once
    // and first, so nothing else in the process owns that number.
    Some(unsafe { OwnedFd::from_raw_fd(FIRST) })
}
