//! The socket that pure-ftpd asks at, root's alone; each question in a thread of its own, which stays with the session.

use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixListener},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::fs::Mode;

use super::session::Sessions;
use crate::{log, slots::Slots};

/// How long to wait when no connection can be accepted (out of descriptors), so that the log does not fill.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a socket of either kind to `path`, for root alone. One that is left over is replaced.
///
/// # Errors
/// When something else is in the way, or the directory cannot be written to.
pub fn bind<S>(path: &Path, bind: impl FnOnce(&Path) -> io::Result<S>) -> io::Result<S> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let former = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = bind(path);
    rustix::process::umask(former);
    bound
}

/// Answers for ever. Beyond the number of sessions nobody is let in.
pub fn serve(listener: &UnixListener, sessions: &Arc<Sessions>) -> ! {
    let slots = Slots::new(sessions.ftp.sessions, sessions.ftp.sessions);
    loop {
        let asker = match listener.accept() {
            Ok((asker, _)) => asker,
            Err(error) => {
                log::warn("cannot accept a question", &[("error", &error.to_string())]);
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        // Dropped unanswered, which pure-ftpd takes for a no.
        let Ok(slot) = slots.take("") else {
            log::warn("as many FTP sessions as are allowed are open", &[]);
            continue;
        };
        let sessions = Arc::clone(sessions);
        let started = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            sessions.answer(asker);
            drop(slot);
        });
        if let Err(error) = started {
            log::warn("cannot start a thread for a question", &[("error", &error.to_string())]);
        }
    }
}
