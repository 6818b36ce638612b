//! One connection between two of our processes: whole frames in, whole frames out, descriptors beside them.
//!
//! Lengths and counts are bounded before anything is parsed. Who the peer may be is the listener's business.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// The longest frame in bytes.
pub const FRAME_MAX_BYTES: usize = 64 * 1024;

/// The most descriptors that a frame may carry.
pub const DESCRIPTORS_MAX: usize = 4;

thread_local! {
    /// Where this thread receives, so that not each frame costs the zeroes of the longest one.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; FRAME_MAX_BYTES]);
}

/// Why a frame could not be sent or received. After any of these but [`FrameError::TimedOut`] drop the peer.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// The time set by [`FrameSocket::set_timeouts`] passed, or a non-blocking socket is not ready.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// A frame longer than [`FRAME_MAX_BYTES`].
    #[error("a frame is longer than {FRAME_MAX_BYTES} bytes")]
    TooLong,
    /// More than [`DESCRIPTORS_MAX`] descriptors, or some that were lost on the way.
    #[error("a frame carries more than {DESCRIPTORS_MAX} descriptors, or some of them were lost")]
    Descriptors,
    /// A frame that is not what was expected.
    #[error("a frame is malformed")]
    Malformed(#[source] serde_json::Error),
    /// A value that cannot be written as a frame.
    #[error("a value cannot be written as a frame")]
    Encode(#[source] serde_json::Error),
    /// A system call failed.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A connected `SOCK_SEQPACKET` Unix socket that speaks in frames.
///
/// Calls block unless the descriptor was made non-blocking. Dropping it closes the connection.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
}

impl FrameSocket {
    /// Connects to the listener at `path`. Blocks while the listener's queue is full.
    pub fn connect(path: &Path) -> Result<FrameSocket, FrameError> {
        let address = SocketAddrUnix::new(path).map_err(system("name the socket to connect to"))?;
        let fd = seqpacket().map_err(system("make a socket"))?;
        rustix::net::connect(&fd, &address).map_err(system("connect to the socket"))?;
        Ok(FrameSocket { fd })
    }

    /// Two connected ends, for a worker or a test.
    pub fn pair() -> Result<(FrameSocket, FrameSocket), FrameError> {
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(system("make a pair of sockets"))?;
        Ok((FrameSocket { fd: a }, FrameSocket { fd: b }))
    }

    /// Sends one frame with `descriptors` beside it; they stay open on this side.
    pub fn send(&self, value: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<(), FrameError> {
        let bytes = serde_json::to_vec(value).map_err(FrameError::Encode)?;
        if bytes.len() > FRAME_MAX_BYTES {
            return Err(FrameError::TooLong);
        }
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(FrameError::Descriptors);
        }
        self.send_bytes(&bytes, descriptors)
    }

    /// Receives one frame and the descriptors beside it, which are close-on-exec.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), FrameError> {
        BUFFER.with_borrow_mut(|buffer| {
            let (bytes, descriptors) = self.receive_bytes(buffer)?;
            let value = serde_json::from_slice(bytes).map_err(FrameError::Malformed)?;
            Ok((value, descriptors))
        })
    }

    /// Bounds the time that one [`send`](Self::send) or [`receive`](Self::receive) may wait; `None` waits for ever.
    pub fn set_timeouts(&self, timeout: Option<Duration>) -> Result<(), FrameError> {
        for direction in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&self.fd, direction, timeout).map_err(system("set the socket's timeouts"))?;
        }
        Ok(())
    }

    /// The user id that the peer had when it connected, from the kernel.
    pub fn peer_uid(&self) -> Result<u32, FrameError> {
        let credentials = sockopt::socket_peercred(&self.fd).map_err(system("read the peer's credentials"))?;
        Ok(credentials.uid.as_raw())
    }

    /// Closes the connection in both directions, so that a `receive` in another thread returns and the peer sees the
    /// end, while the descriptor stays open until drop.
    pub fn shutdown(&self) -> Result<(), FrameError> {
        rustix::net::shutdown(&self.fd, Shutdown::Both).map_err(system("close the connection"))
    }

    /// Sends bytes as one frame, whatever they say: how a test plays a peer that is not one of ours.
    pub fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), FrameError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(FrameError::Descriptors);
        }
        let sent = loop {
            match rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
                    return Err(FrameError::Closed);
                }
                Err(Errno::AGAIN) => return Err(FrameError::TimedOut),
                other => break other.map_err(system("send a frame"))?,
            }
        };
        // A packet is sent whole or not at all; anything else is not the socket we believe to have.
        if sent == bytes.len() { Ok(()) } else { Err(FrameError::TooLong) }
    }

    /// Receives a frame into a buffer of [`FRAME_MAX_BYTES`].
    fn receive_bytes<'b>(&self, buffer: &'b mut [u8]) -> Result<(&'b [u8], Vec<OwnedFd>), FrameError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let mut parts = [IoSliceMut::new(buffer)];
            match rustix::net::recvmsg(&self.fd, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(FrameError::TimedOut),
                Err(Errno::CONNRESET) => return Err(FrameError::Closed),
                other => break other.map_err(system("receive a frame"))?,
            }
        };
        // Taken out first, so that they are closed whatever is refused below.
        let mut descriptors = Vec::new();
        let mut foreign = false;
        for part in control.drain() {
            match part {
                RecvAncillaryMessage::ScmRights(fds) => descriptors.extend(fds),
                _ => foreign = true,
            }
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(FrameError::TooLong);
        }
        if foreign || message.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > DESCRIPTORS_MAX {
            return Err(FrameError::Descriptors);
        }
        if message.bytes == 0 {
            return Err(FrameError::Closed);
        }
        Ok((buffer.get(..message.bytes).ok_or(FrameError::TooLong)?, descriptors))
    }
}

