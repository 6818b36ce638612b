//! Room within the account's quota: asked for before a file grows.

use latchkey_protocol::FileSystemSpace;
use rustix::fs::OFlags;

use super::Entered;
use super::attributes::of_open;
use super::handles::FileHandle;
use crate::conn::Switch;
use crate::packet::status::Status;
use crate::quota::Room;

impl Entered {
    /// Room to write `length` bytes at `offset`; to be held until they are written.
    pub(super) async fn room_to_write(
        &self,
        switch: &Switch,
        file: &FileHandle,
        offset: u64,
        length: u64,
    ) -> Result<Option<Room>, Status> {
        if self.quota.is_none() || length == 0 {
            return Ok(None);
        }
        if let (Some(failed), true) = (file.failed, file.upload.is_some()) {
            // It is not going to be published, so there is nothing to measure for it.
            return Err(failed);
        }
        let is = of_open(&file.file)?.size;
        // Linux appends whatever offset it is given.
        let appends = rustix::fs::fcntl_getfl(&*file.file)?.contains(OFlags::APPEND);
        let offset = if appends { is } else { offset };
        self.room(switch, offset.saturating_add(length).saturating_sub(is)).await
    }

    /// Room for a file of `is` bytes to have `size`; to be held until it has.
    pub(super) async fn room_to_resize(
        &self,
        switch: &Switch,
        size: Option<u64>,
        is: u64,
    ) -> Result<Option<Room>, Status> {
        match size {
            Some(size) if size > is => self.room(switch, size - is).await,
            Some(_) => {
                self.has_freed();
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// The file system as an account with a quota sees it: no larger than the quota, and no more free than is left of it.
    pub(super) async fn within_quota(
        &self,
        switch: &Switch,
        space: FileSystemSpace,
    ) -> Result<FileSystemSpace, Status> {
        let Some(quota) = &self.quota else { return Ok(space) };
        let left = unless_ended(switch, quota.left(&self.tree)).await?;
        let fragments = |bytes: u64| bytes / space.fragment_size.max(1);
        Ok(FileSystemSpace {
            blocks: space.blocks.min(fragments(quota.limit_bytes())),
            blocks_free: space.blocks_free.min(fragments(left)),
            blocks_available: space.blocks_available.min(fragments(left)),
            ..space
        })
    }

    /// Something may take less room than before.
    pub(super) fn has_freed(&self) {
        if let Some(quota) = &self.quota {
            quota.has_freed();
        }
    }

    /// Something is about to get another name: whoever measures at this moment may miss it.
    pub(super) fn will_move(&self) {
        if let Some(quota) = &self.quota {
            quota.will_move();
        }
    }

    async fn room(&self, switch: &Switch, bytes: u64) -> Result<Option<Room>, Status> {
        match &self.quota {
            Some(quota) => unless_ended(switch, quota.room(&self.tree, bytes)).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Measuring may take long; a session that is ended does not wait for it.
async fn unless_ended<T>(switch: &Switch, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::select! {
        biased;
        () = switch.thrown() => Err(Status::Unavailable),
        done = work => done,
    }
}
