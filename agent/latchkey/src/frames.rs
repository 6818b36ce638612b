//! Frames of another process of the agent, received and sent without blocking a thread.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use latchkey_protocol::{FrameError, FrameListener, FrameSocket};
use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::{AsFd, AsRawFd};
use tokio::io::unix::AsyncFd;

/// A socket that frames are listened for at.
pub(crate) struct Frames(AsyncFd<FrameListener>);

/// A connection that speaks in frames.
pub(crate) struct Connection(AsyncFd<FrameSocket>);

impl Frames {
    /// Binds `path`, in place of what an earlier run left; the mode is the owner's and the group's: who
    /// connects is root without the right to pass over modes, and is in the group. Needs the runtime of tokio.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = FrameListener::bind(path).map_err(io::Error::other)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        set_nonblocking(&listener)?;
        Ok(Self(register(listener)?))
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Connection> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.0.get_ref().accept() {
                Err(FrameError::TimedOut) => ready.clear_ready(),
                Err(error) => return Err(io::Error::other(error)),
                Ok(socket) => {
                    set_nonblocking(&socket)?;
                    return Ok(Connection(register(socket)?));
                }
            }
        }
    }
}

impl Connection {
    /// The next frame; no descriptors are expected beside it.
    pub(crate) async fn receive<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        loop {
            let mut ready = self.0.readable().await.map_err(|_| FrameError::Closed)?;
            match self.0.get_ref().receive() {
                Err(FrameError::TimedOut) => ready.clear_ready(),
                received => return received.map(|(value, _)| value),
            }
        }
    }

    /// Sends a frame. The first ones of a connection always have room.
    pub(crate) fn send(&self, value: &impl Serialize) -> Result<(), FrameError> {
        self.0.get_ref().send(value, &[])
    }

    /// The user id that the peer had when it connected, from the kernel.
    pub(crate) fn peer_uid(&self) -> Result<u32, FrameError> {
        self.0.get_ref().peer_uid()
    }

    /// Tells the peer that nothing more comes; what it still says is received.
    pub(crate) fn finish(&self) {
        // Refused only where the peer is gone already.
        let _ = rustix::net::shutdown(self.0.get_ref(), rustix::net::Shutdown::Write);
    }
}

/// One of the two above, which own a descriptor and always name that one.
#[expect(unsafe_code, reason = "tokio has to be told that the descriptor stays the same")]
fn register<S: AsRawFd + Ours>(socket: S) -> io::Result<AsyncFd<S>> {
    // SAFETY: both implementations own one descriptor from beginning to end and always name that one.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// What is known to keep its descriptor.
trait Ours {}
impl Ours for FrameSocket {}
impl Ours for FrameListener {}

fn set_nonblocking(socket: &(impl AsFd + AsRawFd)) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(socket)?;
    Ok(rustix::fs::fcntl_setfl(socket, flags | OFlags::NONBLOCK)?)
}
