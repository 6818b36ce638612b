//! Downloading a folder: a zip that the files worker writes into a pipe while it is sent. Cut off, it has no end.

use std::future::Future;
use std::io;
use std::os::fd::AsFd as _;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use latchkey_files::client::FilesError;
use latchkey_protocol::{FileFault, Links, SitePath};
use rustix::pipe::PipeFlags;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use super::download::PIECE_BYTES;
use super::{FileKind, Home, hidden, problem};
use crate::problem::Problem;

/// A zip that is being written. Dropped, it is written no further.
pub(crate) struct Zipped {
    pipe: Receiver,
    writing: Writing,
    is_written: bool,
    /// Read already, so that what cannot be begun is not begun.
    first: Option<Bytes>,
}

type Writing = Pin<Box<dyn Future<Output = Result<(), FilesError>> + Send>>;

impl Zipped {
    /// Begins with a folder.
    pub(crate) async fn begin(home: &Home, path: &SitePath) -> Result<Self, Problem> {
        let found = home.tree.stat(path, Links::Meant).await.map_err(problem)?;
        if FileKind::of(&found) != FileKind::Folder {
            return Err(problem(FileFault::NotADirectory.into()));
        }
        hidden::check(home, "path", path).await?;
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| internal(&error.into()))?;
        let pipe = Receiver::from_owned_fd(read).map_err(|error| internal(&error))?;
        let (tree, path) = (home.tree.clone(), path.clone());
        let writing = Box::pin(async move {
            let written = tree.zip(&path, write.as_fd()).await;
            // Only now is the pipe at its end: the worker has closed its own.
            drop(write);
            written.map(drop)
        });
        let mut begun = Self { pipe, writing, is_written: false, first: None };
        begun.first = Some(begun.next().await?);
        Ok(begun)
    }

    /// The next piece; an empty one when all was written.
    async fn next(&mut self) -> Result<Bytes, Problem> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        loop {
            tokio::select! {
                read = self.pipe.read_buf(&mut piece) => {
                    read.map_err(|error| internal(&error))?;
                    return Ok(piece.freeze());
                }
                written = &mut self.writing, if !self.is_written => {
                    written.map_err(problem)?;
                    self.is_written = true;
                }
            }
        }
    }

    /// Reads until the end, which is an empty piece, or until nobody takes what was read.
    pub(super) async fn read_into(mut self, pieces: mpsc::Sender<io::Result<Bytes>>) {
        loop {
            let piece = self.next().await.map_err(|problem| io::Error::other(problem.detail));
            let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
            if pieces.send(piece).await.is_err() || is_last {
                return;
            }
        }
    }
}

fn internal(error: &io::Error) -> Problem {
    Problem::internal(error)
}
