//! The file manager: the files of a hosting's home, for whoever may manage them on any of its sites.
//!
//! Everything goes through the hosting's files worker; nothing here opens a path. What operations and calls take and
//! give is in `operations/file` and `api/files`.

pub(crate) mod archives;
pub(crate) mod download;
pub(crate) mod folder;
mod fresh;
pub(crate) mod hidden;
mod home;
mod path;
mod problem;
mod tag;
pub(crate) mod text;
mod tidy;
pub(crate) mod trash;
pub(crate) mod upload;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use latchkey_access::HostingId;
use tokio::sync::OwnedMutexGuard;

pub(crate) use fresh::Fresh;
pub(crate) use home::Home;
pub(crate) use path::{HomePath, encode};
pub(crate) use problem::{problem, problem_of_write};
pub(crate) use tag::Tag;
pub(crate) use tidy::tidy;
pub(crate) use view::{FileKind, FileMode, FileView};

/// What the calls of the file manager have to agree on.
#[derive(Default)]
pub(crate) struct FileManager {
    turns: Mutex<HashMap<HostingId, Arc<tokio::sync::Mutex<()>>>>,
    /// Uploads in pieces of which one is arriving.
    uploads: Mutex<HashSet<String>>,
}

impl FileManager {
    /// The turn to look at a file of a hosting and to replace it: two who know the same file do not both replace it.
    pub(crate) async fn turn(&self, hosting: &HostingId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(hosting.clone()).or_default())
        };
        turn.lock_owned().await
    }
}
