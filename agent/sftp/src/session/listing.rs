//! A directory that a client reads, some names at a time.

use std::collections::VecDeque;

use latchkey_files::tree::Directory;
use latchkey_protocol::{FileEntry, SitePath};

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
    /// Read and not sent yet.
    entries: VecDeque<FileEntry>,
}

impl Listing {
    pub(super) const fn new(directory: Directory, path: SitePath) -> Self {
        Self { directory, path, entries: VecDeque::new() }
    }

    pub(super) const fn path(&self) -> &SitePath {
        &self.path
    }

    /// Answers with the next names.
    pub(super) async fn read(&mut self, id: RequestId, replies: &mut Replies) -> Result<(), Status> {
        if self.entries.is_empty() {
            self.entries = self.directory.next().await?.into();
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
