//! Attributes of files, also of those that have no name yet.

use std::sync::Arc;

use latchkey_protocol::{AttributeChanges, FileAttributes, Links};
use rustix::fs::Stat;

use super::Session;
use super::answer::{Answer, site_path};
use super::handles::Handle;
use crate::gatekeeper::FileEvent;
use crate::packet::attributes::AskedAttributes;
use crate::packet::request::HandleId;
use crate::packet::status::Status;

impl Session {
    pub(super) async fn stat(&mut self, path: &[u8], links: Links) -> Result<Answer, Status> {
        let path = site_path(path)?;
        if let Some(upload) = self.handles.uploads().find(|file| file.is_to_be(&path)) {
            return of_open(&upload.file).map(Answer::Attributes);
        }
        Ok(Answer::Attributes(self.entered.tree.stat(&path, links).await?))
    }

    pub(super) async fn stat_handle(&mut self, handle: HandleId) -> Result<Answer, Status> {
        match self.handles.get(handle)? {
            Handle::File(file) => of_open(&file.file).map(Answer::Attributes),
            Handle::Directory(listing) => {
                Ok(Answer::Attributes(self.entered.tree.stat(listing.path(), Links::Followed).await?))
            }
        }
    }

    pub(super) async fn set_attributes(
        &mut self,
        path: &[u8],
        links: Links,
        asked: AskedAttributes,
    ) -> Result<Answer, Status> {
        let path = site_path(path)?;
        self.finish_reads().await;
        if let Some(upload) = self.handles.uploads().find(|file| file.is_to_be(&path)) {
            ensure_owners_stay(asked, || of_open(&upload.file))?;
            let file = Arc::clone(&upload.file);
            let room =
                self.entered.room_to_resize(&self.line.switch, asked.changes().size, of_open(&file)?.size).await?;
            self.entered.tree.set_open_attributes(&file, asked.changes()).await?;
            drop(room);
            return Ok(Answer::Done);
        }
        if asked.owners.is_some() {
            let is = self.entered.tree.stat(&path, links).await?;
            ensure_owners_stay(asked, || Ok(is))?;
        }
        if asked.changes() != AttributeChanges::default() {
            let room = match (&self.entered.quota, asked.changes().size) {
                (Some(_), Some(_)) => {
                    let is = self.entered.tree.stat(&path, links).await?.size;
                    self.entered.room_to_resize(&self.line.switch, asked.changes().size, is).await?
                }
                _ => None,
            };
            self.entered.tree.set_attributes(&path, links, asked.changes()).await?;
            drop(room);
            self.note(FileEvent::AttributesChanged { path });
        }
        Ok(Answer::Done)
    }

    pub(super) async fn set_handle_attributes(
        &mut self,
        handle: HandleId,
        asked: AskedAttributes,
    ) -> Result<Answer, Status> {
        self.finish_reads().await;
        match self.handles.get(handle)? {
            Handle::File(file) => {
                ensure_owners_stay(asked, || of_open(&file.file))?;
                let is = of_open(&file.file)?.size;
                let room = self.entered.room_to_resize(&self.line.switch, asked.changes().size, is).await?;
                self.entered.tree.set_open_attributes(&file.file, asked.changes()).await?;
                drop(room);
                // Times and mode that an upload brings along are a part of it.
                if !file.opened_for.writing {
                    self.note(FileEvent::AttributesChanged { path: file.path.clone() });
                }
                Ok(Answer::Done)
            }
            Handle::Directory(listing) => {
                let path = listing.path().as_bytes().to_vec();
                self.set_attributes(&path, Links::Followed, asked).await
            }
        }
    }
}

/// Owners are the hosting's. A client that sets them to what they are is told that it is done.
fn ensure_owners_stay(
    asked: AskedAttributes,
    is: impl FnOnce() -> Result<FileAttributes, Status>,
) -> Result<(), Status> {
    let Some(owners) = asked.owners else { return Ok(()) };
    let is = is()?;
    if owners == (is.uid, is.gid) { Ok(()) } else { Err(Status::OwnersStay) }
}

/// Attributes of an open file. Quick: the kernel has them at hand.
#[allow(clippy::useless_conversion, reason = "st_nlink has 32 bits on aarch64")]
pub(super) fn of_open(file: &latchkey_files::tree::OpenFile) -> Result<FileAttributes, Status> {
    let Stat { st_mode, st_size, st_uid, st_gid, st_atime, st_mtime, st_nlink, .. } = rustix::fs::fstat(file)?;
    Ok(FileAttributes {
        mode: st_mode,
        size: u64::try_from(st_size).unwrap_or_default(),
        uid: st_uid,
        gid: st_gid,
        accessed: st_atime,
        modified: st_mtime,
        links: st_nlink.into(),
    })
}
