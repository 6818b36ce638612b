//! `indexing.*`: whether search engines may index the site.

use latchkey_access::Permit;
use latchkey_access::rows::{IndexingSet, IndexingShow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Nothing, OF_A_SITE, Run};
use crate::problem::Problem;

/// Whether search engines may index the site.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Indexing {
    /// False asks search engines not to; it does not force them.
    indexed: bool,
}

impl Run for IndexingShow {
    type Input = Nothing;
    type Output = Indexing;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<Indexing, Problem> {
        let Nothing {} = input;
        context.ask_site(&permit, &serde_json::json!({})).await
    }
}

impl Run for IndexingSet {
    type Input = Indexing;
    type Output = Indexing;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: Indexing) -> Result<Indexing, Problem> {
        context.ask_site(&permit, &input).await
    }
}
