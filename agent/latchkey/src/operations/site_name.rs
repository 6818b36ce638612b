//! `site_name.*`: what the site is called.

use latchkey_access::Permit;
use latchkey_access::rows::{SiteNameSet, SiteNameShow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Nothing, OF_A_SITE, Run};
use crate::problem::Problem;

/// The site's name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteName {
    /// At most 200 characters, no control characters.
    name: String,
}

impl Run for SiteNameShow {
    type Input = Nothing;
    type Output = SiteName;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<SiteName, Problem> {
        let Nothing {} = input;
        context.ask_site(&permit, &serde_json::json!({})).await
    }
}

impl Run for SiteNameSet {
    type Input = SiteName;
    type Output = SiteName;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: SiteName) -> Result<SiteName, Problem> {
        if input.name.chars().count() > 200 || input.name.chars().any(char::is_control) {
            return Err(Problem::invalid("name", "expected at most 200 characters, no control characters"));
        }
        context.ask_site(&permit, &input).await
    }
}
