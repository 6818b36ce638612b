//! Telling the service manager that the broker listens (`sd_notify(3)`).

use std::{ffi::OsString, io, os::unix::ffi::OsStrExt as _};

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// Writes `READY=1` to `$NOTIFY_SOCKET`, when there is one.
pub fn notify() -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(path) if !path.is_empty() => send(&path),
        _ => Ok(()),
    }
}

fn send(path: &OsString) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(path.as_os_str())?,
    };
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sendto(&socket, b"READY=1", SendFlags::NOSIGNAL, &address)?;
    Ok(())
}
