//! A directory that a client reads, some names at a time.

use std::collections::VecDeque;

use latchkey_files::tree::{Directory, Tree};
use latchkey_protocol::{FileEntry, Links, SitePath};

use crate::clock;
use crate::packet::reply::{Listed, Replies};
use crate::packet::request::RequestId;
use crate::packet::status::Status;

/// Names in one reply: with the longest ones about 80 KiB.
const NAMES_MAX: usize = 128;

/// An open directory.
#[derive(Debug)]
pub(super) struct Listing {
    directory: Directory,
    path: SitePath,
    /// Not sent yet: first `.` and `..`, then what was read.
    entries: VecDeque<FileEntry>,
    has_begun: bool,
}

impl Listing {
    /// Opens a directory. Above the root there is the root, as with `chroot`.
    pub(super) async fn open(tree: &Tree, path: SitePath) -> Result<Self, Status> {
        let above = path.split().map_or(SitePath::ROOT, |(above, _)| above);
        let (directory, itself, above) = tokio::try_join!(
            tree.open_directory(&path),
            tree.stat(&path, Links::Followed),
            tree.stat(&above, Links::Followed)
        )?;
        let entry = |name: &[u8], attributes| FileEntry { name: name.to_vec(), attributes };
        let entries = [entry(b".", itself), entry(b"..", above)].into();
        Ok(Self { directory, path, entries, has_begun: false })
    }

    pub(super) const fn path(&self) -> &SitePath {
        &self.path
    }

    /// Answers with the next names.
    pub(super) async fn read(&mut self, id: RequestId, replies: &mut Replies) -> Result<(), Status> {
        if self.entries.is_empty() || !self.has_begun {
            self.entries.extend(self.directory.next().await?);
            self.has_begun = true;
        }
        if self.entries.is_empty() {
            return Err(Status::EndOfFile);
        }
        let some = self.entries.len().min(NAMES_MAX);
        let listed =
            self.entries.iter().take(some).map(|entry| Listed { name: &entry.name, attributes: &entry.attributes });
        replies.names(id, listed, clock::seconds_since_1970());
        self.entries.drain(..some);
        Ok(())
    }
}
