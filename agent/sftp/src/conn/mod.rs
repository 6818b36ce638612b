//! A connection as the SSH layer sees it: a socket with a gate for what comes in and a switch that ends it.
//!
//! The SSH layer refills its windows by itself, whether or not anybody has worked off what came in. So the bound is
//! here: while more is queued than [`Gate`] allows, nothing is read from the socket.

mod ending;
mod gate;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub use ending::SessionHandle;
pub(crate) use ending::{Alive, EndsWithConnection, Switch};
pub(crate) use gate::Gate;

const READ_BUFFER_BYTES: usize = 32 * 1024;
/// The longest identification line of RFC 4253 without its line end.
const IDENTIFICATION_MAX_BYTES: usize = 253;

/// A socket behind a gate.
pub(crate) struct Conn {
    stream: Arc<TcpStream>,
    gate: Arc<Gate>,
    buffer: Box<[u8]>,
    /// What of the buffer has been read and not handed on.
    from: usize,
    to: usize,
}

impl Conn {
    /// Takes over an accepted socket. Nagle's algorithm is turned off: it halves the speed of uploads.
    pub(crate) fn over(stream: TcpStream, gate: Arc<Gate>) -> io::Result<(Self, Switch)> {
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        let stream = Arc::new(stream);
        let switch = Switch::of(&stream, &gate);
        let buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Ok((Self { stream, gate, buffer, from: 0, to: 0 }, switch))
    }

    /// Reads into the empty buffer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Poll::Ready(readiness) = self.stream.poll_read_ready(context) else {
                self.gate.waits_for_input();
                return Poll::Pending;
            };
            readiness?;
            match self.stream.try_read(&mut self.buffer) {
                Ok(count) => {
                    (self.from, self.to) = (0, count);
                    self.gate.note_identification(|| identification(self.buffer.get(..count).unwrap_or_default()));
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.gate.poll_open(context))?;
        if this.from == this.to {
            ready!(this.poll_fill(context))?;
        }
        let available = this.buffer.get(this.from..this.to).unwrap_or_default();
        let some = available.len().min(into.remaining());
        into.put_slice(available.get(..some).unwrap_or_default());
        this.from += some;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let Poll::Ready(readiness) = this.stream.poll_write_ready(context) else {
                this.gate.waits_for_output();
                return Poll::Pending;
            };
            readiness?;
            match this.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    this.gate.note_progress();
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write) {
            // It is shut already: the peer was faster, or the switch.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// What a client calls itself in the first line it sends, if that came in one piece; other bytes than printable ASCII
/// are left out, so that it can be logged.
fn identification(first: &[u8]) -> String {
    let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let printable = line.iter().filter(|byte| matches!(byte, b' '..=b'~')).take(IDENTIFICATION_MAX_BYTES);
    printable.map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_in_one_printable_line() {
        assert_eq!(identification(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\0\0\x05"), "SSH-2.0-OpenSSH_9.2p1 Debian");
        assert_eq!(identification(b"SSH-2.0-\x1b[31m\xffx\n"), "SSH-2.0-[31mx");
        assert_eq!(identification(&[b'x'; 4000]).len(), IDENTIFICATION_MAX_BYTES);
    }
}
