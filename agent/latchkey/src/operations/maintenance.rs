//! `maintenance.*`: whether visitors see the maintenance page. Who is logged in sees the site.

use latchkey_access::Permit;
use latchkey_access::rows::{MaintenanceSet, MaintenanceShow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Nothing, OF_A_SITE, Run};
use crate::problem::Problem;

/// Whether visitors see the maintenance page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Maintenance {
    /// True until it is set back.
    enabled: bool,
}

impl Run for MaintenanceShow {
    type Input = Nothing;
    type Output = Maintenance;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<Maintenance, Problem> {
        let Nothing {} = input;
        context.ask_site(&permit, &serde_json::json!({})).await
    }
}

impl Run for MaintenanceSet {
    type Input = Maintenance;
    type Output = Maintenance;
    const FAILURES: &[u16] = OF_A_SITE;

    async fn run(context: &Context, permit: Permit<Self>, input: Maintenance) -> Result<Maintenance, Problem> {
        context.ask_site(&permit, &input).await
    }
}
