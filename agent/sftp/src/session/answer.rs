//! What each request does.

use latchkey_protocol::{FileAttributes, FileSystemSpace, Links, SitePath, SitePathError};

use super::Session;
use super::handles::{HANDLES_MAX, Handle};
use super::listing::Listing;
use crate::gatekeeper::{Access, FileEvent};
use crate::packet::request::{Extended, HandleId, Request, RequestId};
use crate::packet::status::Status;

/// What comes of a request that was carried out.
pub(super) enum Answer {
    Done,
    Handle(HandleId),
    Attributes(FileAttributes),
    Name(Vec<u8>),
    Space(FileSystemSpace),
    Limits,
    /// The reply is there already, or will be when a read has ended.
    Given,
}

impl Session {
    pub(super) async fn answer(&mut self, id: RequestId, request: Request) {
        let answer = if self.entered.access == Access::ReadOnly && request.changes() {
            Err(Status::ReadOnlyAccount)
        } else {
            self.carry_out(id, request).await
        };
        match answer {
            Ok(Answer::Done) => self.replies.status(id, Status::Done),
            Ok(Answer::Handle(handle)) => self.replies.handle(id, handle),
            Ok(Answer::Attributes(attributes)) => self.replies.attributes(id, &attributes),
            Ok(Answer::Name(name)) => self.replies.name(id, &name),
            Ok(Answer::Space(space)) => self.replies.space(id, &space),
            Ok(Answer::Limits) => self.replies.limits(id, HANDLES_MAX),
            Ok(Answer::Given) => {}
            Err(status) => self.replies.status(id, status),
        }
    }

    async fn carry_out(&mut self, id: RequestId, request: Request) -> Result<Answer, Status> {
        match request {
            Request::Open { path, flags, attributes } => self.open(&path, flags, attributes).await,
            Request::Close { handle } => self.close(handle).await,
            Request::Read { handle, offset, length } => self.read(id, handle, offset, length).await,
            Request::LinkStat { path } => self.stat(&path, Links::Meant).await,
            Request::Stat { path } => self.stat(&path, Links::Followed).await,
            Request::HandleStat { handle } => self.stat_handle(handle).await,
            Request::SetStat { path, attributes } => self.set_attributes(&path, Links::Followed, attributes).await,
            Request::HandleSetStat { handle, attributes } => self.set_handle_attributes(handle, attributes).await,
            Request::OpenDirectory { path } => self.open_directory(&path).await,
            Request::ReadDirectory { handle } => {
                self.handles.directory(handle)?.read(id, &mut self.replies).await?;
                Ok(Answer::Given)
            }
            Request::RemoveFile { path } => self.remove_file(&path).await,
            Request::MakeDirectory { path, attributes } => self.make_directory(&path, attributes).await,
            Request::RemoveDirectory { path } => self.remove_directory(&path).await,
            Request::RealPath { path } => self.real_path(&path).await,
            Request::Rename { from, to } => self.rename(&from, &to).await,
            Request::ReadLink { path } => self.read_link(&path).await,
            Request::SymbolicLink { target, path } => self.symbolic_link(&target, &path).await,
            Request::Extended(extended) => self.carry_out_extended(extended).await,
            Request::Unknown => Err(Status::Unsupported),
        }
    }

    async fn carry_out_extended(&mut self, request: Extended) -> Result<Answer, Status> {
        match request {
            Extended::PosixRename { from, to } => self.posix_rename(&from, &to).await,
            Extended::StatFileSystem { path } => self.space(&site_path(&path)?).await,
            Extended::HandleStatFileSystem { handle } => {
                let path = self.handles.get(handle)?.path().clone();
                // A file that has no name yet lies where its directory does.
                let directory = path.split().map_or(SitePath::ROOT, |(directory, _)| directory);
                self.space(&directory).await
            }
            Extended::HardLink { from, to } => self.hard_link(&from, &to).await,
            Extended::Synchronise { handle } => self.synchronise(handle).await,
            Extended::LinkSetStat { path, attributes } => self.set_attributes(&path, Links::Meant, attributes).await,
            Extended::Limits => Ok(Answer::Limits),
            Extended::ExpandPath { path } => self.expand_path(&path).await,
            Extended::CopyData { from, offset, length, to, to_offset } => {
                self.copy(from, offset, length, to, to_offset).await
            }
            Extended::Unknown => Err(Status::Unsupported),
        }
    }

    async fn open_directory(&mut self, path: &[u8]) -> Result<Answer, Status> {
        self.handles.ensure_room()?;
        let path = site_path(path)?;
        let listing = Listing::open(&self.entered.tree, path).await?;
        Ok(Answer::Handle(self.handles.insert(Handle::Directory(listing))))
    }

    /// Closes a handle; an upload gets its name now.
    async fn close(&mut self, handle: HandleId) -> Result<Answer, Status> {
        self.finish_reads().await;
        let mut handle = self.handles.remove(handle)?;
        let published = match &mut handle {
            Handle::File(file) => self.entered.publish(file).await,
            Handle::Directory(_) => Ok(()),
        };
        handle.note_end(&*self.entered.notes);
        published.map(|()| Answer::Done)
    }

    async fn space(&self, path: &SitePath) -> Result<Answer, Status> {
        let space = self.entered.tree.stat_file_system(path).await?;
        Ok(Answer::Space(self.entered.within_quota(&self.line.switch, space).await?))
    }

    pub(super) fn note(&self, event: FileEvent) {
        self.entered.notes.note(event);
    }
}

/// A path as a client writes it.
pub(super) fn site_path(written: &[u8]) -> Result<SitePath, Status> {
    use latchkey_protocol::FileFault;
    SitePath::parse(written).map_err(|error| match error {
        SitePathError::LongName | SitePathError::LongPath => Status::Fault(FileFault::NameTooLong),
        SitePathError::Climbs | SitePathError::Zero => Status::BadName,
    })
}
