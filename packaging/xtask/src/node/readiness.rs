//! How one sees that a daemon serves: its own word where it gives one, else a sign that nothing but serving gives.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a greeting may take.
const GREETING: Duration = Duration::from_millis(500);

/// How one sees that a daemon serves.
pub(crate) enum Readiness {
    /// It greets whoever connects to this Unix socket. (MariaDB accepts a little before it would obey SIGTERM.)
    Greets(PathBuf),
    /// It greets whoever connects to this address.
    GreetsAt(SocketAddr),
    /// It wrote its process id there, which it does once it listens.
    PidFile(PathBuf),
    /// It writes `READY=1` to this socket, which is in its environment as `NOTIFY_SOCKET`.
    Notified(UnixDatagram),
}

impl Readiness {
    /// Makes the socket for [`Readiness::Notified`]; any user may write to it.
    pub(crate) fn notified_at(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path).with_context(|| format!("bind {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).context("open the notify socket to all")?;
        socket.set_nonblocking(true).context("set the notify socket non-blocking")?;
        Ok(Self::Notified(socket))
    }

    /// Whether the daemon with this process id serves. Does not wait.
    pub(crate) fn is_reached(&self, pid: u32) -> bool {
        match self {
            Self::Greets(path) => UnixStream::connect(path)
                .is_ok_and(|connection| connection.set_read_timeout(Some(GREETING)).is_ok() && greets(connection)),
            Self::GreetsAt(address) => TcpStream::connect(address)
                .is_ok_and(|connection| connection.set_read_timeout(Some(GREETING)).is_ok() && greets(connection)),
            Self::PidFile(path) => fs::read_to_string(path).is_ok_and(|text| text.trim() == pid.to_string()),
            Self::Notified(socket) => {
                let mut message = [0_u8; 256];
                socket
                    .recv(&mut message)
                    .is_ok_and(|length| message.get(..length).is_some_and(|m| m.starts_with(b"READY=1")))
            }
        }
    }

    /// Forgets what an earlier run of the daemon said.
    pub(crate) fn forget(&self) {
        if let Self::Notified(socket) = self {
            let mut message = [0_u8; 256];
            while socket.recv(&mut message).is_ok() {}
        }
    }
}

fn greets(mut connection: impl Read) -> bool {
    connection.read_exact(&mut [0_u8]).is_ok()
}
