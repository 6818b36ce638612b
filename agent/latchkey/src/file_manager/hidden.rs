//! The folder in each home that holds what the file manager keeps for a while: the trash, uploads that go on, and what is
//! being made. Nobody but the system user may look into it, a web server neither.

use latchkey_protocol::{AttributeChanges, FileFault, HIDDEN_FOLDER, Links, SitePath};

use super::{FileKind, Home, problem};
use crate::problem::Problem;

/// Its name.
pub(super) const FOLDER: &[u8] = HIDDEN_FOLDER;

/// What is kept there, each in a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// What was deleted.
    Trash,
    /// Uploads in pieces.
    Uploads,
    /// What gets its name when it is whole.
    New,
}

impl Kept {
    pub(super) const ALL: [Self; 3] = [Self::Trash, Self::Uploads, Self::New];

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Trash => b"trash",
            Self::Uploads => b"uploads",
            Self::New => b"new",
        }
    }

    /// Where it is.
    pub(super) fn folder(self) -> Result<SitePath, Problem> {
        child(&child(&SitePath::ROOT, FOLDER)?, self.name())
    }

    /// Makes sure that it is there, and nobody else's business. Safe to repeat.
    pub(super) async fn ensure(self, home: &Home) -> Result<SitePath, Problem> {
        let folder = self.folder()?;
        ensure_folder(home, &child(&SitePath::ROOT, FOLDER)?).await?;
        ensure_folder(home, &folder).await?;
        Ok(folder)
    }
}

/// Whether a path is that folder, or lies in it.
pub(super) fn is_hidden(path: &SitePath) -> bool {
    path.names().next() == Some(FOLDER)
}

/// Refuses a path that leads there, whatever links it goes by.
pub(crate) async fn check(home: &Home, field: &'static str, path: &SitePath) -> Result<(), Problem> {
    let is_refused = is_hidden(path) || is_hidden(&home.tree.resolve(path).await.map_err(problem)?);
    if is_refused { Err(refused(field)) } else { Ok(()) }
}

pub(super) fn refused(field: &'static str) -> Problem {
    Problem::invalid(field, "expected nothing of what is kept in .latchkey")
}

/// A name in a folder.
pub(super) fn child(folder: &SitePath, name: &[u8]) -> Result<SitePath, Problem> {
    folder.child(name).map_err(|error| Problem::invalid("path", error.to_string()))
}

async fn ensure_folder(home: &Home, path: &SitePath) -> Result<(), Problem> {
    match home.tree.make_directory(path, 0o700).await {
        Ok(()) => return Ok(()),
        Err(latchkey_files::client::FilesError::Fault(FileFault::Exists)) => {}
        Err(error) => return Err(problem(error)),
    }
    let found = home.tree.stat(path, Links::Meant).await.map_err(problem)?;
    if FileKind::of(&found) != FileKind::Folder {
        return Err(Problem::conflict(format!("expected {path} in the home to be a folder; move it away")));
    }
    if found.mode & 0o7777 != 0o700 {
        let changes = AttributeChanges { mode: Some(0o700), ..AttributeChanges::default() };
        home.tree.set_attributes(path, Links::Meant, changes).await.map_err(problem)?;
    }
    Ok(())
}
