//! The tasks of a tree, from serve's end: each is ended when nobody waits for it any more.

use std::os::fd::BorrowedFd;

use latchkey_protocol::{
    FileEntry, FileListing, FileMark, FileOrder, FileReply, FileRequest, FileTask, FileTaskDone, FileWork, SitePath,
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
        self.work(FileTask::Copy { from: self.place(from), to: self.place(to) }, None).await
    }

    async fn work(&self, task: FileTask, beside: Option<BorrowedFd<'_>>) -> Result<FileWork, FilesError> {
        let _place = self.client().place_for_task().await?;
        let task = Task::begin(self.client(), task, beside).await?;
        match task.carry_out().await? {
            FileTaskDone::Worked(work) => Ok(work),
            FileTaskDone::Listed { .. } => Err(self.client().not_an_answer("no work")),
        }
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
