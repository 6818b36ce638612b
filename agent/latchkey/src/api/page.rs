//! Lists in pages.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use crate::limit::PageLimit;
use crate::problem::Problem;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// Cuts the page out of a list that `?limit=` and `?cursor=` ask for. The list is ordered by `key`.
pub(crate) fn page<T>(call: &Call, items: Vec<T>, key: impl Fn(&T) -> &str) -> Result<Page<T>, Problem> {
    let limit = call.query_as::<PageLimit>("limit", "1 to 500")?.unwrap_or_default().len();
    let after = call.query("cursor").unwrap_or_default();
    let mut rest: Vec<T> = items.into_iter().filter(|item| key(item) > after).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(|last| key(last).to_owned());
    Ok(Page { items: rest, next })
}
