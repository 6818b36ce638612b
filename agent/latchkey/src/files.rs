//! The files of the hostings in use: one worker for each, asked for when it is needed, let go when it is not.
//!
//! What a worker is asked is [`Tree`]'s; who may have one is decided before anybody comes here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_access::HostingId;
use latchkey_files::client::{Client, ClientError};
use latchkey_files::tree::Tree;
use latchkey_protocol::SitePath;
use tokio::task::JoinError;

use crate::broker::{Broker, BrokerError};
use crate::problem::Problem;
use crate::request::{spawn, spawn_blocking};

/// How long a worker is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(180);

/// How long a worker may take to say a word while access is being ended.
const WORD: Duration = Duration::from_millis(500);

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesUnavailable {
    /// The broker started no worker.
    #[error("the broker started no files worker")]
    Broker(#[from] BrokerError),
    /// The worker's socket cannot be used.
    #[error("the socket of a files worker cannot be used")]
    Socket(#[from] ClientError),
    /// The task that asks the broker was cut off.
    #[error("asking for a files worker was cut off")]
    CutOff(#[from] JoinError),
}

impl From<FilesUnavailable> for Problem {
    fn from(error: FilesUnavailable) -> Self {
        match error {
            FilesUnavailable::Broker(error) => Self::from(error),
            FilesUnavailable::Socket(_) | FilesUnavailable::CutOff(_) => Self::internal(&error),
        }
    }
}

/// The workers that serve holds.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    broker: Broker,
    kept: Duration,
    hostings: Arc<Mutex<HashMap<HostingId, Place>>>,
}

/// The place for the one worker of a hosting; locked while one is being opened, so that two who come at once share it.
type Place = Arc<tokio::sync::Mutex<Option<Client>>>;

impl Files {
    /// None yet.
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, kept: KEPT, hostings: Arc::default() }
    }

    /// What lies beneath a root of a hosting. A worker that died is replaced by a new one; a tree of the old one stays
    /// [gone](latchkey_files::client::FilesError::Gone).
    pub(crate) async fn tree(&self, hosting: &HostingId, root: SitePath) -> Result<Tree, FilesUnavailable> {
        let place = self.place(hosting);
        let mut place = place.lock().await;
        if let Some(client) = place.as_ref().filter(|client| !client.is_gone()) {
            return Ok(Tree::new(client.clone(), root));
        }
        let (broker, name) = (self.broker.clone(), hosting.as_str().to_owned());
        let (socket, mount) = spawn_blocking(move || broker.open_files(name)).await??;
        let client = Client::over(socket, mount)?;
        *place = Some(client.clone());
        spawn(self.clone().let_go_when_unused(hosting.clone(), client.clone()));
        Ok(Tree::new(client, root))
    }

    /// Makes sure that what was told to a hosting's worker has reached it: one that does not say a word is killed, and
    /// whoever waits for it is told. Done when it answers or is gone.
    pub(crate) async fn settle(&self, hosting: &HostingId) -> Result<(), FilesUnavailable> {
        let place = self.place(hosting);
        let client = place.lock().await.as_ref().filter(|client| !client.is_gone()).cloned();
        let Some(client) = client else { return Ok(()) };
        match tokio::time::timeout(WORD, client.answers()).await {
            Ok(_answered_or_gone) => Ok(()),
            Err(_silent) => {
                tracing::warn!(hosting = hosting.as_str(), "a files worker does not answer and is killed");
                self.end(hosting).await
            }
        }
    }

    /// Ends the workers of a hosting; whoever waits for an answer is told that they are gone.
    pub(crate) async fn end(&self, hosting: &HostingId) -> Result<(), FilesUnavailable> {
        let place = self.hostings.lock().unwrap_or_else(PoisonError::into_inner).remove(hosting);
        if let Some(client) = match &place {
            Some(place) => place.lock().await.take(),
            None => None,
        } {
            client.close();
        }
        let (broker, name) = (self.broker.clone(), hosting.as_str().to_owned());
        Ok(spawn_blocking(move || broker.stop_files(name)).await??)
    }

    fn place(&self, hosting: &HostingId) -> Place {
        let mut hostings = self.hostings.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hostings.entry(hosting.clone()).or_default())
    }

    /// Stays with a worker until it is gone, or nobody has used it for a while.
    async fn let_go_when_unused(self, hosting: HostingId, client: Client) {
        let mut unused = false;
        loop {
            tokio::select! {
                () = client.gone() => break,
                () = tokio::time::sleep(self.kept) => {}
            }
            let place = self.place(&hosting);
            // Held, so that nobody takes a tree of it meanwhile.
            let mut held = place.lock().await;
            // Ours and the place's are two.
            let is_unused = client.holders() <= 2;
            if is_unused && unused {
                *held = None;
                client.close();
                break;
            }
            unused = is_unused;
        }
        let mut hostings = self.hostings.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |place: &Place| place.try_lock().is_ok_and(|held| held.as_ref().is_none_or(Client::is_gone));
        if hostings.get(&hosting).is_some_and(is_over) {
            hostings.remove(&hosting);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;

    use latchkey_files::client::FilesError;
    use latchkey_files::worker::in_thread;
    use latchkey_protocol::{Asked, FrameListener, FrameSocket, Links, Reply, Request};

    use super::*;

    /// A broker that counts what it is asked: it starts workers in threads, or a peer that never answers.
    struct Node {
        dir: tempfile::TempDir,
        asked: Arc<Mutex<Vec<Request>>>,
        files: Files,
    }

    enum Workers {
        Answering,
        Silent,
    }

    impl Node {
        fn new(workers: Workers) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = dir.path().join("home");
            std::fs::create_dir(&home).unwrap();
            let socket = dir.path().join("broker.sock");
            let listener = FrameListener::bind(&socket).unwrap();
            let asked = Arc::<Mutex<Vec<Request>>>::default();
            let noted = Arc::clone(&asked);
            thread::spawn(move || {
                let mut silent = Vec::new();
                while let Ok(connection) = listener.accept() {
                    let Ok((request, _)) = connection.receive::<Asked>() else { continue };
                    noted.lock().unwrap().push(request.request.clone());
                    answer(&connection, &request.request, &home, &workers, &mut silent);
                }
            });
            let files = Files { kept: Duration::from_secs(60), ..Files::new(Broker::at(&socket)) };
            Self { dir, asked, files }
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    fn answer(
        connection: &FrameSocket,
        request: &Request,
        home: &Path,
        workers: &Workers,
        silent: &mut Vec<FrameSocket>,
    ) {
        use std::os::fd::AsFd as _;
        let Request::OpenFiles { .. } = request else { return connection.send(&Reply::Done, &[]).unwrap() };
        let (socket, mount) = in_thread(home).unwrap();
        let near = match workers {
            Workers::Answering => socket,
            Workers::Silent => {
                let (near, far) = FrameSocket::pair().unwrap();
                silent.push(far);
                near
            }
        };
        connection.send(&Reply::Files { mount: mount.0 }, &[near.as_fd()]).unwrap();
    }

    fn hosting() -> HostingId {
        "h1".parse().unwrap()
    }

    #[tokio::test]
    async fn those_who_come_at_once_share_one_worker_and_a_dead_one_is_replaced() {
        let node = Node::new(Workers::Answering);
        let id = hosting();
        let (a, b) = tokio::join!(node.files.tree(&id, SitePath::ROOT), node.files.tree(&id, SitePath::ROOT));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(node.asked(), 1);
        assert!(b.stat(&SitePath::ROOT, Links::Meant).await.is_ok());
        a.client().close();
        assert_eq!(b.stat(&SitePath::ROOT, Links::Meant).await.unwrap_err(), FilesError::Gone);
        let again = node.files.tree(&id, SitePath::ROOT).await.unwrap();
        assert!(again.stat(&SitePath::ROOT, Links::Meant).await.is_ok());
        assert_eq!(node.asked(), 2);
        drop(node.dir);
    }

    #[tokio::test]
    async fn a_worker_that_answers_is_left_alone_and_one_that_does_not_is_killed() {
        let node = Node::new(Workers::Answering);
        let _tree = node.files.tree(&hosting(), SitePath::ROOT).await.unwrap();
        node.files.settle(&hosting()).await.unwrap();
        assert_eq!(node.asked(), 1);

        let node = Node::new(Workers::Silent);
        let tree = node.files.tree(&hosting(), SitePath::ROOT).await.unwrap();
        let waiting = tokio::spawn(async move { tree.stat(&SitePath::ROOT, Links::Meant).await.unwrap_err() });
        node.files.settle(&hosting()).await.unwrap();
        assert_eq!(waiting.await.unwrap(), FilesError::Gone);
        assert_eq!(node.asked.lock().unwrap().last(), Some(&Request::StopFiles { hosting: "h1".into() }));
    }

    #[tokio::test]
    async fn a_worker_that_nobody_uses_is_let_go_and_one_in_use_is_kept() {
        let node = Node::new(Workers::Answering);
        let tree = node.files.tree(&hosting(), SitePath::ROOT).await.unwrap();
        let client = tree.client().clone();
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!client.is_gone());
        // What is left is the hold on a worker that is looked at here without using it.
        let watched = client.gone();
        drop((tree, client));
        tokio::time::timeout(Duration::from_secs(600), watched).await.unwrap();
        assert!(node.files.hostings.lock().unwrap().is_empty());
    }
}
