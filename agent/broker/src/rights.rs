//! Doing something with the rights of a hosting's user, so that root's rights open nothing for it.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    process::Uid,
};

/// This thread's effective user is another one until this is dropped. Its real user stays root, so that the other can
/// neither signal nor trace it.
pub(crate) struct RightsOf;

impl RightsOf {
    /// Takes the rights of a user.
    pub(crate) fn take(user: Uid) -> Result<RightsOf, Errno> {
        rustix::thread::set_thread_res_uid(Uid::ROOT, user, Uid::ROOT)?;
        Ok(RightsOf)
    }
}

/// Opens for reading what a handle on a path is of, with the rights of a user.
pub(crate) fn open_as(user: Uid, found: &OwnedFd) -> Result<OwnedFd, Errno> {
    let _rights = RightsOf::take(user)?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

impl Drop for RightsOf {
    fn drop(&mut self) {
        if rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_err() {
            // A process of root's that is not root in one of its threads would refuse what it is there for.
            std::process::abort();
        }
    }
}
