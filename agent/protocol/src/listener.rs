//! Where frames are listened for: a bound socket, made here or handed over by the service manager.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use rustix::{
    io::Errno,
    net::{SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

use crate::frame::{FrameError, FrameSocket, seqpacket, system};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 64;

/// A listening `SOCK_SEQPACKET` Unix socket.
#[derive(Debug)]
pub struct FrameListener {
    fd: OwnedFd,
}

impl FrameListener {
    /// Binds `path`, which must not exist, and listens. The file's mode follows the umask.
    pub fn bind(path: &Path) -> Result<FrameListener, FrameError> {
        let address = SocketAddrUnix::new(path).map_err(system("name the socket to listen on"))?;
        let fd = seqpacket().map_err(system("make a socket"))?;
        rustix::net::bind(&fd, &address).map_err(system("bind the socket"))?;
        rustix::net::listen(&fd, BACKLOG).map_err(system("listen on the socket"))?;
        Ok(FrameListener { fd })
    }

    /// Takes over a listening socket; refused unless it is one of the right kind.
    pub fn from_listening(fd: OwnedFd) -> Result<FrameListener, FrameError> {
        let kind = sockopt::socket_type(&fd).map_err(system("read the type of the socket handed over"))?;
        let listening = sockopt::socket_acceptconn(&fd).map_err(system("read the state of the socket handed over"))?;
        if kind != SocketType::SEQPACKET || !listening {
            return Err(system("use the socket handed over, which is not a listening SOCK_SEQPACKET")(Errno::INVAL));
        }
        Ok(FrameListener { fd })
    }

    /// Waits for the next connection. A non-blocking listener without one answers [`FrameError::TimedOut`].
    pub fn accept(&self) -> Result<FrameSocket, FrameError> {
        loop {
            match rustix::net::accept_with(&self.fd, SocketFlags::CLOEXEC) {
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return Err(FrameError::TimedOut),
                other => {
                    return Ok(FrameSocket::from(other.map_err(system("accept a connection"))?));
                }
            }
        }
    }
}

impl AsFd for FrameListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for FrameListener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_tells_the_uid_of_its_peer() {
        let dir = std::env::temp_dir().join(format!("lk-frames-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("s");
        let listener = FrameListener::bind(&path).unwrap();
        let client = FrameSocket::connect(&path).unwrap();
        let served = listener.accept().unwrap();
        assert_eq!(served.peer_uid().unwrap(), rustix::process::getuid().as_raw());
        client.send(&"hello", &[]).unwrap();
        assert_eq!(served.receive::<String>().unwrap().0, "hello");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_a_listening_socket_of_frames_is_taken_over() {
        let (a, _b) = FrameSocket::pair().unwrap();
        assert!(FrameListener::from_listening(a.into()).is_err());
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(FrameListener::from_listening(reader.into()).is_err());
    }
}