impl From<OwnedFd> for FrameSocket {
    fn from(fd: OwnedFd) -> FrameSocket {
        FrameSocket { fd }
    }
}

impl From<FrameSocket> for OwnedFd {
    fn from(socket: FrameSocket) -> OwnedFd {
        socket.fd
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for FrameSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

pub(crate) fn seqpacket() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

pub(crate) fn system(action: &'static str) -> impl Fn(Errno) -> FrameError {
    move |source| FrameError::System { action, source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::io::FdFlags;

    use super::*;
    use crate::Request;

    fn request() -> Request {
        Request::DropHosting { hosting: "h1".into() }
    }

    #[track_caller]
    fn receive(from: &FrameSocket) -> Result<(Request, Vec<OwnedFd>), FrameError> {
        from.receive::<Request>()
    }

    #[test]
    fn a_frame_arrives_whole_with_its_descriptors_closed_on_exec() {
        let (a, b) = FrameSocket::pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        a.send(&request(), &[writer.as_fd(), reader.as_fd()]).unwrap();
        let (received, descriptors) = receive(&b).unwrap();
        assert_eq!(received, request());
        assert_eq!(descriptors.len(), 2);
        for fd in &descriptors {
            assert_eq!(rustix::io::fcntl_getfd(fd).unwrap(), FdFlags::CLOEXEC);
        }
        let mut end = std::fs::File::from(descriptors.into_iter().next().unwrap());
        end.write_all(b"x").unwrap();
    }

    #[test]
    fn a_frame_of_the_full_length_passes_and_one_byte_more_is_refused_by_both_sides() {
        let (a, b) = FrameSocket::pair().unwrap();
        let full = "x".repeat(FRAME_MAX_BYTES - 2);
        a.send(&full, &[]).unwrap();
        assert_eq!(b.receive::<String>().unwrap().0, full);
        assert!(matches!(a.send(&format!("{full}x"), &[]), Err(FrameError::TooLong)));
        a.send_bytes(format!("\"{full}x\"").as_bytes(), &[]).unwrap();
        assert!(matches!(b.receive::<String>(), Err(FrameError::TooLong)));
    }

    #[test]
    fn a_truncated_or_foreign_frame_is_malformed() {
        for bytes in [
            &br#"{"drop_hosting":{"hosting":"h"#[..],
            br#"{"drop_hosting":{"hosting":"h1"}} trailing"#,
            br#"{"drop_hosting":{"hosting":"h1","uid":0}}"#,
            br#"{"drop_hosting":{"hosting":1}}"#,
            b"\xff\xfe",
            b"null",
        ] {
            let (a, b) = FrameSocket::pair().unwrap();
            a.send_bytes(bytes, &[]).unwrap();
            assert!(matches!(receive(&b), Err(FrameError::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn four_descriptors_pass_and_five_are_refused_and_closed() {
        let (reader, writer) = std::io::pipe().unwrap();
        let fd = writer.as_fd();
        let (a, b) = FrameSocket::pair().unwrap();
        a.send(&request(), &[fd; 4]).unwrap();
        assert_eq!(receive(&b).unwrap().1.len(), 4);
        assert!(matches!(a.send(&request(), &[fd; 5]), Err(FrameError::Descriptors)));
        a.send_bytes(br#""list_hostings""#, &[fd; 5]).unwrap();
        assert!(matches!(receive(&b), Err(FrameError::Descriptors)));
        // Nobody holds the write end any more, so the pipe is at its end.
        drop(writer);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }

    #[test]
    fn a_malformed_frame_closes_the_descriptors_it_brought() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (a, b) = FrameSocket::pair().unwrap();
        a.send_bytes(b"{", &[writer.as_fd()]).unwrap();
        assert!(matches!(receive(&b), Err(FrameError::Malformed(_))));
        drop(writer);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }

    #[test]
    fn a_closed_peer_is_told_apart_from_a_slow_one() {
        let (a, b) = FrameSocket::pair().unwrap();
        b.set_timeouts(Some(Duration::from_millis(10))).unwrap();
        assert!(matches!(receive(&b), Err(FrameError::TimedOut)));
        drop(a);
        assert!(matches!(receive(&b), Err(FrameError::Closed)));
        assert!(matches!(b.send(&request(), &[]), Err(FrameError::Closed)));
    }

    #[test]
    fn an_empty_packet_counts_as_the_end() {
        let (a, b) = FrameSocket::pair().unwrap();
        a.send_bytes(b"", &[]).unwrap();
        assert!(matches!(receive(&b), Err(FrameError::Closed)));
    }
}
