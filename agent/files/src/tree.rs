//! What an account sees: the files beneath one root of one hosting.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use latchkey_protocol::{
    AttributeChanges, Existing, FileAccessMode, FileAttributes, FileEntry, FileReply, FileRequest, FileSystemSpace,
    Links, OpenHow, Place, SitePath,
};
use rustix::fs::OFlags;

use crate::client::{Client, FilesError, Kept};

/// The files beneath a root. Clones share the worker.
#[derive(Debug, Clone)]
pub struct Tree {
    client: Client,
    root: SitePath,
}

/// An open regular file of the tree. What is read and written goes to the kernel, not to the worker.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
}

/// An open directory of the tree; closed on drop.
#[derive(Debug)]
pub struct Directory {
    client: Client,
    number: u64,
}

impl Tree {
    /// What lies beneath `root`, relative to the home.
    #[must_use]
    pub const fn new(client: Client, root: SitePath) -> Self {
        Self { client, root }
    }

    /// The worker's client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a regular file.
    pub async fn open(&self, path: &SitePath, how: OpenHow) -> Result<OpenFile, FilesError> {
        let access = match how.access {
            FileAccessMode::Read => OFlags::RDONLY,
            FileAccessMode::Write => OFlags::WRONLY,
            FileAccessMode::ReadWrite => OFlags::RDWR,
        };
        let append = if how.append { OFlags::APPEND } else { OFlags::empty() };
        let request = FileRequest::Open { at: self.place(path), how };
        Ok(OpenFile::from(self.client.ask_for_file(request, access | append).await?))
    }

    /// Opens a new file without a name, for reading and writing, to be published in place of the file that `path` leads
    /// to, or would. Says what its path is with all links followed. Dropped before, nothing is left of it.
    pub async fn open_unnamed(&self, path: &SitePath, mode: u32) -> Result<(OpenFile, SitePath), FilesError> {
        let request = FileRequest::OpenUnnamed { at: self.place(path), mode };
        let (file, target) = self.client.ask_for_unnamed(request).await?;
        Ok((OpenFile::from(file), target))
    }

    /// Gives an unnamed file its name, atomically, in place of the file that is there, whose mode it takes over.
    pub async fn publish(&self, file: &OpenFile, path: &SitePath) -> Result<(), FilesError> {
        self.done(FileRequest::Publish { at: self.place(path) }, Some(file.as_fd())).await
    }

    /// Attributes of a path.
    pub async fn stat(&self, path: &SitePath, links: Links) -> Result<FileAttributes, FilesError> {
        match self.client.ask(FileRequest::Stat { at: self.place(path), links }, None).await? {
            FileReply::Attributes(attributes) => Ok(attributes),
            _ => Err(self.client.not_an_answer("no attributes")),
        }
    }

    /// Changes attributes of a path.
    pub async fn set_attributes(
        &self,
        path: &SitePath,
        links: Links,
        changes: AttributeChanges,
    ) -> Result<(), FilesError> {
        self.done(FileRequest::SetAttributes { at: self.place(path), links, changes }, None).await
    }

    /// Changes attributes of an open file.
    pub async fn set_open_attributes(&self, file: &OpenFile, changes: AttributeChanges) -> Result<(), FilesError> {
        self.done(FileRequest::SetOpenAttributes { changes }, Some(file.as_fd())).await
    }

    /// Opens a directory for reading.
    pub async fn open_directory(&self, path: &SitePath) -> Result<Directory, FilesError> {
        match self.client.ask(FileRequest::OpenDirectory { at: self.place(path) }, None).await? {
            FileReply::Directory { directory } => Ok(Directory { client: self.client.clone(), number: directory }),
            _ => Err(self.client.not_an_answer("no directory")),
        }
    }

    /// Makes a directory.
    pub async fn make_directory(&self, path: &SitePath, mode: u32) -> Result<(), FilesError> {
        self.done(FileRequest::MakeDirectory { at: self.place(path), mode }, None).await
    }

    /// Removes an empty directory.
    pub async fn remove_directory(&self, path: &SitePath) -> Result<(), FilesError> {
        self.done(FileRequest::RemoveDirectory { at: self.place(path) }, None).await
    }

    /// Removes a file or a link.
    pub async fn remove_file(&self, path: &SitePath) -> Result<(), FilesError> {
        self.done(FileRequest::RemoveFile { at: self.place(path) }, None).await
    }

    /// Removes whatever it is, a directory with all that is in it. Not undone when it fails on the way; safe to repeat.
    pub async fn remove_all(&self, path: &SitePath) -> Result<(), FilesError> {
        self.done(FileRequest::RemoveAll { at: self.place(path) }, None).await
    }

