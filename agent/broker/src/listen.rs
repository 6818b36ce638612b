//! The socket: bound so that only serve can connect, each connection checked and answered in a thread of its own.

use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::FileTypeExt as _},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use latchkey_protocol::{Asked, FrameError, FrameListener, FrameSocket, Reply};
use rustix::{
    fs::Mode,
    process::{Gid, Uid},
};

use crate::{
    log,
    refusal::Refusal,
    slots::{Slot, Slots},
    system_users::SystemUser,
    verbs::{Answer, Broker},
};

/// How long a peer may take to send its request, and to take its reply.
const FRAME_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted (out of descriptors), so that the log does not fill.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another broker answers there.
    #[error("another broker is listening on {0:?} already")]
    InUse(std::path::PathBuf),
    /// Something that is no socket is in the way.
    #[error("{0:?} is in the way and is no socket")]
    InTheWay(std::path::PathBuf),
    /// The directory or the file cannot be prepared.
    #[error("cannot {action} {path:?}")]
    Prepare {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The socket itself fails.
    #[error("cannot listen")]
    Socket(#[source] FrameError),
}

/// Binds `path` for serve: owner root, serve's group, mode 0660. A socket left over by a dead broker is replaced.
pub fn bind(path: &Path, serve: &SystemUser) -> Result<FrameListener, ListenError> {
    let failed = |action| {
        let path = path.to_owned();
        move |source: io::Error| ListenError::Prepare { action, path, source }
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
    }
    remove_leftover(path)?;
    // Nobody can connect before the owner and the mode are right.
    let former = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = FrameListener::bind(path);
    rustix::process::umask(former);
    let listener = bound.map_err(ListenError::Socket)?;
    let group = Gid::from_raw(serve.gid);
    rustix::fs::chown(path, Some(Uid::ROOT), Some(group))
        .map_err(io::Error::from)
        .map_err(failed("change the group of"))?;
    rustix::fs::chmod(path, Mode::from_raw_mode(0o660))
        .map_err(io::Error::from)
        .map_err(failed("change the mode of"))?;
    Ok(listener)
}

/// Accepts for ever, each connection in a thread of its own; beyond `connections` they are refused as busy.
pub fn serve(listener: &FrameListener, broker: &Arc<Broker>, serve: &SystemUser, connections: usize) -> ! {
    let slots = Slots::new(connections, connections);
    let serve_uid = serve.uid;
    loop {
        let connection = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                log::warn("cannot accept a connection", &[("error", &log::chain(&error))]);
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        if !is_allowed(&connection, serve_uid) {
            continue;
        }
        let Ok(slot) = slots.take("") else {
            refuse_busy(&connection);
            continue;
        };
        let broker = Arc::clone(broker);
        let started = thread::Builder::new().spawn(move || answer_one(&broker, &connection, slot));
        if let Err(error) = started {
            log::warn("cannot start a thread for a connection", &[("error", &error.to_string())]);
        }
    }
}

/// Whether the peer is serve or root. Others are dropped before a byte of theirs is read.
fn is_allowed(connection: &FrameSocket, serve_uid: u32) -> bool {
    match connection.peer_uid() {
        Ok(uid) if uid == serve_uid || uid == 0 => true,
        Ok(uid) => {
            log::warn("dropped a peer that is not serve", &[("uid", &uid.to_string())]);
            false
        }
        Err(error) => {
            log::warn("dropped a peer without credentials", &[("error", &log::chain(&error))]);
            false
        }
    }
}

/// One request, one reply. A malformed frame drops the peer without one.
pub(crate) fn answer_one(broker: &Broker, connection: &FrameSocket, _slot: Slot) {
    let received = connection.set_timeouts(Some(FRAME_TIMEOUT)).and_then(|()| connection.receive::<Asked>());
    let (asked, descriptors) = match received {
        Ok(received) => received,
        Err(FrameError::Closed) => return,
        Err(error) => return log::warn("dropped a peer", &[("error", &log::chain(&error))]),
    };
    let answer = match asked.request_id {
        Some(id) if !is_request_id(&id) => {
            Answer::from(Reply::from(Refusal::invalid("request_id", "expected 1 to 64 of a-z, 0-9 and -")))
        }
        id => {
            // This thread answers one request only.
            log::set_request(id);
            broker.answer(asked.request, descriptors, connection)
        }
    };
    let beside: Vec<_> = answer.descriptor.iter().map(AsFd::as_fd).collect();
    match connection.send(&answer.reply, &beside) {
        // It went away meanwhile, which is how a PHP call is cancelled.
        Ok(()) | Err(FrameError::Closed) => {}
        Err(error) => log::warn("cannot send a reply", &[("error", &log::chain(&error))]),
    }
}

fn is_request_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn refuse_busy(connection: &FrameSocket) {
    let refusal = Refusal::busy("as many connections as the broker allows are open");
    // Without blocking the loop: the queue of a fresh connection has room.
    let _ = connection.send(&Reply::from(refusal), &[]);
}

fn remove_leftover(path: &Path) -> Result<(), ListenError> {
    let failed = |action| {
        let path = path.to_owned();
        move |source: io::Error| ListenError::Prepare { action, path, source }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => Err(ListenError::InTheWay(path.to_owned())),
        Ok(_) if FrameSocket::connect(path).is_ok() => Err(ListenError::InUse(path.to_owned())),
        Ok(_) => fs::remove_file(path).map_err(failed("remove the leftover")),
    }
}
