//! Reading: at once what the kernel has at hand, on other threads what has to come from the disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use latchkey_files::tree::OpenFile;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinSet;

use super::Session;
use super::answer::Answer;
use super::handles::Handles;
use crate::conn::Alive;
use crate::packet::READ_MAX_BYTES;
use crate::packet::reply::Replies;
use crate::packet::request::{HandleId, RequestId};
use crate::packet::status::Status;

/// How many reads of a session may wait for the disk.
const WAITING_MAX: usize = 16;
/// And how many bytes they may be going to bring.
const WAITING_MAX_BYTES: usize = 1024 * 1024;

/// Reads that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Reads {
    waiting: JoinSet<Finished>,
    bytes: usize,
}

#[derive(Debug)]
struct Finished {
    id: RequestId,
    handle: HandleId,
    asked_bytes: usize,
    read: io::Result<Vec<u8>>,
}

/// Why a read was not done at once.
enum NotAtOnce {
    Blocks,
    Failed(Errno),
}

impl Session {
    pub(super) async fn read(
        &mut self,
        id: RequestId,
        handle: HandleId,
        offset: u64,
        length: u32,
    ) -> Result<Answer, Status> {
        let length = usize::try_from(length).unwrap_or(READ_MAX_BYTES).min(READ_MAX_BYTES);
        let file = self.handles.file_for_reading(handle)?;
        // No file reaches beyond; and to `preadv2` an offset of -1 means where the descriptor stands.
        if i64::try_from(offset).is_err() {
            return Err(Status::EndOfFile);
        }
        match self.replies.read_into(id, length, |into| read_at_once(file.file.file(), into, offset)) {
            Ok(0) => Err(Status::EndOfFile),
            Ok(count) => {
                file.read_bytes = file.read_bytes.saturating_add(count as u64);
                Ok(Answer::Given)
            }
            Err(NotAtOnce::Failed(error)) => Err(error.into()),
            Err(NotAtOnce::Blocks) => {
                let file = Arc::clone(&file.file);
                while !self.reads.have_room_for(length) {
                    self.reads.collect_next(&mut self.replies, &mut self.handles).await;
                }
                self.reads.start(&self.entered.alive, file, (id, handle), offset, length);
                Ok(Answer::Given)
            }
        }
    }

    /// Waits for the reads that are under way, for something comes that must not overtake them.
    pub(super) async fn finish_reads(&mut self) {
        while !self.reads.are_none() {
            self.reads.collect_next(&mut self.replies, &mut self.handles).await;
        }
    }
}

impl Reads {
    pub(super) fn are_none(&self) -> bool {
        self.waiting.is_empty()
    }

    fn have_room_for(&self, length: usize) -> bool {
        self.waiting.is_empty() || (self.waiting.len() < WAITING_MAX && self.bytes + length <= WAITING_MAX_BYTES)
    }

    fn start(
        &mut self,
        alive: &Alive,
        file: Arc<OpenFile>,
        (id, handle): (RequestId, HandleId),
        offset: u64,
        length: usize,
    ) {
        self.bytes += length;
        let alive = alive.clone();
        self.waiting.spawn_blocking(move || {
            let read = read_blocking(file.file(), offset, length);
            // The file first: whoever waits for the end of `alive` waits for the file.
            drop(file);
            drop(alive);
            Finished { id, handle, asked_bytes: length, read }
        });
    }

    /// Answers the reads that have ended.
    pub(super) fn collect_ready(&mut self, replies: &mut Replies, handles: &mut Handles) {
        while let Some(finished) = self.waiting.try_join_next() {
            self.collect(finished.ok(), replies, handles);
        }
    }

    /// Waits for one read to end and answers it. Waits for ever if there is none.
    pub(super) async fn collect_next(&mut self, replies: &mut Replies, handles: &mut Handles) {
        match self.waiting.join_next().await {
            Some(finished) => self.collect(finished.ok(), replies, handles),
            None => std::future::pending().await,
        }
    }

    /// Waits for all of them, answering none.
    pub(super) async fn finish_all(&mut self) {
        while self.waiting.join_next().await.is_some() {}
    }

    fn collect(&mut self, finished: Option<Finished>, replies: &mut Replies, handles: &mut Handles) {
        // `None` only when the runtime goes down.
        let Some(Finished { id, handle, asked_bytes, read }) = finished else { return };
        self.bytes -= asked_bytes;
        match read {
            Ok(bytes) if bytes.is_empty() => replies.status(id, Status::EndOfFile),
            Ok(bytes) => {
                if let Ok(file) = handles.file(handle) {
                    file.read_bytes = file.read_bytes.saturating_add(bytes.len() as u64);
                }
                replies.data(id, &bytes);
            }
            Err(error) => replies.status(id, error.into()),
        }
    }
}

/// Reads what needs no waiting. A part of what was asked for is enough only at the end of the file.
fn read_at_once(file: &File, into: &mut [u8], offset: u64) -> Result<usize, NotAtOnce> {
    let asked = into.len();
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT) {
        Ok(count) if count == asked => Ok(count),
        Ok(count) => {
            let size = rustix::fs::fstat(file).map_err(NotAtOnce::Failed)?.st_size;
            let is_end = offset.saturating_add(count as u64) >= u64::try_from(size).unwrap_or_default();
            if is_end { Ok(count) } else { Err(NotAtOnce::Blocks) }
        }
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Err(NotAtOnce::Blocks),
        Err(error) => Err(NotAtOnce::Failed(error)),
    }
}

/// Reads `length` bytes or to the end of the file.
fn read_blocking(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(count as u64)) {
            Ok(0) => break,
            Ok(some) => count += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}
