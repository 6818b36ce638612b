//! The socket that is `/dev/log` for pure-ftpd: what its sessions do to files is told to serve, each over its own
//! connection.
//!
//! The kernel says which process sent a message, so no session speaks for another one. pure-ftpd waits while nobody takes
//! its messages: none is lost, and no more of them wait than a socket holds. All of them go on to the node's own log.

use std::{
    collections::HashMap,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{fd::AsFd as _, unix::net::UnixDatagram},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use latchkey_protocol::{FrameSocket, FtpAsked};
use rustix::{
    event::{PollFd, PollFlags},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, UCred, sockopt},
};

use super::log_line;
use crate::log;

/// pure-ftpd writes shorter lines: a path has 4096 bytes at most.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// As many messages are read in a row at most; more than wait in a socket.
const AT_ONCE: usize = 4096;

/// Where the node's own log listens.
const NODE_LOG: &str = "/dev/log";

/// The socket, and whose messages are listened to.
#[derive(Debug)]
pub struct LogSocket {
    socket: UnixDatagram,
    to_node: UnixDatagram,
    /// By process.
    sessions: Mutex<HashMap<i32, Arc<Teller>>>,
    /// Held while messages are read and told, so that they are told in their order.
    buffer: Mutex<Vec<u8>>,
}

/// A session whose messages are told to serve.
#[derive(Debug)]
struct Teller {
    folder: PathBuf,
    serve: Arc<FrameSocket>,
    was_heard: AtomicBool,
    /// serve does not take what is told.
    is_cut_off: AtomicBool,
}

impl LogSocket {
    /// Listens at a socket that is bound.
    ///
    /// # Errors
    /// When the kernel is not willing to name senders, or no other socket can be made.
    pub fn over(socket: UnixDatagram) -> io::Result<Self> {
        sockopt::set_socket_passcred(&socket, true)?;
        let to_node = UnixDatagram::unbound()?;
        to_node.set_nonblocking(true)?;
        let buffer = Mutex::new(vec![0; LINE_MAX_BYTES]);
        Ok(Self { socket, to_node, sessions: Mutex::default(), buffer })
    }

    /// Reads for ever.
    pub fn read(&self) -> ! {
        loop {
            let mut readable = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            let _ = rustix::event::poll(&mut readable, None);
            self.read_what_waits();
        }
    }

    /// From here on, and until the reply is dropped, what this process does to files beneath `folder` is told to `serve`.
    pub fn follow(self: &Arc<Self>, pid: i32, folder: PathBuf, serve: Arc<FrameSocket>) -> Followed {
        // What an earlier process of the same number said is its own.
        self.read_what_waits();
        let (was_heard, is_cut_off) = (AtomicBool::new(false), AtomicBool::new(false));
        let teller = Arc::new(Teller { folder, serve, was_heard, is_cut_off });
        lock(&self.sessions).insert(pid, Arc::clone(&teller));
        Followed { log: Arc::clone(self), pid, teller }
    }

    fn read_what_waits(&self) {
        let mut buffer = lock(&self.buffer);
        for _ in 0..AT_ONCE {
            match receive(&self.socket, &mut buffer) {
                Ok((line, Some(sender))) => self.take(line, sender),
                Ok((_, None)) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&self, line: &[u8], sender: UCred) {
        let pid = sender.pid.as_raw_nonzero().get();
        if u32::try_from(pid) == Ok(std::process::id()) {
            // The node's log is this very socket: it would go round for ever.
            return;
        }
        // A node without a log has none to keep.
        let _ = self.to_node.send_to(line, NODE_LOG);
        let teller = lock(&self.sessions).get(&pid).map(Arc::clone);
        if let Some(teller) = teller {
            teller.was_heard.store(true, Ordering::Relaxed);
            teller.tell(line);
        }
    }
}

impl Teller {
    fn tell(&self, line: &[u8]) {
        let Some(did) = log_line::parse(line, &self.folder) else { return };
        if self.is_cut_off.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.serve.send(&FtpAsked::Did(did), &[]) {
            self.is_cut_off.store(true, Ordering::Relaxed);
            log::warn("serve does not take what an FTP session does", &[("error", &log::chain(&error))]);
        }
    }
}

/// A session that is listened to. Dropped, all that it has said was told.
#[derive(Debug)]
pub struct Followed {
    log: Arc<LogSocket>,
    pid: i32,
    teller: Arc<Teller>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.log.read_what_waits();
        let mut sessions = lock(&self.log.sessions);
        // The number may be another session's by now.
        if sessions.get(&self.pid).is_some_and(|teller| Arc::ptr_eq(teller, &self.teller)) {
            sessions.remove(&self.pid);
        }
        drop(sessions);
        if !self.teller.was_heard.load(Ordering::Relaxed) {
            let message = "an FTP session logged nothing here: what such sessions do to files is in no audit";
            log::warn(message, &[("pid", &self.pid.to_string())]);
        }
    }
}

/// The next message that waits, and who the kernel says sent it.
fn receive<'b>(socket: &UnixDatagram, buffer: &'b mut [u8]) -> io::Result<(&'b [u8], Option<UCred>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut parts, &mut beside, flags)?;
    let sender = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender),
        _ => None,
    });
    Ok((buffer.get(..received.bytes).unwrap_or_default(), sender))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
