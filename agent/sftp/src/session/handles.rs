//! The open files and directories of a session, by the number that the client knows.

use std::collections::HashMap;
use std::sync::Arc;

use latchkey_files::tree::OpenFile;
use latchkey_protocol::SitePath;

use super::Notes;
use super::listing::Listing;
use crate::gatekeeper::FileEvent;
use crate::packet::request::HandleId;
use crate::packet::status::Status;
use crate::quota::Counted;

/// As many may be open in a session; `limits@openssh.com` says so.
pub(super) const HANDLES_MAX: usize = 100;

/// All that is open.
#[derive(Debug, Default)]
pub(super) struct Handles {
    open: HashMap<HandleId, Handle>,
    last: u32,
}

/// Something open.
#[derive(Debug)]
pub(super) enum Handle {
    File(FileHandle),
    Directory(Listing),
}

/// What a file was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenedFor {
    pub(super) reading: bool,
    pub(super) writing: bool,
}

/// An open file.
#[derive(Debug)]
pub(super) struct FileHandle {
    /// Gone before the file is: whoever measures looks at no file of a session that is over.
    pub(super) _counted: Option<Counted>,
    pub(super) file: Arc<OpenFile>,
    /// As the client wrote it.
    pub(super) path: SitePath,
    pub(super) opened_for: OpenedFor,
    /// Under which name it is going to be published, if it has none yet.
    pub(super) upload: Option<SitePath>,
    /// What went wrong in writing it: then it is not published.
    pub(super) failed: Option<Status>,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

impl Handles {
    /// Refuses what would be one too many.
    pub(super) fn ensure_room(&self) -> Result<(), Status> {
        if self.open.len() < HANDLES_MAX { Ok(()) } else { Err(Status::TooManyHandles) }
    }

    /// Gives something a number that it has had never before, or not for four billion.
    pub(super) fn insert(&mut self, handle: Handle) -> HandleId {
        let id = loop {
            self.last = self.last.wrapping_add(1).max(1);
            let id = HandleId(self.last);
            if !self.open.contains_key(&id) {
                break id;
            }
        };
        self.open.insert(id, handle);
        id
    }

    pub(super) fn remove(&mut self, id: HandleId) -> Result<Handle, Status> {
        self.open.remove(&id).ok_or(Status::BadHandle)
    }

    pub(super) fn get(&self, id: HandleId) -> Result<&Handle, Status> {
        self.open.get(&id).ok_or(Status::BadHandle)
    }

    pub(super) fn file(&mut self, id: HandleId) -> Result<&mut FileHandle, Status> {
        match self.open.get_mut(&id) {
            Some(Handle::File(file)) => Ok(file),
            _ => Err(Status::BadHandle),
        }
    }

    pub(super) fn file_for_reading(&mut self, id: HandleId) -> Result<&mut FileHandle, Status> {
        let file = self.file(id)?;
        if file.opened_for.reading { Ok(file) } else { Err(Status::NotOpenedForThis) }
    }

    pub(super) fn file_for_writing(&mut self, id: HandleId) -> Result<&mut FileHandle, Status> {
        let file = self.file(id)?;
        if file.opened_for.writing { Ok(file) } else { Err(Status::NotOpenedForThis) }
    }

    pub(super) fn directory(&mut self, id: HandleId) -> Result<&mut Listing, Status> {
        match self.open.get_mut(&id) {
            Some(Handle::Directory(listing)) => Ok(listing),
            _ => Err(Status::BadHandle),
        }
    }

    /// The files that have no name yet.
    pub(super) fn uploads(&mut self) -> impl Iterator<Item = &mut FileHandle> {
        self.open.values_mut().filter_map(|handle| match handle {
            Handle::File(file) if file.upload.is_some() => Some(file),
            _ => None,
        })
    }

    /// All of them; none are left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Handle> {
        self.open.drain().map(|(_, handle)| handle)
    }
}

impl Handle {
    pub(super) fn path(&self) -> &SitePath {
        match self {
            Self::File(file) => &file.path,
            Self::Directory(listing) => listing.path(),
        }
    }

    /// Notes what was done through it. What was never published was not uploaded.
    pub(super) fn note_end(&self, notes: &dyn Notes) {
        let Self::File(file) = self else { return };
        if file.written_bytes > 0 && file.upload.is_none() {
            notes.note(FileEvent::Uploaded { path: file.path.clone(), bytes: file.written_bytes });
        }
        if file.read_bytes > 0 {
            notes.note(FileEvent::Downloaded { path: file.path.clone(), bytes: file.read_bytes });
        }
    }
}

impl FileHandle {
    /// Whether `path` means the name it is going to have.
    pub(super) fn is_to_be(&self, path: &SitePath) -> bool {
        self.upload.as_ref().is_some_and(|target| target == path || self.path == *path)
    }

    /// Whether the name it is going to have is `path` or beneath it.
    pub(super) fn is_to_be_beneath(&self, path: &SitePath) -> bool {
        self.upload.as_ref().is_some_and(|target| target.is_beneath(path) || self.path.is_beneath(path))
    }
}
