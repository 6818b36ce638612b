//! One session: asked by pure-ftpd, decided by serve, let in, watched to its end.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use latchkey_protocol::{FrameError, FrameSocket, FtpAnswered, FtpAsked};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::sockopt,
    process::Signal,
};

use super::{
    folder::{BoundFolder, FolderError},
    log_socket::{Followed, LogSocket},
    question::{self, QUESTION_MAX_BYTES, QuestionError},
    sessions_before::Incarnation,
};
use crate::{
    admission,
    config::Config,
    ftp::config::FtpConfig,
    log,
    refusal::Refusal,
    registry::{Hosting, Registry, RegistryError},
    system_users::{Accounts, AccountsError},
};

/// How long pure-ftpd may take to ask, and serve to decide.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a killed process may take to be gone.
const KILLED: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The one who asks is not pure-ftpd before its log-in.
    #[error("whoever asks is not root, or is gone")]
    Foreign,
    /// Whoever connected asked nothing: `latchkey doctor` looks whether somebody answers here.
    #[error("nothing was asked")]
    Silent,
    /// pure-ftpd did not ask, or not in time.
    #[error("the FTP server's question cannot be read")]
    Ask(#[source] io::Error),
    /// The question cannot be answered.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// serve does not answer.
    #[error("serve does not answer")]
    Serve(#[from] FrameError),
    /// Somebody who is not serve answers in its place.
    #[error("what answers in serve's place runs as user {0}")]
    NotServe(u32),
    /// serve said no, or took its word back.
    #[error("serve refused it")]
    Refused,
    /// The registry has no such hosting, or it is not what was registered.
    #[error("the hosting cannot be used: {0}")]
    Hosting(String),
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The node's accounts cannot be read.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The answer cannot be told.
    #[error("the FTP server does not take the answer")]
    Answer(#[source] io::Error),
}

impl From<Refusal> for SessionError {
    fn from(refusal: Refusal) -> Self {
        Self::Hosting(refusal.message)
    }
}

/// What a session is decided with.
#[derive(Debug)]
pub struct Sessions {
    /// The broker's configuration.
    pub config: Config,
    /// Its section `[ftp]`.
    pub ftp: FtpConfig,
    /// The user id of serve.
    pub serve_uid: u32,
    /// Where the FTP server tells what its sessions do.
    pub log: Arc<LogSocket>,
}

impl Sessions {
    /// Answers one question of pure-ftpd, and stays with the session until its end.
    pub fn answer(&self, mut asker: UnixStream) {
        match self.let_in(&mut asker) {
            Ok(session) => {
                drop(asker);
                session.watch();
            }
            Err(error) => {
                // A wrong password is everyday; serve has it in the audit.
                if !matches!(error, SessionError::Refused | SessionError::Silent) {
                    log::warn("let nobody in", &[("error", &log::chain(&error))]);
                }
                let _ = asker.write_all(b"auth_ok:-1\nend\n");
            }
        }
    }

    fn let_in(&self, asker: &mut UnixStream) -> Result<Session, SessionError> {
        let incarnation = asking_process(asker)?;
        let process = incarnation.open().ok_or(SessionError::Foreign)?;
        let sign_in = question::parse(&read_question(asker)?)?;
        let serve = connect(&self.ftp.serve_socket, self.serve_uid)?;
        serve.send(&FtpAsked::SignIn(sign_in), &[])?;
        let (FtpAnswered::Welcome { hosting, path, quota_bytes }, _) = serve.receive()? else {
            return Err(SessionError::Refused);
        };
        let hosting = self.find(&hosting)?;
        let folder = BoundFolder::bind(&hosting, &path, incarnation.folder_in(&self.ftp.folders))?;
        let serve = Arc::new(serve);
        let followed = self.log.follow(incarnation.pid(), folder.at().to_owned(), Arc::clone(&serve));
        let session = Session { process, serve, folder: Some(folder), followed: Some(followed) };
        if session.must_end() {
            return Err(SessionError::Refused);
        }
        let at = session.folder.as_ref().map(|folder| folder.at().display().to_string()).unwrap_or_default();
        let quota = quota_bytes.map(|bytes| format!("user_quota_size:{bytes}\n")).unwrap_or_default();
        let answer = format!("auth_ok:1\nuid:{}\ngid:{}\ndir:{at}/./\n{quota}end\n", hosting.uid, hosting.gid);
        asker.write_all(answer.as_bytes()).map_err(SessionError::Answer)?;
        log::info("let somebody in by FTP", &[("hosting", &hosting.hosting), ("folder", &path.to_string())]);
        Ok(session)
    }

    /// From the registry as it is now, and checked as for every other use.
    fn find(&self, id: &str) -> Result<Hosting, SessionError> {
        let registry = Registry::load(&self.config.state_dir)?;
        let hosting = registry.find(id).ok_or_else(Refusal::unknown_hosting)?;
        admission::readmit(hosting, &self.config, &Accounts::read()?)?;
        Ok(hosting.clone())
    }
}

/// A session that was let in. Dropped, its process is killed and its folder is gone.
struct Session {
    process: OwnedFd,
    serve: Arc<FrameSocket>,
    folder: Option<BoundFolder>,
    followed: Option<Followed>,
}

impl Session {
    /// Whether serve has closed the connection, or is gone.
    fn must_end(&self) -> bool {
        let mut serve = [PollFd::from_borrowed_fd(self.serve.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(rustix::event::poll(&mut serve, Some(&now)), Ok(0))
    }

    /// Waits until the session is over or has to be.
    fn watch(self) {
        let mut watched = [
            PollFd::from_borrowed_fd(self.process.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.serve.as_fd(), PollFlags::IN),
        ];
        while rustix::event::poll(&mut watched, None) == Err(rustix::io::Errno::INTR) {}
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
        let over = wait_for_end(&self.process);
        // What it did is told before its end is.
        drop(self.followed.take());
        drop(self.folder.take());
        match over {
            // serve may be gone.
            Ok(()) => drop(self.serve.send(&FtpAsked::Ended, &[])),
            Err(error) => log::warn("an FTP session does not end", &[("error", &error.to_string())]),
        }
    }
}

/// Waits for the end of a process that was killed.
///
/// # Errors
/// When it is still there after some seconds: it hangs in the kernel.
pub fn wait_for_end(process: &OwnedFd) -> io::Result<()> {
    let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut ended, Some(&KILLED)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Connects to serve, and to nobody else.
pub fn connect(socket: &Path, serve_uid: u32) -> Result<FrameSocket, SessionError> {
    let serve = FrameSocket::connect(socket)?;
    match serve.peer_uid()? {
        uid if uid == serve_uid => {}
        uid => return Err(SessionError::NotServe(uid)),
    }
    serve.set_timeouts(Some(PATIENCE))?;
    Ok(serve)
}

/// The process that asks: the one of the session, which is root until somebody is let in.
fn asking_process(asker: &UnixStream) -> Result<Incarnation, SessionError> {
    let credentials = sockopt::socket_peercred(asker).map_err(|_| SessionError::Foreign)?;
    if !credentials.uid.is_root() {
        return Err(SessionError::Foreign);
    }
    Incarnation::of(credentials.pid.as_raw_nonzero().get()).ok_or(SessionError::Foreign)
}

fn read_question(asker: &mut UnixStream) -> Result<Vec<u8>, SessionError> {
    asker.set_read_timeout(Some(PATIENCE)).map_err(SessionError::Ask)?;
    asker.set_write_timeout(Some(PATIENCE)).map_err(SessionError::Ask)?;
    let mut question = Vec::new();
    let mut part = [0; 1024];
    while !question::is_whole(&question) {
        let read = asker.read(&mut part).map_err(SessionError::Ask)?;
        if read == 0 && question.is_empty() {
            return Err(SessionError::Silent);
        }
        if read == 0 || question.len() + read > QUESTION_MAX_BYTES {
            return Err(SessionError::Ask(io::ErrorKind::InvalidData.into()));
        }
        question.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    Ok(question)
}
