//! Deleting: into the trash, from where renaming brings it back, or for good.
//!
//! Each deletion has a folder of its own in the trash, named by its time. In it lies what was deleted under its whole
//! path, so that everybody can see where it was. What is deleted in the trash is gone.

use std::sync::Arc;

use jiff::Timestamp;
use latchkey_files::client::FilesError;
use latchkey_protocol::{Existing, FileFault, SitePath};

use super::hidden::{self, Kept};
use super::{Home, problem, tidy};
use crate::problem::Problem;
use crate::serve::Serve;
use crate::token::random_hex;

/// Deletes it for good, a folder with all that is in it. Not undone when it fails on the way; safe to repeat.
pub(crate) async fn remove(home: &Home, path: &SitePath) -> Result<(), Problem> {
    home.tree.remove_all(path).await.map_err(problem)
}

/// Moves it into the trash and says where it is now; what is there already is deleted for good.
pub(crate) async fn discard(serve: &Arc<Serve>, home: &Home, path: &SitePath) -> Result<Option<SitePath>, Problem> {
    if hidden::is_hidden(path) {
        remove(home, path).await?;
        return Ok(None);
    }
    tidy::note(serve, &home.hosting.id).await?;
    let entry = hidden::child(&Kept::Trash.ensure(home).await?, name(serve.state.clock.now())?.as_bytes())?;
    home.tree.make_directory(&entry, 0o700).await.map_err(problem)?;
    let moved = move_to(home, path, &entry).await;
    if moved.is_err() {
        // Nothing but empty folders: what could not be moved is where it was.
        let _ = home.tree.remove_all(&entry).await;
    }
    moved.map(Some)
}

async fn move_to(home: &Home, path: &SitePath, entry: &SitePath) -> Result<SitePath, Problem> {
    let mut to = entry.clone();
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        to = hidden::child(&to, name)?;
        if names.peek().is_some() {
            home.tree.make_directory(&to, 0o700).await.map_err(problem)?;
        }
    }
    match home.tree.rename(path, &to, Existing::Refused).await {
        Ok(()) => Ok(to),
        Err(FilesError::Fault(FileFault::OtherFileSystem)) => {
            Err(Problem::conflict("it lies on another file system than the trash; delete it for good"))
        }
        Err(error) => Err(problem(error)),
    }
}

/// A name that says when, and that nobody has.
fn name(now: Timestamp) -> Result<String, Problem> {
    let random = random_hex()?;
    Ok(format!("{}-{}", now.as_second(), random.get(..16).unwrap_or_default()))
}

/// When something of this name was deleted; none for what has another name.
pub(super) fn deleted_at(name: &[u8]) -> Option<i64> {
    let (seconds, random) = std::str::from_utf8(name).ok()?.split_once('-')?;
    let is_ours = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    seconds.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_trash_says_when() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(deleted_at(name(now).unwrap().as_bytes()), Some(1_800_000_000));
        for foreign in [
            &b"mine"[..],
            b"1800000000",
            b"1800000000-",
            b"x-0123456789abcdef",
            b"1-0123456789abcdeg",
            b"\xff-0123456789abcdef",
        ] {
            assert_eq!(deleted_at(foreign), None, "{}", foreign.escape_ascii());
        }
    }
}
