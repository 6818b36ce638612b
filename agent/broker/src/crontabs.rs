//! Crontabs of system users, which lie where only root gets to: opened here, read by whoever asked.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use latchkey_protocol::CRONTAB_MAX_BYTES;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Uid,
};

use crate::{refusal::Refusal, registry::Hosting, rights::RightsOf};

/// A crontab could not be opened for a reason of the system's.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the crontab of {user} in {directory:?}")]
struct CrontabError {
    action: &'static str,
    user: String,
    directory: PathBuf,
    #[source]
    source: Errno,
}

/// Opens the crontab of a hosting's system user for reading; `None` when it has none.
///
/// Its name comes from the registry, no link is followed, and what is there has to be a file of that user, at most
/// [`CRONTAB_MAX_BYTES`] long. Root only finds it: it is opened with that user's rights, so that nothing else can be read
/// this way and the broker needs no capability to pass over the modes of files.
pub(crate) fn open(directory: &Path, hosting: &Hosting) -> Result<Option<OwnedFd>, Refusal> {
    let failed = |action| {
        let (user, directory) = (hosting.system_user.clone(), directory.to_owned());
        move |source| Refusal::internal(&CrontabError { action, user, directory, source })
    };
    let Some(found) = find(directory, &hosting.system_user).map_err(failed("find"))? else { return Ok(None) };
    let facts = rustix::fs::fstat(&found).map_err(failed("look at"))?;
    if !FileType::from_raw_mode(facts.st_mode).is_file() {
        return Err(not_a_crontab("no regular file"));
    }
    if facts.st_uid != hosting.uid {
        return Err(not_a_crontab("somebody else's"));
    }
    if u64::try_from(facts.st_size).unwrap_or(u64::MAX) > CRONTAB_MAX_BYTES {
        return Err(not_a_crontab("too long"));
    }
    open_as(Uid::from_raw(hosting.uid), &found).map(Some).map_err(failed("open"))
}

/// A handle on the crontab of that name that cannot be read from yet; `None` when there is none, or no cron at all.
fn find(directory: &Path, user: &str) -> Result<Option<OwnedFd>, Errno> {
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match directory.and_then(|directory| rustix::fs::openat2(directory, user, flags, Mode::empty(), resolve)) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens for reading what the handle is of, with the rights of a user.
fn open_as(user: Uid, found: &OwnedFd) -> Result<OwnedFd, Errno> {
    let _rights = RightsOf::take(user)?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

fn not_a_crontab(what: &str) -> Refusal {
    Refusal::invalid(
        "hosting",
        format!("expected its crontab to be a file of its system user; what is there is {what}"),
    )
}
