//! Logs of hostings, opened for reading and handed to whoever asked.
//!
//! Which log is about which site serve knows. Here only this counts: the file lies beneath a root that the operator lists,
//! for this hosting where the root says so, it is reached through no link, and it belongs to the hosting's user or to an
//! account of the system.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Uid,
};

use crate::{
    config::{Config, is_plain_absolute},
    log_roots::LogRoot,
    refusal::Refusal,
    registry::Hosting,
    rights,
};

/// The longest path that is taken, as the kernel's.
const PATH_MAX_BYTES: usize = 4095;

/// Where logs are, and which users are no accounts of the system.
#[derive(Debug)]
pub(crate) struct Logs {
    roots: Vec<LogRoot>,
    min_uid: u32,
}

/// A log could not be opened for a reason of the system's.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the log {path:?}")]
struct LogError {
    action: &'static str,
    path: String,
    #[source]
    source: Errno,
}

impl Logs {
    /// Beneath the roots of the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self { roots: config.log_roots.clone(), min_uid: config.min_uid }
    }

    /// Opens a log for reading; `None` when there is no such file.
    ///
    /// Nothing but a regular file with one name is opened. Root only finds it: it is opened with the rights of whom it
    /// belongs to, so that the broker needs no capability to pass over the modes of files.
    pub(crate) fn open(&self, hosting: &Hosting, path: &str) -> Result<Option<OwnedFd>, Refusal> {
        if path.len() > PATH_MAX_BYTES || path.contains('\0') || !is_plain_absolute(Path::new(path)) {
            return Err(Refusal::invalid("path", "expected it absolute, without '.', '..' or a trailing slash"));
        }
        let mut places = self.roots.iter().filter_map(|root| root.split(hosting, Path::new(path)));
        let beneath =
            "expected it beneath one of log_roots of the broker's configuration, and in this hosting's part of it";
        let (root, inner) = places.next().ok_or_else(|| Refusal::invalid("path", beneath))?;
        let failed = |action| move |source| Refusal::internal(&LogError { action, path: path.to_owned(), source });
        let Some(found) = find(root, inner)? else { return Ok(None) };
        let facts = rustix::fs::fstat(&found).map_err(failed("look at"))?;
        if !FileType::from_raw_mode(facts.st_mode).is_file() {
            return Err(not_a_log("no regular file"));
        }
        if facts.st_nlink != 1 {
            return Err(not_a_log("a file with several names, or none any more"));
        }
        if facts.st_uid != hosting.uid && facts.st_uid >= self.min_uid {
            return Err(not_a_log("somebody else's"));
        }
        rights::open_as(Uid::from_raw(facts.st_uid), &found).map(Some).map_err(failed("open"))
    }
}

/// A handle on the file that cannot be read from yet; `None` when there is none.
fn find(root: &Path, inner: &Path) -> Result<Option<OwnedFd>, Refusal> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match root.and_then(|root| rustix::fs::openat2(root, inner, flags, Mode::empty(), resolve)) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP | Errno::XDEV) => Err(not_a_log("behind a symbolic link")),
        Err(Errno::NAMETOOLONG) => Err(not_a_log("no name that a file has")),
        Err(Errno::ACCESS) => Err(not_a_log("in a directory that root's own rights do not lead into")),
        Err(source) => {
            let (action, path) = ("find", inner.to_string_lossy().into_owned());
            Err(Refusal::internal(&LogError { action, path, source }))
        }
    }
}

fn not_a_log(what: &str) -> Refusal {
    let expected = "expected a regular file with one name, of the hosting's system user or of an account of the system";
    Refusal::invalid("path", format!("{expected}; what is there is {what}"))
}
