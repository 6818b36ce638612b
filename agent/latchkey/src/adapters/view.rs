//! An adapter as it is told.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

/// An adapter as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct AdapterView {
    /// Its name on this node.
    pub(super) name: String,
    /// Its own version.
    pub(super) version: String,
    /// What it is for.
    pub(super) title: String,
    /// Whether it is called, or why not.
    pub(super) state: AdapterState,
    /// The interfaces that it implements.
    pub(super) exports: Vec<String>,
    /// The interfaces of the agent that it uses.
    pub(super) imports: Vec<String>,
    /// What its manifest asks for and the operator has not granted, as lines for the operator's file.
    pub(super) missing: Vec<String>,
    /// The operator's file about it, whether there is one or not.
    pub(super) operators_file: PathBuf,
    /// Why that file cannot be used, if so: nothing is called then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operators_file_fault: Option<String>,
    /// Why it broke down last, since it was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_break: Option<String>,
}

impl AdapterView {
    /// Its name on this node.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether an adapter is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdapterState {
    /// It is.
    Ready,
    /// It broke down five times within five minutes and is not called until it is loaded again.
    PutAside,
}
