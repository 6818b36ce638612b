//! `file.rename`: another name, or another folder; so it also brings things back from the trash.

use latchkey_access::Permit;
use latchkey_access::rows::FileRename;
use latchkey_protocol::{Existing, Links};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Context, Run};
use crate::file_manager::{FileView, HomePath, problem};
use crate::problem::Problem;

/// What is renamed, and to what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameInput {
    /// Relative to the home, percent-encoded.
    from: HomePath,
    /// Relative to the home, percent-encoded. The folder that it is in must be there.
    to: HomePath,
    /// Whether a file, or an empty folder, that has the new name is replaced.
    #[serde(default)]
    replace: bool,
}

impl Run for FileRename {
    type Input = RenameInput;
    type Output = FileView;
    const FAILURES: &[u16] = &[507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: RenameInput) -> Result<FileView, Problem> {
        let (from, to) = (input.from.beneath("from")?, input.to.beneath("to")?);
        let home = context.home(&permit).await?;
        let existing = if input.replace { Existing::Replaced } else { Existing::Refused };
        let renamed = home.tree.rename(from, to, existing).await.map_err(problem);
        context.noted(&permit, &[from, to], renamed).await?;
        let found = home.tree.stat(to, Links::Meant).await.map_err(problem)?;
        Ok(FileView::of(&home, to.clone(), &found))
    }
}
