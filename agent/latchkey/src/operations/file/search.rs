//! `file.search`: by names and by what files hold.

use latchkey_access::Permit;
use latchkey_access::rows::FileSearch;
use latchkey_files::tasks::Search;
use latchkey_protocol::SearchEnd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use crate::channels::{WorkKind, open_work};
use crate::file_manager::{FileView, HomePath, hidden, problem};
use crate::limit::Limit;
use crate::problem::Problem;

/// The longest text that is searched for.
const TEXT_MAX_BYTES: usize = 256;

/// What is searched for; a name, a content, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchInput {
    /// Beneath which folder; the home if not given.
    #[serde(default)]
    path: HomePath,
    /// A part of the name; or all of it, where `*` stands for anything and `?` for one character. Never by case.
    #[serde(default)]
    name: Option<String>,
    /// What a file has to hold in one of its lines.
    #[serde(default)]
    content: Option<String>,
    /// Whether upper and lower case differ in `content`.
    #[serde(default)]
    case_sensitive: bool,
    /// How many at most.
    #[serde(default)]
    limit: Limit<100, 1000>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchItems {
    /// In no order.
    items: Vec<FoundView>,
    /// Whether everything was looked at.
    is_complete: bool,
    /// If not, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<EndedBy>,
    /// How many files and folders were not looked into: they cannot be read, or are longer than 8 MiB.
    left_out: u64,
}

/// Something that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FoundView {
    #[serde(flatten)]
    file: FileView,
    /// The number of the first line that holds `content`, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<u64>,
    /// At most 200 bytes of that line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
}

/// Why a search ended before everything was looked at.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum EndedBy {
    /// `limit` were found.
    Limit,
    /// It took 20 seconds.
    Time,
    /// It looked at a million files and folders.
    Entries,
}

impl SearchInput {
    fn check(&self) -> Result<(), Problem> {
        if self.name.is_none() && self.content.is_none() {
            return Err(Problem::invalid("name", "expected a name, a content, or both"));
        }
        for (field, text) in [("name", &self.name), ("content", &self.content)] {
            let Some(text) = text else { continue };
            let is_line = !text.contains(['\n', '\r', '\0']);
            if !(1..=TEXT_MAX_BYTES).contains(&text.len()) || !is_line {
                return Err(Problem::invalid(field, "expected 1 to 256 bytes without line breaks and zero bytes"));
            }
        }
        Ok(())
    }
}

impl Run for FileSearch {
    type Input = SearchInput;
    type Output = SearchItems;

    async fn run(context: &Context, permit: Permit<Self>, input: SearchInput) -> Result<SearchItems, Problem> {
        input.check()?;
        let SearchInput { path, name, content, case_sensitive, limit } = input;
        let work = open_work(&context.serve, &permit, WorkKind::Job, &context.caller)?;
        let home = context.home(&permit).await?;
        let search = Search { name, content, is_case_sensitive: case_sensitive, limit: limit.get() };
        hidden::check(&home, "path", path.site_path()).await?;
        let found = work.unless_stopped(home.tree.search(path.site_path(), search)).await?.map_err(problem)?;
        let view = |found: latchkey_protocol::FileFound| {
            let at = path.site_path().join(&found.path).ok()?;
            let (line_number, line) = found.line.map(|line| (line.number, line.text)).unzip();
            Some(FoundView { file: FileView::of(&home, at, &found.attributes), line_number, line })
        };
        let ended_by = found.ended.map(|ended| match ended {
            SearchEnd::Limit => EndedBy::Limit,
            SearchEnd::Time => EndedBy::Time,
            SearchEnd::Entries => EndedBy::Entries,
        });
        let items = found.items.into_iter().filter_map(view).collect();
        work.goes_on()?;
        Ok(SearchItems { items, is_complete: ended_by.is_none(), ended_by, left_out: found.left_out })
    }
}
