//! `file.delete`: into the trash, or for good.

use latchkey_access::Permit;
use latchkey_access::rows::FileDelete;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use crate::file_manager::{HomePath, trash};
use crate::problem::Problem;

/// What is deleted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteInput {
    /// Relative to the home, percent-encoded; a folder with all that is in it.
    path: HomePath,
    /// Whether it is deleted for good. What is in the trash is, in any case.
    #[serde(default)]
    for_good: bool,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeletedFile")]
pub(crate) struct Deleted {
    /// Where it is now, and can be renamed from for as long as the operator keeps it (30 days unless they say otherwise); none if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    trash: Option<HomePath>,
}

impl Run for FileDelete {
    type Input = DeleteInput;
    type Output = Deleted;
    const FAILURES: &[u16] = &[507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: DeleteInput) -> Result<Deleted, Problem> {
        let path = input.path.beneath("path")?;
        let home = context.home(&permit).await?;
        let deleted = match input.for_good {
            true => trash::remove(&home, path).await.map(|()| None),
            false => trash::discard(&context.serve, &home, path).await,
        };
        let trash = context.noted(&permit, &[path], deleted).await?.map(HomePath::from);
        Ok(Deleted { trash })
    }
}
