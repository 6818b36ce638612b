//! `file.make_dir` and `file.copy`: something new, whole or not at all.

use latchkey_access::Permit;
use latchkey_access::rows::{FileCopy, FileMakeDir};
use latchkey_protocol::Links;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use crate::channels::{WorkKind, open_work};
use crate::file_manager::{FileMode, FileView, Fresh, HomePath, problem};
use crate::problem::Problem;

/// A folder to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakeDirInput {
    /// Relative to the home, percent-encoded. The folder that it is in must be there.
    path: HomePath,
    /// Its mode; 0755 if not given.
    #[serde(default)]
    mode: Option<FileMode>,
}

impl Run for FileMakeDir {
    type Input = MakeDirInput;
    type Output = FileView;
    const FAILURES: &[u16] = &[507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: MakeDirInput) -> Result<FileView, Problem> {
        let path = input.path.beneath("path")?;
        let home = context.home(&permit).await?;
        let made = home.tree.make_directory(path, input.mode.map_or(0o755, |mode| mode.0)).await.map_err(problem);
        context.noted(&permit, &[path], made).await?;
        let found = home.tree.stat(path, Links::Meant).await.map_err(problem)?;
        Ok(FileView::of(&home, path.clone(), &found))
    }
}

/// What is copied, and to where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyInput {
    /// Relative to the home, percent-encoded.
    from: HomePath,
    /// Relative to the home, percent-encoded; nothing must be there.
    to: HomePath,
}

/// What was copied.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Copied {
    /// Where it is now.
    path: HomePath,
    /// How many files, folders and links.
    entries: u64,
    /// How many bytes.
    size_bytes: u64,
    /// How many were left out: devices, pipes, sockets, and links that lead out of what was copied.
    left_out: u64,
}

impl Run for FileCopy {
    type Input = CopyInput;
    type Output = Copied;
    const FAILURES: &[u16] = &[504, 507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: CopyInput) -> Result<Copied, Problem> {
        let (from, to) = (input.from.beneath("from")?, input.to.beneath("to")?);
        if to.is_beneath(from) {
            return Err(Problem::invalid("to", "expected something that is not within what is copied"));
        }
        let work = open_work(&context.serve, &permit, WorkKind::Job, &context.caller)?;
        let home = context.home(&permit).await?;
        let copy = async {
            let fresh = Fresh::new(&context.serve, &home).await?;
            let copied = work.unless_stopped(home.tree.copy(from, &fresh.path())).await?.map_err(problem)?;
            work.goes_on()?;
            fresh.name(to).await.map(|()| copied)
        };
        let outcome = copy.await;
        let copied = context.noted(&permit, &[from, to], outcome).await?;
        let latchkey_protocol::FileWork { entries, bytes, left_out } = copied;
        Ok(Copied { path: input.to, entries, size_bytes: bytes, left_out })
    }
}
