//! `file.list`, `file.stat`, `file.read`: nothing is changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_access::Permit;
use latchkey_access::rows::{FileList, FileRead, FileStat};
use latchkey_files::tasks::Listing;
use latchkey_protocol::{FileMark, FileOrder, Links};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use super::WhichFile;
use crate::file_manager::text::{self, Encoding, TextView};
use crate::file_manager::{FileView, HomePath, problem};
use crate::limit::Limit;
use crate::problem::Problem;

/// A part of a folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileListInput")]
pub(crate) struct ListInput {
    /// Which folder; the home if not given.
    #[serde(default)]
    path: HomePath,
    /// In which order.
    #[serde(default)]
    sort: Sort,
    /// Whether the order is turned round.
    #[serde(default)]
    descending: bool,
    /// How many at most.
    #[serde(default)]
    limit: Limit<200, 1000>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// An order.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// By the bytes of names.
    #[default]
    Name,
    /// By length.
    Size,
    /// By the time of the last change.
    Modified,
}

/// Files.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FileItems {
    /// In the order that was asked for.
    items: Vec<FileView>,
    /// How many the folder has.
    total: u64,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Cursor>,
}

/// The place of an entry in the order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
struct Cursor(FileMark);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let expected = "expected `next` of the page before";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| expected)?;
        let (key, name) = bytes.split_first_chunk::<8>().ok_or(expected)?;
        if name.is_empty() || name.len() > latchkey_protocol::NAME_MAX_BYTES {
            return Err(expected);
        }
        Ok(Self(FileMark { key: i64::from_be_bytes(*key), name: name.to_vec() }))
    }
}

impl From<Cursor> for String {
    fn from(Cursor(mark): Cursor) -> Self {
        URL_SAFE_NO_PAD.encode([mark.key.to_be_bytes().as_slice(), &mark.name].concat())
    }
}

impl Sort {
    const fn order(self) -> FileOrder {
        match self {
            Self::Name => FileOrder::Name,
            Self::Size => FileOrder::Size,
            Self::Modified => FileOrder::Modified,
        }
    }
}

impl Run for FileList {
    type Input = ListInput;
    type Output = FileItems;
    const FAILURES: &[u16] = &[504];

    async fn run(context: &Context, permit: Permit<Self>, input: ListInput) -> Result<FileItems, Problem> {
        let ListInput { path, sort, descending, limit, cursor } = input;
        let home = context.home(&permit).await?;
        let after = cursor.map(|Cursor(mark)| mark);
        let listing = Listing { order: sort.order(), is_descending: descending, after, limit: limit.get() };
        let listed = home.tree.list(path.site_path(), listing).await.map_err(problem)?;
        let last = listed.items.last().filter(|_| listed.has_more);
        let next = last.map(|last| {
            let key = match sort {
                Sort::Name => 0,
                Sort::Size => i64::try_from(last.attributes.size).unwrap_or(i64::MAX),
                Sort::Modified => last.attributes.modified,
            };
            Cursor(FileMark { key, name: last.name.clone() })
        });
        let view = |entry: &latchkey_protocol::FileEntry| {
            let path = path.site_path().child(&entry.name).ok()?;
            Some(FileView::of(&home, path, &entry.attributes))
        };
        Ok(FileItems { items: listed.items.iter().filter_map(view).collect(), total: listed.total, next })
    }
}

/// What is known of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Stated {
    #[serde(flatten)]
    file: FileView,
    /// What a link says, percent-encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Run for FileStat {
    type Input = WhichFile;
    type Output = Stated;

    async fn run(context: &Context, permit: Permit<Self>, WhichFile { path }: WhichFile) -> Result<Stated, Problem> {
        let home = context.home(&permit).await?;
        let path = path.site_path();
        let found = home.tree.stat(path, Links::Meant).await.map_err(problem)?;
        let file = FileView::of(&home, path.clone(), &found);
        let target = match file.is_link() {
            true => Some(home.tree.read_link(path).await.map_err(problem)?),
            false => None,
        };
        Ok(Stated { file, target: target.as_deref().map(crate::file_manager::encode) })
    }
}

/// Which file, and how its bytes are told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileReadInput")]
pub(crate) struct ReadInput {
    /// Relative to the home, percent-encoded.
    path: HomePath,
    /// UTF-8 if not given, and base64 for what is no UTF-8.
    #[serde(default)]
    encoding: Option<Encoding>,
}

impl Run for FileRead {
    type Input = ReadInput;
    type Output = TextView;

    async fn run(context: &Context, permit: Permit<Self>, input: ReadInput) -> Result<TextView, Problem> {
        let home = context.home(&permit).await?;
        text::read(&home, input.path.site_path(), input.encoding).await
    }
}
