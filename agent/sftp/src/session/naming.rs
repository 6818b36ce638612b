//! Names: what is made, removed, renamed, linked and resolved.

use latchkey_protocol::{Existing, FileFault, SitePath};

use super::Session;
use super::answer::{Answer, site_path};
use crate::gatekeeper::FileEvent;
use crate::packet::attributes::AskedAttributes;
use crate::packet::status::Status;

impl Session {
    pub(super) async fn remove_file(&mut self, path: &[u8]) -> Result<Answer, Status> {
        let path = site_path(path)?;
        self.publish_beneath(&path).await?;
        self.entered.tree.remove_file(&path).await?;
        self.entered.has_freed();
        self.note(FileEvent::Removed { path });
        Ok(Answer::Done)
    }

    pub(super) async fn make_directory(&mut self, path: &[u8], asked: AskedAttributes) -> Result<Answer, Status> {
        let path = site_path(path)?;
        self.entered.tree.make_directory(&path, asked.new_mode(0o777)).await?;
        self.note(FileEvent::DirectoryMade { path });
        Ok(Answer::Done)
    }

    pub(super) async fn remove_directory(&mut self, path: &[u8]) -> Result<Answer, Status> {
        let path = site_path(path)?;
        self.publish_beneath(&path).await?;
        self.entered.tree.remove_directory(&path).await?;
        self.note(FileEvent::DirectoryRemoved { path });
        Ok(Answer::Done)
    }

    /// RENAME of version 3: what is there stays.
    pub(super) async fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        self.rename_with(from, to, Existing::Refused).await
    }

    /// `rename(2)`: what is there is replaced.
    pub(super) async fn posix_rename(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        self.rename_with(from, to, Existing::Replaced).await
    }

    async fn rename_with(&mut self, from: &[u8], to: &[u8], existing: Existing) -> Result<Answer, Status> {
        let (from, to) = (site_path(from)?, site_path(to)?);
        self.publish_beneath(&from).await?;
        self.publish_beneath(&to).await?;
        self.entered.will_move();
        self.entered.tree.rename(&from, &to, existing).await?;
        self.entered.has_freed();
        self.note(FileEvent::Renamed { from, to });
        Ok(Answer::Done)
    }

    pub(super) async fn hard_link(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        let (from, to) = (site_path(from)?, site_path(to)?);
        self.publish_beneath(&from).await?;
        // With the old name removed it is a file that was moved.
        self.entered.will_move();
        self.entered.tree.hard_link(&from, &to).await?;
        self.note(FileEvent::Linked { path: to });
        Ok(Answer::Done)
    }

    pub(super) async fn symbolic_link(&mut self, target: &[u8], path: &[u8]) -> Result<Answer, Status> {
        let path = site_path(path)?;
        self.entered.tree.symbolic_link(&path, target).await?;
        self.note(FileEvent::Linked { path });
        Ok(Answer::Done)
    }

    pub(super) async fn read_link(&mut self, path: &[u8]) -> Result<Answer, Status> {
        Ok(Answer::Name(self.entered.tree.read_link(&site_path(path)?).await?))
    }

    pub(super) async fn real_path(&mut self, path: &[u8]) -> Result<Answer, Status> {
        let path = site_path(path)?;
        let resolved = if path.is_root() { path } else { self.entered.tree.resolve(&path).await? };
        Ok(Answer::Name(absolute(&resolved)))
    }

    /// `~` is the root: an account has no other home.
    pub(super) async fn expand_path(&mut self, path: &[u8]) -> Result<Answer, Status> {
        match path {
            [b'~'] => self.real_path(b"/").await,
            [b'~', b'/', rest @ ..] => self.real_path(rest).await,
            [b'~', ..] => Err(Status::Fault(FileFault::NotFound)),
            path => self.real_path(path).await,
        }
    }
}

/// As a client sees it: the root is `/`.
fn absolute(path: &SitePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}
