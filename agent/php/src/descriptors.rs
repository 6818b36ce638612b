//! The three descriptors of a call: laid out for PHP, let go by the watching parent.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    io::FdFlags,
};

/// Why the descriptors are not as they have to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescriptorsError {
    #[error("descriptor 3 is taken already")]
    Taken,
    #[error("cannot {action}")]
    Arrange {
        action: &'static str,
        #[source]
        source: rustix::io::Errno,
    },
}

/// Makes the reply descriptor 3 and standard output the log. What is returned is descriptor 3; it stays open in PHP.
pub(crate) fn arrange() -> Result<OwnedFd, DescriptorsError> {
    let reply = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).map_err(arranging("move the reply"))?;
    if reply.as_raw_fd() != 3 {
        return Err(DescriptorsError::Taken);
    }
    rustix::io::fcntl_setfd(&reply, FdFlags::empty()).map_err(arranging("hand the reply to PHP"))?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).map_err(arranging("make the log standard output"))?;
    Ok(reply)
}

/// In the parent: lets go of the request, so that only PHP's side holds it. The log stays for own failures.
pub(crate) fn let_go() -> Result<(), DescriptorsError> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(arranging("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(arranging("let go of the request"))
}

fn arranging(action: &'static str) -> impl Fn(rustix::io::Errno) -> DescriptorsError {
    move |source| DescriptorsError::Arrange { action, source }
}
