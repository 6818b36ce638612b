//! What the audit says.

use serde_json::Value;
use xtask::node::Node;

use crate::api::Api;
use crate::waiting::eventually_some;

/// All rows about an instance.
#[must_use]
#[track_caller]
pub fn rows_about(node: &Node, instance: &str) -> Vec<Value> {
    read(node, &format!("instance={instance}&"))
}

/// All rows.
#[must_use]
#[track_caller]
pub fn all_rows(node: &Node) -> Vec<Value> {
    read(node, "")
}

#[track_caller]
fn read(node: &Node, filter: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row["seq"].as_u64().unwrap());
        let page = Api::panel(node).get(&format!("/v1/audit?{filter}after={after}&limit=1000")).done();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            return rows;
        }
    }
}

/// Waits for a row about the instance with this operation and outcome for which `fits` holds.
#[track_caller]
pub fn audited(node: &Node, instance: &str, operation: &str, outcome: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually_some(&format!("an audit row {operation} {outcome} on {instance}"), || {
        let rows = rows_about(node, instance);
        rows.into_iter().rev().find(|row| row["operation"] == operation && row["outcome"] == outcome && fits(row))
    })
}
