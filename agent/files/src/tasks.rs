//! The tasks of a tree, from serve's end: each is ended when nobody waits for it any more.

use std::os::fd::BorrowedFd;

use latchkey_protocol::{
    ArchiveFormat, BadArchive, FileEntry, FileFound, FileListing, FileMark, FileOrder, FileReply, FileRequest,
    FileSearch, FileTask, FileTaskDone, FileWork, SearchEnd, SitePath,
};

use crate::{
    client::{Client, FilesError, Kept},
    tree::Tree,
};

/// In which order the entries of a directory come, and where they begin.
#[derive(Debug, Clone)]
pub struct Listing {
    /// In which order.
    pub order: FileOrder,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Only what comes after this.
    pub after: Option<FileMark>,
    /// How many at most; no more than 1,000.
    pub limit: u32,
}

/// A part of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// In order.
    pub items: Vec<FileEntry>,
    /// How many the directory has.
    pub total: u64,
    /// Whether there are more.
    pub has_more: bool,
}

/// What is searched for; at least one of name and content.
#[derive(Debug, Clone)]
pub struct Search {
    /// What names have to be like: a part of them, or all of them where it holds `*` or `?`.
    pub name: Option<String>,
    /// What files have to hold in one of their lines.
    pub content: Option<String>,
    /// Whether upper and lower case differ in what files hold; in names they never do.
    pub is_case_sensitive: bool,
    /// How many are found at most; no more than 1,000.
    pub limit: u32,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In the order of the file system.
    pub items: Vec<FileFound>,
    /// How many files and directories were not looked into, because they cannot be read or are too large.
    pub left_out: u64,
    /// Why it ended early, if it did.
    pub ended: Option<SearchEnd>,
}

impl Tree {
    /// Lists a part of a directory in order. Reads all of it once, and takes the attributes of all entries only where
    /// they decide the order.
    pub async fn list(&self, path: &SitePath, listing: Listing) -> Result<Listed, FilesError> {
        let Listing { order, is_descending, after, limit } = listing;
        let asked = FileListing { at: self.place(path), order, is_descending, after, limit };
        let _place = self.client().place_for_task().await?;
        let task = Task::begin(self.client(), FileTask::List(asked), None).await?;
        let mut all = Vec::new();
        loop {
            let FileTaskDone::Listed { items, total, has_more, is_over } = task.carry_out().await? else {
                return Err(self.client().not_an_answer("no listing"));
            };
            all.extend(items);
            if is_over {
                return Ok(Listed { items: all, total, has_more });
            }
        }
    }

    /// Copies what `from` leads to, a directory with all that is in it, to `to`, where nothing must be. Not undone when
    /// it fails on the way.
    pub async fn copy(&self, from: &SitePath, to: &SitePath) -> Result<FileWork, FilesError> {
        self.work(FileTask::Copy { from: self.place(from), to: self.place(to) }).await
    }

    /// Packs files and directories into the new archive `to`. Says how long that is. What is half packed stays when it
    /// fails on the way.
    pub async fn archive(
        &self,
        from: &[SitePath],
        to: &SitePath,
        format: ArchiveFormat,
    ) -> Result<FileWork, FilesError> {
        let root = self.place(to).root;
        self.work(FileTask::Archive { root, from: from.to_vec(), to: to.clone(), format }).await
    }

    /// Unpacks an archive into the new directory `to`, or says what is wrong with it. What is half unpacked stays.
    pub async fn extract(&self, from: &SitePath, to: &SitePath) -> Result<Result<FileWork, BadArchive>, FilesError> {
        let task = FileTask::Extract { from: self.place(from), to: self.place(to) };
        match self.done_once(task).await? {
            FileTaskDone::Worked(work) => Ok(Ok(work)),
            FileTaskDone::Refused(bad) => Ok(Err(bad)),
            _ => Err(self.client().not_an_answer("nothing that was extracted")),
        }
    }

    /// Writes all that is in a directory as a zip into a pipe, at the pace of whoever reads it. The other end of the pipe
    /// must be read meanwhile, and must not be taken for whole before this returns. `Busy` while so many are written.
    pub async fn zip(&self, from: &SitePath, into: BorrowedFd<'_>) -> Result<FileWork, FilesError> {
        let _place = self.client().place_for_stream()?;
        let task = Task::begin(self.client(), FileTask::Zip { from: self.place(from) }, Some(into)).await?;
        match task.carry_out().await? {
            FileTaskDone::Worked(work) => Ok(work),
            _ => Err(self.client().not_an_answer("no work")),
        }
    }

    /// Searches beneath a directory.
    pub async fn search(&self, at: &SitePath, search: Search) -> Result<Found, FilesError> {
        let Search { name, content, is_case_sensitive, limit } = search;
        let asked = FileSearch { at: self.place(at), name, content, is_case_sensitive, limit };
        let _turn = self.client().place_to_search().await?;
        let _place = self.client().place_for_task().await?;
        let task = Task::begin(self.client(), FileTask::Search(asked), None).await?;
        let mut all = Vec::new();
        loop {
            let FileTaskDone::Found { items, left_out, ended, is_over } = task.carry_out().await? else {
                return Err(self.client().not_an_answer("nothing that was found"));
            };
            all.extend(items);
            if is_over {
                return Ok(Found { items: all, left_out, ended });
            }
        }
    }

    async fn work(&self, task: FileTask) -> Result<FileWork, FilesError> {
        match self.done_once(task).await? {
            FileTaskDone::Worked(work) => Ok(work),
            _ => Err(self.client().not_an_answer("no work")),
        }
    }

    /// Carries out what has one answer.
    async fn done_once(&self, task: FileTask) -> Result<FileTaskDone, FilesError> {
        let _place = self.client().place_for_task().await?;
        Task::begin(self.client(), task, None).await?.carry_out().await
    }
}

/// A task that was taken on; ended on drop.
struct Task<'c> {
    client: &'c Client,
    number: u64,
}

impl<'c> Task<'c> {
    async fn begin(client: &'c Client, task: FileTask, beside: Option<BorrowedFd<'_>>) -> Result<Self, FilesError> {
        match client.ask(FileRequest::BeginTask { task }, beside).await? {
            FileReply::Task { task } => Ok(Self { client, number: task }),
            _ => Err(client.not_an_answer("no task")),
        }
    }

    async fn carry_out(&self) -> Result<FileTaskDone, FilesError> {
        match self.client.ask(FileRequest::CarryOutTask { task: self.number }, None).await? {
            FileReply::TaskDone(done) => Ok(done),
            _ => Err(self.client.not_an_answer("nothing that came of a task")),
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.client.forget(Kept::Task(self.number));
    }
}
