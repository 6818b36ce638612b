//! The worker: a few threads take requests from its socket and answer them, in any order.
//!
//! What a request does is in the modules below, one for each kind of thing; how a path is resolved is in `resolve`
//! alone. Rights are those of the process: `latchkey-files` has given up all others before it comes here.

mod answer;
mod attributes;
mod directories;
mod fault;
mod links;
mod names;
mod open;
mod publish;
mod remove_all;
mod resolve;
mod tasks;
mod walks;

use std::{
    io,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Barrier, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use latchkey_protocol::{FileAnswered, FileAsked, FileFault, FileReply, FileRequest, FrameError, FrameSocket};

use crate::{
    client::{Client, ClientError},
    mount::MountId,
    worker::{
        directories::Directories,
        tasks::{Kind, Tasks},
        walks::Walks,
    },
};

pub use resolve::{Home, HomeError};
pub use tasks::{SEARCHES_MAX, STREAMS_MAX, TASKS_MAX};
pub use walks::{DEEPEST_WALK, WALKS_MAX};

/// Threads that take requests, and answer whatever is quick as long as the disk is. While they are busy nothing is taken.
const QUICK: usize = 8;

/// Threads for what may take long, so that it holds up nothing else: removing whole directories.
const LONG: usize = 2;

/// Threads that list directories, for which somebody waits.
const LISTS: usize = 2;

/// Threads that copy.
const COPIES: usize = 2;

/// Threads that make and extract archives. As many fit into the worker's memory beside the streams and searches.
const ARCHIVES: usize = 2;

/// How many requests wait for a thread of the other kinds. Beyond that those of the first wait for room.
const WAITING_MAX: usize = 64;

/// Why the worker ended though its peer did not close the connection.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A frame could not be received, or is none.
    #[error("cannot go on with what serve sends")]
    Frame(#[source] FrameError),
    /// Its threads could not be started.
    #[error("cannot start the threads of the worker")]
    Threads(#[source] io::Error),
}

/// A worker whose threads run, and which has taken nothing from its socket yet.
#[derive(Debug)]
pub struct Worker {
    begin: Arc<Barrier>,
    quick: Vec<JoinHandle<Result<(), WorkerError>>>,
}

/// What all threads work on.
#[derive(Debug)]
struct Shared {
    socket: FrameSocket,
    home: Home,
    directories: Directories,
    walks: Walks,
    tasks: Tasks,
}

type Job = (FileAsked, Vec<OwnedFd>);

/// What requests wait in that are not answered by whoever takes them.
#[derive(Clone)]
struct Queues {
    long: SyncSender<Job>,
    lists: SyncSender<Job>,
    searches: SyncSender<Job>,
    copies: SyncSender<Job>,
    archives: SyncSender<Job>,
    streams: SyncSender<Job>,
}

impl Queues {
    const fn of(&self, kind: Kind) -> &SyncSender<Job> {
        match kind {
            Kind::List => &self.lists,
            Kind::Search => &self.searches,
            Kind::Copy => &self.copies,
            Kind::Archive => &self.archives,
            Kind::Stream => &self.streams,
        }
    }
}

impl Worker {
    /// Starts all threads that it will ever have, and returns when they run.
    pub fn start(home: Home, socket: FrameSocket) -> Result<Self, WorkerError> {
        let (directories, walks, tasks) = (Directories::default(), Walks::default(), Tasks::default());
        let shared = Arc::new(Shared { socket, home, directories, walks, tasks });
        let begin = Arc::new(Barrier::new(QUICK + LONG + LISTS + SEARCHES_MAX + COPIES + ARCHIVES + STREAMS_MAX + 1));
        let queue = |threads| start_queue(&shared, &begin, threads);
        let queues = Queues {
            long: queue(LONG)?,
            lists: queue(LISTS)?,
            searches: queue(SEARCHES_MAX)?,
            copies: queue(COPIES)?,
            archives: queue(ARCHIVES)?,
            streams: queue(STREAMS_MAX)?,
        };
        let mut quick = Vec::with_capacity(QUICK);
        for _ in 0..QUICK {
            let (shared, queues) = (Arc::clone(&shared), queues.clone());
            quick.push(start_thread(&begin, move || answer_requests(&shared, &queues))?);
        }
        begin.wait();
        Ok(Self { begin, quick })
    }

    /// Answers requests until the peer closes the connection, or sends what is no request.
    pub fn run(self) -> Result<(), WorkerError> {
        self.begin.wait();
        // A thread that panicked has closed nothing; the others end with the connection all the same.
        self.quick.into_iter().filter_map(|thread| thread.join().ok()).collect()
    }
}

/// Why there is no worker in this process.
#[derive(Debug, thiserror::Error)]
pub enum InThreadError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its end of the socket cannot be made.
    #[error("cannot make the socket of a worker")]
    Socket(#[from] FrameError),
    /// Its threads cannot be started.
    #[error(transparent)]
    Threads(#[from] WorkerError),
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A worker in threads of this process, with this process's rights: for tests. Nothing confines it but the way it
/// resolves paths. Returns the other end of its socket, with which it ends, and the mount of the home.
pub fn in_thread(home: &Path) -> Result<(FrameSocket, MountId), InThreadError> {
    let home = Home::open(home)?;
    let mount = home.mount();
    let (near, far) = FrameSocket::pair()?;
    let worker = Worker::start(home, far)?;
    drop(thread::spawn(move || worker.run()));
    Ok((near, mount))
}

/// A client of such a worker. Needs the runtime of tokio.
pub fn in_this_process(home: &Path) -> Result<Client, InThreadError> {
    let (socket, mount) = in_thread(home)?;
    Ok(Client::over(socket, mount)?)
}

/// Starts a thread that says that it runs, and then waits for [`Worker::run`].
fn start_thread<T: Send + 'static>(
    begin: &Arc<Barrier>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, WorkerError> {
    let begin = Arc::clone(begin);
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        begin.wait();
        begin.wait();
        work()
    });
    thread.map_err(WorkerError::Threads)
}

/// Starts threads that answer what is put into a queue.
fn start_queue(shared: &Arc<Shared>, begin: &Arc<Barrier>, threads: usize) -> Result<SyncSender<Job>, WorkerError> {
    let (jobs, queue) = sync_channel(WAITING_MAX);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads {
        let (shared, queue) = (Arc::clone(shared), Arc::clone(&queue));
        drop(start_thread(begin, move || answer_jobs(&shared, &queue))?);
    }
    Ok(jobs)
}

/// Enough for the deepest recursion, which is that of `remove_all`.
const STACK_BYTES: usize = 512 * 1024;

/// Takes requests from the socket, one at a time, and answers each before the next: whoever hands a request on makes two
/// threads wake up where one is enough. The end of one such thread is the end of all.
fn answer_requests(shared: &Shared, queues: &Queues) -> Result<(), WorkerError> {
    loop {
        let job = match shared.socket.receive::<FileAsked>() {
            Ok(job) => job,
            Err(error) => {
                // The peer may be gone already.
                let _ = shared.socket.shutdown();
                return if matches!(error, FrameError::Closed) { Ok(()) } else { Err(WorkerError::Frame(error)) };
            }
        };
        let queue = match job.0.request {
            FileRequest::RemoveAll { .. } => Some(&queues.long),
            FileRequest::CarryOutTask { task } => shared.tasks.kind(task).map(|kind| queues.of(kind)),
            _ => None,
        };
        match queue {
            // Only fails when those threads are gone, and then the connection is, too.
            Some(queue) => drop(queue.send(job)),
            None => answer_job(shared, job),
        }
    }
}

fn answer_jobs(shared: &Shared, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        answer_job(shared, job);
    }
}

fn answer_job(shared: &Shared, (asked, descriptors): Job) {
    // Whoever asked is answered, whatever somebody's files make of a thread.
    let answered = catch_unwind(AssertUnwindSafe(|| answer::answer(shared, asked.request, descriptors)));
    let (reply, descriptor) = match answered.unwrap_or(Err(FileFault::Io)) {
        Ok(answer) => answer,
        Err(fault) => (FileReply::Failed { fault }, None),
    };
    let answered = FileAnswered { number: asked.number, reply };
    let beside: Vec<_> = descriptor.iter().map(std::os::fd::AsFd::as_fd).collect();
    if shared.socket.send(&answered, &beside).is_err() {
        // The peer is gone, which the next receive notices.
        let _ = shared.socket.shutdown();
    }
}
