//! serve's end of a worker's connection: many requests at a time, from many tasks, each answered by its number.
//!
//! The worker is not believed: what it answers has to be an answer to what was asked, and each descriptor the regular
//! file of the hosting, opened as it was asked for.

use std::{
    collections::HashMap,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_protocol::{
    FileAnswered, FileAsked, FileFault, FileReply, FileRequest, FrameError, FrameSocket, Links, Place, SitePath,
};
use rustix::fs::{FileType, OFlags};
use tokio::{
    io::unix::AsyncFd,
    sync::{Semaphore, SemaphorePermit, TryAcquireError, oneshot, watch},
};

use crate::{
    mount::MountId,
    worker::{SEARCHES_MAX, STREAMS_MAX, TASKS_MAX, WALKS_MAX},
};

/// How many requests may be under way on one connection; further ones wait.
const UNDER_WAY_MAX: usize = 64;

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// The worker says why.
    #[error(transparent)]
    Fault(#[from] FileFault),
    /// The worker died, was ended, or answered what is no answer. Ask a new one.
    #[error("the files worker is gone")]
    Gone,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the socket of a files worker")]
pub struct ClientError(#[source] io::Error);

/// A connection to a worker. Clones share it; it closes, and the worker ends, when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Arc<Connection>,
    open: Arc<Closing>,
}

/// Closes the connection on drop; the task that reads answers ends then.
#[derive(Debug)]
struct Closing(Arc<Connection>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Debug)]
struct Connection {
    socket: AsyncFd<FrameSocket>,
    /// Where the home lies.
    mount: MountId,
    asked: Mutex<Asked>,
    places: Semaphore,
    walks: Semaphore,
    tasks: Semaphore,
    searches: Semaphore,
    streams: Semaphore,
    gone: watch::Sender<bool>,
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Asked {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

type Answer = (FileReply, Option<OwnedFd>);

/// What the worker keeps for somebody until it is told to forget it, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    Directory(u64),
    Walk(u64),
    Task(u64),
}

impl Client {
    /// A client of the worker at the other end of a socket, whose home lies on `mount`. Needs the runtime of tokio.
    pub fn over(socket: FrameSocket, mount: MountId) -> Result<Self, ClientError> {
        let flags = rustix::fs::fcntl_getfl(&socket).map_err(|error| ClientError(error.into()))?;
        rustix::fs::fcntl_setfl(&socket, flags | OFlags::NONBLOCK).map_err(|error| ClientError(error.into()))?;
        let connection = Arc::new(Connection {
            socket: register(socket).map_err(ClientError)?,
            mount,
            asked: Mutex::default(),
            places: Semaphore::new(UNDER_WAY_MAX),
            // The worker may not have read yet that one has ended.
            walks: Semaphore::new(WALKS_MAX / 2),
            tasks: Semaphore::new(TASKS_MAX / 2),
            searches: Semaphore::new(SEARCHES_MAX),
            streams: Semaphore::new(STREAMS_MAX),
            gone: watch::Sender::new(false),
        });
        tokio::spawn(Arc::clone(&connection).read_answers());
        Ok(Self { open: Arc::new(Closing(Arc::clone(&connection))), connection })
    }

    /// Closes the connection: whoever waits for an answer is told that the worker is gone. Safe to repeat.
    pub fn close(&self) {
        self.connection.close();
    }

    /// How many hold the connection: clones, trees and open directories.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.open)
    }

    /// Asks for a word, to know whether the worker answers at all.
    pub async fn answers(&self) -> Result<(), FilesError> {
        let home = Place { root: SitePath::ROOT, path: SitePath::ROOT };
        self.ask(FileRequest::Stat { at: home, links: Links::Meant }, None).await.map(drop)
    }

    /// Whether the worker is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        *self.connection.gone.borrow()
    }

    /// Waits until the worker is gone, without holding the connection.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut gone = self.connection.gone.subscribe();
        async move {
            // A connection that is not there any more is gone, too.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Asks, and waits for the answer without a descriptor. An answer that nobody waits for any more is dropped.
    pub(crate) async fn ask(
        &self,
        request: FileRequest,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<FileReply, FilesError> {
        match self.ask_any(request, beside).await? {
            (FileReply::Failed { fault }, None) => Err(fault.into()),
            (FileReply::Opened | FileReply::OpenedUnnamed { .. }, _) | (_, Some(_)) => {
                Err(self.not_an_answer("a descriptor"))
            }
            (reply, None) => Ok(reply),
        }
    }

    /// Asks for an open file, to be used as `expected` says: an access mode and `APPEND`.
    pub(crate) async fn ask_for_file(&self, request: FileRequest, expected: OFlags) -> Result<OwnedFd, FilesError> {
        match self.ask_any(request, None).await? {
            (FileReply::Failed { fault }, None) => Err(fault.into()),
            (FileReply::Opened, Some(file)) => self.checked(file, expected),
            _ => Err(self.not_an_answer("no open file")),
        }
    }

    /// Asks for a new file without a name, and what it is going to be called.
    pub(crate) async fn ask_for_unnamed(&self, request: FileRequest) -> Result<(OwnedFd, SitePath), FilesError> {
        match self.ask_any(request, None).await? {
            (FileReply::Failed { fault }, None) => Err(fault.into()),
            (FileReply::OpenedUnnamed { path }, Some(file)) => Ok((self.checked(file, OFlags::RDWR)?, path)),
            _ => Err(self.not_an_answer("no unnamed file")),
        }
    }

    /// Ends the connection to a worker that answers what it was not asked.
    pub(crate) fn not_an_answer(&self, what: &'static str) -> FilesError {
        tracing::warn!(what, "a files worker answered what it was not asked");
        self.close();
        FilesError::Gone
    }

    /// Closes a directory or ends a walk, without waiting until it is done.
    pub(crate) fn forget(&self, what: Kept) {
        self.connection.forget(what);
    }

    /// A place for one of the walks that the worker has under way at a time; further ones wait.
    pub(crate) async fn place_to_walk(&self) -> Result<SemaphorePermit<'_>, FilesError> {
        self.connection.walks.acquire().await.map_err(|_closed| FilesError::Gone)
    }

    /// A place for one of the tasks that are asked of the worker at a time; further ones wait.
    pub(crate) async fn place_for_task(&self) -> Result<SemaphorePermit<'_>, FilesError> {
        self.connection.tasks.acquire().await.map_err(|_closed| FilesError::Gone)
    }

    /// A place for one of the searches that are asked of the worker at a time; further ones wait.
    pub(crate) async fn place_to_search(&self) -> Result<SemaphorePermit<'_>, FilesError> {
        self.connection.searches.acquire().await.map_err(|_closed| FilesError::Gone)
    }

    /// A place for one of the streams that the worker writes at a time, if there is one.
    pub(crate) fn place_for_stream(&self) -> Result<SemaphorePermit<'_>, FilesError> {
        self.connection.streams.try_acquire().map_err(|error| match error {
            TryAcquireError::Closed => FilesError::Gone,
            TryAcquireError::NoPermits => FileFault::Busy.into(),
        })
    }

    async fn ask_any(&self, request: FileRequest, beside: Option<BorrowedFd<'_>>) -> Result<Answer, FilesError> {
        let _place = self.connection.places.acquire().await.map_err(|_closed| FilesError::Gone)?;
        let answer = self.connection.send(request, beside).await?;
        answer.await.map_err(|_gone| FilesError::Gone)
    }

    fn checked(&self, file: OwnedFd, expected: OFlags) -> Result<OwnedFd, FilesError> {
        match self.check(&file, expected) {
            Ok(()) => Ok(file),
            Err(wrong) => Err(self.not_an_answer(wrong)),
        }
    }

    fn check(&self, file: &OwnedFd, expected: OFlags) -> Result<(), &'static str> {
        let found = rustix::fs::fstat(file).map_err(|_error| "a file without attributes")?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err("what is no regular file");
        }
        if MountId::of(file) != Ok(self.connection.mount) {
            return Err("a file of another file system");
        }
        let flags = rustix::fs::fcntl_getfl(file).map_err(|_error| "a file without flags")?;
        let as_asked = OFlags::RWMODE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::PATH;
        if flags & as_asked == expected { Ok(()) } else { Err("a file that is opened otherwise") }
    }
}

