//! Downloading: a file, or a part of it, or a folder, as a stream that ends with the share.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use latchkey_files::tree::OpenFile;
use latchkey_protocol::SitePath;
use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::folder::Zipped;
use super::text::READ;
use super::{Home, Tag, problem, problem_of_write};
use crate::channels::OpenWork;
use crate::net::Cut;
use crate::problem::Problem;
use crate::request::{self, spawn_blocking};

/// As much is read at a time.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// How many pieces are read ahead of what the other end has taken.
const AHEAD: usize = 4;

/// A file that is about to be downloaded.
pub(crate) struct Download {
    file: Arc<OpenFile>,
    /// Its length in bytes.
    pub(crate) size: u64,
    pub(crate) tag: Tag,
}

impl Download {
    /// Opens a regular file.
    pub(crate) async fn open(home: &Home, path: &SitePath) -> Result<Self, Problem> {
        let file = Arc::new(home.tree.open(path, READ).await.map_err(problem)?);
        let opened = file.clone();
        let found = spawn_blocking(move || Ok((opened.file().metadata()?.len(), Tag::of(&opened)?)));
        let found: io::Result<_> = found.await.map_err(|error| Problem::internal(&error))?;
        let (size, tag) = found.map_err(|error| problem_of_write(&error))?;
        Ok(Self { file, size, tag })
    }

    /// So many bytes of it, from one on. When the share ends before all of it was taken the connection is cut, as it is
    /// when the file became shorter.
    pub(crate) fn part(self, (from, length): (u64, u64), work: OpenWork, connection: Cut) -> Body {
        let reading = |pieces| read_pieces(self.file, from, length, pieces);
        streamed(length, (work, connection), reading)
    }
}

/// A zip of a folder. When the share ends before all of it was taken the connection is cut, as it is when something
/// cannot be read.
pub(crate) fn zipped(folder: Zipped, work: OpenWork, connection: Cut) -> Body {
    streamed(u64::MAX, (work, connection), |pieces| folder.read_into(pieces))
}

/// So many bytes of what is read, or as many as there are until an empty piece.
fn streamed<F>(
    length: u64,
    (work, connection): (OpenWork, Cut),
    reading: impl FnOnce(mpsc::Sender<io::Result<Bytes>>) -> F,
) -> Body
where
    F: Future<Output = ()> + Send + 'static,
{
    let (pieces, read) = mpsc::channel(AHEAD);
    let has_ended = Arc::new(AtomicBool::new(false));
    let taken = Pieces { read, left: length, has_ended: has_ended.clone() };
    let reading = reading(pieces.clone());
    request::spawn(async move {
        let all = async {
            reading.await;
            pieces.closed().await;
        };
        if work.unless_stopped(all).await.is_err() {
            has_ended.store(true, Ordering::Release);
            connection.now();
        }
        // Over for whoever waits for its end: a client that takes nothing does not keep it open.
        drop(work);
    });
    Body::from_stream(taken)
}

async fn read_pieces(file: Arc<OpenFile>, mut from: u64, mut left: u64, pieces: mpsc::Sender<io::Result<Bytes>>) {
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let reading = file.clone();
        let read = spawn_blocking(move || read_piece(&reading, from, wanted)).await;
        let piece = match read {
            Ok(Ok(piece)) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(piece) => piece,
            Err(error) => Err(io::Error::other(error)),
        };
        let count = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        // Whoever took it may have gone.
        if pieces.send(piece).await.is_err() || count == 0 {
            return;
        }
        from += count;
        left -= count;
    }
}

fn read_piece(file: &OpenFile, from: u64, wanted: usize) -> io::Result<Bytes> {
    let mut piece = BytesMut::zeroed(wanted);
    loop {
        match file.file().read_at(&mut piece, from) {
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece.freeze());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What was read ahead; thrown away as soon as it must not be sent any more.
struct Pieces {
    read: mpsc::Receiver<io::Result<Bytes>>,
    /// How many bytes are missing, at most: an empty piece is the end, too.
    left: u64,
    has_ended: Arc<AtomicBool>,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(self.read.poll_recv(context));
        if self.has_ended.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(io::Error::other("the access that this was begun with has ended"))));
        }
        match &piece {
            Some(Ok(piece)) if piece.is_empty() => {
                self.left = 0;
                return Poll::Ready(None);
            }
            Some(Ok(piece)) => self.left = self.left.saturating_sub(piece.len() as u64),
            Some(Err(_)) | None => {}
        }
        Poll::Ready(piece)
    }
}
