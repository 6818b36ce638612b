//! Writing: in the order in which the bytes come, and out of the way of others as soon as the disk is slow.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use latchkey_protocol::FileFault;
use rustix::io::Errno;
use tokio::time::Instant;

use super::Session;
use super::answer::Answer;
use super::attributes::of_open;
use crate::conn::Switch;
use crate::gatekeeper::Access;
use crate::packet::input::WritePiece;
use crate::packet::request::HandleId;
use crate::packet::status::Status;

/// A write that takes longer waits for more than the memory of the node.
const SLOW: Duration = Duration::from_millis(2);
/// As much is copied between two looks at whether the session still is.
const COPY_STEP_BYTES: usize = 4 * 1024 * 1024;

/// What went wrong in a WRITE of which more pieces are to come.
#[derive(Debug, Default)]
pub(super) struct WriteFailure(Option<Status>);

/// Whether the disk keeps up.
#[derive(Debug, Default)]
pub(super) struct Pace {
    is_slow: bool,
}

impl Session {
    /// Writes a piece, and answers when it was the last of its request.
    pub(super) async fn write(&mut self, piece: WritePiece) {
        self.finish_reads().await;
        let WritePiece { id, left, .. } = piece;
        if self.write_failure.0.is_none() {
            self.write_failure.0 = self.write_piece(&piece).await.err();
        }
        if left == 0 {
            let failure = self.write_failure.0.take();
            self.replies.status(id, failure.unwrap_or(Status::Done));
        }
    }

    async fn write_piece(&mut self, piece: &WritePiece) -> Result<(), Status> {
        if self.entered.access == Access::ReadOnly {
            return Err(Status::ReadOnlyAccount);
        }
        let handle = self.handles.file_for_writing(piece.handle)?;
        let room = self.entered.room_to_write(&self.line.switch, handle, piece.offset, piece.bytes.len() as u64).await;
        let _room = room.inspect_err(|status| handle.failed = Some(*status))?;
        match self.pace.keep(|| handle.file.file().write_all_at(&piece.bytes, piece.offset)) {
            Ok(()) => {
                handle.written_bytes = handle.written_bytes.saturating_add(piece.bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                let status = Status::from(error);
                handle.failed = Some(status);
                Err(status)
            }
        }
    }

    /// `fsync`.
    pub(super) async fn synchronise(&mut self, handle: HandleId) -> Result<Answer, Status> {
        let file = Arc::clone(&self.handles.file(handle)?.file);
        let alive = self.entered.alive.clone();
        let synchronised = tokio::task::spawn_blocking(move || {
            let synchronised = file.file().sync_all();
            drop(file);
            drop(alive);
            synchronised
        });
        synchronised.await.map_err(|_ended| Status::Unavailable)??;
        Ok(Answer::Done)
    }

    /// Copies from one open file to another one; a length of 0 means to the end.
    pub(super) async fn copy(
        &mut self,
        from: HandleId,
        offset: u64,
        length: u64,
        to: HandleId,
        to_offset: u64,
    ) -> Result<Answer, Status> {
        self.finish_reads().await;
        let source = Arc::clone(&self.handles.file_for_reading(from)?.file);
        let target = Arc::clone(&self.handles.file_for_writing(to)?.file);
        ensure_different(&source, &target)?;
        let (alive, switch) = (self.entered.alive.clone(), self.line.switch.clone());
        let length = if length == 0 { u64::MAX } else { length };
        // With a quota no more is copied than there was at this moment, so that no more is written than there is room for.
        let length = if self.entered.quota.is_some() { length.min(length_beyond(&source, offset)?) } else { length };
        let handle = self.handles.file_for_writing(to)?;
        let room = self.entered.room_to_write(&switch, handle, to_offset, length).await;
        let room = room.inspect_err(|status| handle.failed = Some(*status))?;
        let copied = tokio::task::spawn_blocking(move || {
            let copied = copy_blocking(&source, offset, length, &target, to_offset, &switch);
            drop((source, target, room));
            drop(alive);
            copied
        });
        let copied = copied.await.map_err(|_ended| Status::Unavailable)?;
        let target = self.handles.file(to)?;
        match copied {
            Ok(count) => {
                target.written_bytes = target.written_bytes.saturating_add(count);
                Ok(Answer::Done)
            }
            Err(error) => {
                let status = Status::from(error);
                target.failed = Some(status);
                Err(status)
            }
        }
    }
}

impl Pace {
    /// Calls something that is quick as long as the disk is. Once it was not, the runtime's thread is given to others
    /// meanwhile, until it is quick again.
    fn keep<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = if self.is_slow { tokio::task::block_in_place(call) } else { call() };
        self.is_slow = began.elapsed() > SLOW;
        result
    }
}

/// How much of a file there is from `offset` on.
fn length_beyond(file: &latchkey_files::tree::OpenFile, offset: u64) -> Result<u64, Status> {
    Ok(of_open(file)?.size.saturating_sub(offset))
}

fn ensure_different(
    one: &latchkey_files::tree::OpenFile,
    other: &latchkey_files::tree::OpenFile,
) -> Result<(), Status> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    let is_same = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
    if is_same { Err(Status::Fault(FileFault::Invalid)) } else { Ok(()) }
}

/// How many bytes were copied.
fn copy_blocking(
    from: &latchkey_files::tree::OpenFile,
    mut offset: u64,
    length: u64,
    to: &latchkey_files::tree::OpenFile,
    mut to_offset: u64,
    switch: &Switch,
) -> Result<u64, Errno> {
    let mut copied = 0;
    while copied < length {
        if switch.is_thrown() {
            return Err(Errno::CANCELED);
        }
        let step = usize::try_from(length - copied).unwrap_or(COPY_STEP_BYTES).min(COPY_STEP_BYTES);
        match rustix::fs::copy_file_range(from, Some(&mut offset), to, Some(&mut to_offset), step) {
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}
