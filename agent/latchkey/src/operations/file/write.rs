//! `file.write` and `file.set_mode`: content and rights.

use latchkey_access::Permit;
use latchkey_access::rows::{FileSetMode, FileWrite};
use latchkey_protocol::{AttributeChanges, Links};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use crate::channels::{WorkKind, open_work};
use crate::file_manager::text::{self, Before, Encoding, Known};
use crate::file_manager::{FileMode, FileView, HomePath, Tag, problem};
use crate::problem::Problem;

/// A text and where it goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteInput {
    /// Relative to the home, percent-encoded.
    path: HomePath,
    /// All of it.
    content: String,
    /// How `content` is written.
    #[serde(default = "utf8")]
    encoding: Encoding,
    /// The tag of the file that is replaced, or `*` for whatever is there. If not given, there must be none.
    #[serde(default)]
    if_match: Option<Tag>,
    /// The mode of a new file; one that is there keeps its own.
    #[serde(default)]
    mode: Option<FileMode>,
}

const fn utf8() -> Encoding {
    Encoding::Utf8
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// Where, relative to the home, percent-encoded.
    path: HomePath,
    /// Whether there was none before.
    created: bool,
    /// For `if_match`.
    tag: Tag,
}

impl Run for FileWrite {
    type Input = WriteInput;
    type Output = Written;
    const FAILURES: &[u16] = &[412, 507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: WriteInput) -> Result<Written, Problem> {
        let WriteInput { path, content, encoding, if_match, mode } = input;
        let target = path.beneath("path")?.clone();
        let content = encoding.parse(content)?;
        let home = context.home(&permit).await?;
        let known = Known::of_field(if_match);
        let work = open_work(&context.serve, &permit, WorkKind::Transfer, &context.caller)?;
        let written = text::write(&context.serve, &home, &target, content, (known, mode), &work).await;
        let (before, tag) = context.noted(&permit, &[&target], written).await?;
        Ok(Written { path, created: before == Before::Nothing, tag })
    }
}

/// Rights and what they are of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeInput {
    /// Relative to the home, percent-encoded.
    path: HomePath,
    /// Three or four octal digits; set-user-id and set-group-id cannot be given.
    mode: FileMode,
}

impl Run for FileSetMode {
    type Input = ModeInput;
    type Output = FileView;
    const FAILURES: &[u16] = &[507];
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: ModeInput) -> Result<FileView, Problem> {
        let path = input.path.beneath("path")?;
        let home = context.home(&permit).await?;
        let changes = AttributeChanges { mode: Some(input.mode.0), ..AttributeChanges::default() };
        let changed = home.tree.set_attributes(path, Links::Followed, changes).await.map_err(problem);
        context.noted(&permit, &[path], changed).await?;
        let found = home.tree.stat(path, Links::Followed).await.map_err(problem)?;
        Ok(FileView::of(&home, path.clone(), &found))
    }
}