impl Connection {
    /// Sends a request and says where its answer will arrive.
    async fn send(
        self: &Arc<Self>,
        request: FileRequest,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<oneshot::Receiver<Answer>, FilesError> {
        loop {
            let mut ready = self.socket.writable().await.map_err(|_error| FilesError::Gone)?;
            match self.try_send(&request, beside) {
                Ok(answer) => return Ok(answer),
                Err(FrameError::TimedOut) => ready.clear_ready(),
                // Names are bounded before they come here.
                Err(FrameError::TooLong) => return Err(FileFault::NameTooLong.into()),
                Err(_) => return Err(FilesError::Gone),
            }
        }
    }

    /// Sends at once or not at all. The answer cannot overtake its entry in the table, which is held meanwhile.
    fn try_send(
        &self,
        request: &FileRequest,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<oneshot::Receiver<Answer>, FrameError> {
        let mut asked = self.asked();
        if *self.gone.borrow() {
            return Err(FrameError::Closed);
        }
        let number = asked.last + 1;
        let frame = FileAsked { number, request: request.clone() };
        self.socket.get_ref().send(&frame, beside.as_slice())?;
        asked.last = number;
        let (tell, answer) = oneshot::channel();
        asked.waiting.insert(number, tell);
        Ok(answer)
    }

    /// Brings answers to those who wait for them, until the connection ends.
    async fn read_answers(self: Arc<Self>) {
        let error = loop {
            match self.receive().await {
                Ok((answered, descriptors)) => {
                    if let Err(wrong) = self.deliver(answered, descriptors) {
                        tracing::warn!(wrong, "a files worker answered what it was not asked");
                        break None;
                    }
                }
                Err(FrameError::Closed) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = error {
            tracing::warn!(%error, "cannot go on with what a files worker answers");
        }
        self.close();
    }

    async fn receive(&self) -> Result<(FileAnswered, Vec<OwnedFd>), FrameError> {
        loop {
            let mut ready = self
                .socket
                .readable()
                .await
                .map_err(|source| FrameError::System { action: "wait for an answer", source })?;
            match self.socket.get_ref().receive::<FileAnswered>() {
                Err(FrameError::TimedOut) => ready.clear_ready(),
                other => return other,
            }
        }
    }

    fn deliver(&self, answered: FileAnswered, descriptors: Vec<OwnedFd>) -> Result<(), &'static str> {
        let mut descriptors = descriptors.into_iter();
        let (first, None) = (descriptors.next(), descriptors.next()) else { return Err("several descriptors") };
        let waiting = self.asked().waiting.remove(&answered.number);
        let waiting = waiting.ok_or("an answer to nothing")?;
        match waiting.send((answered.reply, first)) {
            // Whoever asked for it went away.
            Err((FileReply::Directory { directory }, _)) => self.forget(Kept::Directory(directory)),
            Err((FileReply::Walk { walk }, _)) => self.forget(Kept::Walk(walk)),
            Err((FileReply::Task { task }, _)) => self.forget(Kept::Task(task)),
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    fn forget(&self, what: Kept) {
        let request = match what {
            Kept::Directory(directory) => FileRequest::CloseDirectory { directory },
            Kept::Walk(walk) => FileRequest::EndWalk { walk },
            Kept::Task(task) => FileRequest::EndTask { task },
        };
        // When the queue is full it stays open with the connection, of which it is a part.
        drop(self.try_send(&request, None));
    }

    fn close(&self) {
        let mut asked = self.asked();
        self.gone.send_replace(true);
        let _ = self.socket.get_ref().shutdown();
        // Whoever waits is told by the end of the channel.
        asked.waiting.clear();
        self.places.close();
        self.walks.close();
        self.tasks.close();
        self.searches.close();
        self.streams.close();
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(unsafe_code, reason = "tokio leaves it to the caller that the descriptor stays the same")]
fn register(socket: FrameSocket) -> io::Result<AsyncFd<FrameSocket>> {
    // SAFETY: a `FrameSocket` owns one descriptor from beginning to end and always names that one.
    Ok(unsafe { AsyncFd::register(socket) }?)
}
