//! Quotas of FTP accounts: the FTP server counts, on from what the folder's `.ftpquota` says, and this sets it right.
//!
//! pure-ftpd adds what it stores and takes off what it deletes, and nobody else does. So the folder is measured when an
//! account signs in that has no session. While it has one the server's own count goes on: a sum that held half an upload
//! would come out too large by that half, and the server deletes what it finds too much.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latchkey_access::HostingId;
use latchkey_files::client::FilesError;
use latchkey_files::tree::Tree;
use latchkey_protocol::{Creation, FileAccessMode, FileFault, Links, OpenHow, SitePath, SitePathError};
use tokio::task::JoinError;

use crate::accounts::QuotaMib;
use crate::file_manager::FileKind;
use crate::files::FilesUnavailable;
use crate::request::spawn_blocking;
use crate::serve::Serve;

/// Where the FTP server counts. It lets none of its own clients touch it.
const COUNT: &[u8] = b".ftpquota";

/// A longer measurement is given up, before ftpauth gives up waiting.
const MEASURE_MAX: Duration = Duration::from_secs(8);

/// The accounts with a quota that have sessions.
#[derive(Default)]
pub(crate) struct FtpQuotas(Mutex<HashMap<String, Sessions>>);

/// Those of an account.
#[derive(Default)]
struct Sessions {
    open: usize,
    count: Arc<tokio::sync::Mutex<Count>>,
}

/// What the count of an account is, since it has sessions.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// That of an earlier session, or nothing.
    #[default]
    Unknown,
    /// Set right, and kept by the server.
    Right,
}

/// A session of an account with a quota, as long as it is.
pub(crate) struct Counting {
    quotas: Arc<FtpQuotas>,
    login: String,
}

/// Why nothing can be counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountError {
    /// There is no files worker.
    #[error("the folder cannot be reached")]
    Unavailable(#[from] FilesUnavailable),
    /// The worker refuses.
    #[error("`.ftpquota` cannot be set right")]
    Files(#[from] FilesError),
    /// The count cannot be written.
    #[error("`.ftpquota` cannot be written")]
    Write(#[source] io::Error),
    /// Writing was cut off.
    #[error("writing `.ftpquota` was cut off")]
    CutOff(#[from] JoinError),
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] SitePathError),
}

impl FtpQuotas {
    /// Has the FTP server count for a new session: how many bytes it is to allow.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        serve: &Serve,
        login: &str,
        (hosting, root): (&HostingId, &SitePath),
        quota: QuotaMib,
    ) -> Result<(u64, Counting), CountError> {
        let count = {
            let mut accounts = self.accounts();
            let sessions = accounts.entry(login.to_owned()).or_default();
            sessions.open += 1;
            Arc::clone(&sessions.count)
        };
        let counting = Counting { quotas: Arc::clone(self), login: login.to_owned() };
        let tree = serve.files.tree(hosting, root.clone()).await?;
        // Who signs in meanwhile waits for what comes of it.
        let mut count = count.lock().await;
        let bytes = allowed(&tree, quota.bytes(), *count).await?;
        *count = Count::Right;
        Ok((bytes, counting))
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Sessions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let mut accounts = self.quotas.accounts();
        if let Some(sessions) = accounts.get_mut(&self.login) {
            sessions.open -= 1;
            if sessions.open == 0 {
                accounts.remove(&self.login);
            }
        }
    }
}

/// How many bytes the server is to allow, after its count was set right if nobody keeps it so.
async fn allowed(tree: &Tree, limit: u64, count: Count) -> Result<u64, CountError> {
    let path = SitePath::parse(COUNT)?;
    let is_there = tree.stat(&path, Links::Meant).await.is_ok_and(|found| FileKind::of(&found) == FileKind::File);
    if count == Count::Right && is_there {
        return Ok(limit);
    }
    let used = match tokio::time::timeout(MEASURE_MAX, tree.measure()).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(FilesError::Gone)) => return Err(FilesError::Gone.into()),
        // Nobody knows, so nothing is stored; what is there can be read and removed.
        Ok(Err(FilesError::Fault(_))) | Err(_) => limit.saturating_add(1),
    };
    match tree.remove_file(&path).await {
        Ok(()) | Err(FilesError::Fault(FileFault::NotFound)) => {}
        Err(error) => return Err(error.into()),
    }
    match write(tree, &path, used).await {
        Ok(()) => Ok(limit),
        // The server begins at nothing then.
        Err(error) if error.is_lack_of_room() => Ok(limit.saturating_sub(used)),
        Err(error) => Err(error),
    }
}

/// Writes the count as the server does: how many files, which nobody limits, and how many bytes.
async fn write(tree: &Tree, path: &SitePath, bytes: u64) -> Result<(), CountError> {
    let how = OpenHow { access: FileAccessMode::Write, append: false, creation: Creation::New, mode: 0o600 };
    let file = tree.open(path, how).await?;
    let written = spawn_blocking(move || file.file().write_all(format!("0 {bytes}\n").as_bytes())).await?;
    written.map_err(CountError::Write)
}

impl CountError {
    fn is_lack_of_room(&self) -> bool {
        match self {
            Self::Files(FilesError::Fault(fault)) => matches!(fault, FileFault::DiskFull | FileFault::QuotaExceeded),
            Self::Write(error) => matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use latchkey_files::worker::in_this_process;

    use super::*;

    const LIMIT: u64 = 1 << 20;

    /// What the server is told for a home, and what it counts on from then.
    async fn told(home: &std::path::Path, count: Count) -> (u64, String) {
        let tree = Tree::new(in_this_process(home).unwrap(), SitePath::ROOT);
        let bytes = allowed(&tree, LIMIT, count).await.unwrap();
        (bytes, fs::read_to_string(home.join(".ftpquota")).unwrap())
    }

    #[tokio::test]
    async fn the_count_is_set_right_whatever_was_made_of_it_and_left_alone_while_it_is_kept() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("f"), [0; 1000]).unwrap();
        assert_eq!(told(home.path(), Count::Unknown).await, (LIMIT, "0 1000\n".to_owned()));
        fs::write(home.path().join(".ftpquota"), "0 5\n").unwrap();
        assert_eq!(told(home.path(), Count::Right).await, (LIMIT, "0 5\n".to_owned()));
        assert_eq!(told(home.path(), Count::Unknown).await, (LIMIT, "0 1004\n".to_owned()));
        fs::remove_file(home.path().join(".ftpquota")).unwrap();
        assert_eq!(told(home.path(), Count::Right).await.1, "0 1000\n");
        // Through no link, and in place of no folder.
        fs::remove_file(home.path().join(".ftpquota")).unwrap();
        symlink("f", home.path().join(".ftpquota")).unwrap();
        assert_eq!(told(home.path(), Count::Right).await.1, "0 1000\n");
        assert_eq!(fs::metadata(home.path().join("f")).unwrap().len(), 1000);
        fs::remove_file(home.path().join(".ftpquota")).unwrap();
        fs::create_dir(home.path().join(".ftpquota")).unwrap();
        let tree = Tree::new(in_this_process(home.path()).unwrap(), SitePath::ROOT);
        allowed(&tree, LIMIT, Count::Unknown).await.unwrap_err();
    }

    #[tokio::test]
    async fn where_nothing_can_be_measured_nothing_is_allowed() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("d/".repeat(100))).unwrap();
        assert_eq!(told(home.path(), Count::Unknown).await, (LIMIT, format!("0 {}\n", LIMIT + 1)));
    }
}