    /// Renames.
    pub async fn rename(&self, from: &SitePath, to: &SitePath, existing: Existing) -> Result<(), FilesError> {
        self.done(FileRequest::Rename { from: self.place(from), to: self.place(to), existing }, None).await
    }

    /// Makes a hard link `to` to the regular file `from`.
    pub async fn hard_link(&self, from: &SitePath, to: &SitePath) -> Result<(), FilesError> {
        self.done(FileRequest::HardLink { from: self.place(from), to: self.place(to) }, None).await
    }

    /// Makes a symbolic link that says `target`, which has to lead to within the root.
    pub async fn symbolic_link(&self, path: &SitePath, target: &[u8]) -> Result<(), FilesError> {
        self.done(FileRequest::SymbolicLink { at: self.place(path), target: target.to_vec() }, None).await
    }

    /// What a symbolic link says.
    pub async fn read_link(&self, path: &SitePath) -> Result<Vec<u8>, FilesError> {
        match self.client.ask(FileRequest::ReadLink { at: self.place(path) }, None).await? {
            FileReply::Link { target } => Ok(target),
            _ => Err(self.client.not_an_answer("no link")),
        }
    }

    /// The path with all links followed; its last component may be missing.
    pub async fn resolve(&self, path: &SitePath) -> Result<SitePath, FilesError> {
        match self.client.ask(FileRequest::Resolve { at: self.place(path) }, None).await? {
            FileReply::Path { path } => Ok(path),
            _ => Err(self.client.not_an_answer("no path")),
        }
    }

    /// Room on the file system of a path.
    pub async fn stat_file_system(&self, path: &SitePath) -> Result<FileSystemSpace, FilesError> {
        match self.client.ask(FileRequest::StatFileSystem { at: self.place(path) }, None).await? {
            FileReply::Space(space) => Ok(space),
            _ => Err(self.client.not_an_answer("no room of a file system")),
        }
    }

    /// How long all regular files of the tree are together, in bytes; one with several names counts once. Folders that
    /// belong to somebody else and cannot be read do not count, nor does what lies on another mount.
    ///
    /// Takes as long as there are entries, and holds up nothing else; dropped, it ends. Fails with
    /// [`FileFault::Denied`](latchkey_protocol::FileFault::Denied) where a folder of the system user itself cannot be
    /// read, and with `TooLarge` where folders lie deeper than a walk goes: so nobody hides anything there. `Busy` when
    /// many were given up just before.
    pub async fn measure(&self) -> Result<u64, FilesError> {
        let _place = self.client.place_to_walk().await?;
        let request = FileRequest::BeginWalk { at: self.place(&SitePath::ROOT) };
        let FileReply::Walk { walk } = self.client.ask(request, None).await? else {
            return Err(self.client.not_an_answer("no walk"));
        };
        let walk = Walk { client: &self.client, number: walk };
        loop {
            match self.client.ask(FileRequest::GoOnWalking { walk: walk.number }, None).await? {
                FileReply::Walked(walked) if walked.is_over => return Ok(walked.bytes),
                FileReply::Walked(_) => {}
                _ => return Err(self.client.not_an_answer("no part of a walk")),
            }
        }
    }

    /// Where a path is, as a request says it.
    pub(crate) fn place(&self, path: &SitePath) -> Place {
        Place { root: self.root.clone(), path: path.clone() }
    }

    async fn done(&self, request: FileRequest, beside: Option<BorrowedFd<'_>>) -> Result<(), FilesError> {
        match self.client.ask(request, beside).await? {
            FileReply::Done => Ok(()),
            _ => Err(self.client.not_an_answer("something that was not asked for")),
        }
    }
}

impl Directory {
    /// The next entries, without `.` and `..`, in the order of the file system; none at the end.
    pub async fn next(&mut self) -> Result<Vec<FileEntry>, FilesError> {
        match self.client.ask(FileRequest::ReadDirectory { directory: self.number }, None).await? {
            FileReply::Entries { items } => Ok(items),
            _ => Err(self.client.not_an_answer("no entries")),
        }
    }

    /// All entries that are left.
    pub async fn rest(&mut self) -> Result<Vec<FileEntry>, FilesError> {
        let mut all = Vec::new();
        loop {
            let some = self.next().await?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.client.forget(Kept::Directory(self.number));
    }
}

/// A walk that is under way; ended on drop.
struct Walk<'c> {
    client: &'c Client,
    number: u64,
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.client.forget(Kept::Walk(self.number));
    }
}

impl OpenFile {
    /// The file. Its calls block.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl From<OwnedFd> for OpenFile {
    fn from(fd: OwnedFd) -> Self {
        Self { file: fd.into() }
    }
}

impl From<OpenFile> for OwnedFd {
    fn from(file: OpenFile) -> Self {
        file.file.into()
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
