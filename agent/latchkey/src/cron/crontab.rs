//! The crontab as the hosting's adapter has it.

use std::sync::Arc;

use latchkey_access::HostingId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::adapters::secret::Secrets;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::store::cron_entries::{CronEntry, Says};

/// What runs when: `cron.entry` of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) schedule: String,
    pub(super) command: String,
    /// The id of one of ours.
    pub(super) tag: Option<String>,
    pub(super) enabled: bool,
}

/// An entry that is there: `cron.listed-entry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    id: String,
    pub(super) entry: Entry,
}

impl Listed {
    /// The id that stands above it, if it is one of ours.
    pub(super) fn tag(&self) -> Option<&str> {
        self.entry.tag.as_deref()
    }
}

impl Entry {
    /// One of ours, as it stands in the crontab when it is enabled.
    pub(super) fn of(id: &str, says: &Says) -> Self {
        let Says { schedule, command, .. } = says.clone();
        Self { schedule, command, tag: Some(id.to_owned()), enabled: true }
    }
}

/// A hosting's crontab.
pub(super) struct Crontab<'s> {
    serve: &'s Arc<Serve>,
    hosting: &'s HostingId,
}

impl<'s> Crontab<'s> {
    pub(super) const fn of(serve: &'s Arc<Serve>, hosting: &'s HostingId) -> Self {
        Self { serve, hosting }
    }

    /// All that is there, in its order.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, Problem> {
        let listed = self.ask("list-entries", json!({})).await?;
        serde_json::from_value(listed).map_err(|error| Problem::internal(&error))
    }

    pub(super) async fn create(&self, entry: &Entry) -> Result<(), Problem> {
        self.ask("create-entry", json!({ "entry": entry })).await.map(drop)
    }

    /// Puts an entry in place of one that still is as it was listed.
    pub(super) async fn update(&self, listed: &Listed, entry: &Entry) -> Result<(), Problem> {
        self.ask("update-entry", json!({ "listed": listed, "entry": entry })).await.map(drop)
    }

    /// Deletes an entry that still is as it was listed.
    pub(super) async fn delete(&self, listed: &Listed) -> Result<(), Problem> {
        self.ask("delete-entry", json!({ "listed": listed })).await.map(drop)
    }

    async fn ask(&self, function: &str, arguments: Value) -> Result<Value, Problem> {
        let table = self.serve.state.table();
        let hosting = table.hosting(self.hosting).cloned().ok_or_else(|| Problem::not_found("hosting"))?;
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        let asked = self.serve.adapters.ask(self.serve, &hosting, ("cron", function), arguments, Secrets::default());
        // On the heap: a change asks several times, each deep down.
        Box::pin(asked).await
    }
}

/// The lines with an entry's id; one, unless somebody else was there.
pub(super) fn lines_of<'l>(listed: &'l [Listed], id: &str) -> Vec<&'l Listed> {
    listed.iter().filter(|listed| listed.tag() == Some(id)).collect()
}

/// Whether the crontab has of an entry what it says, and nothing else.
pub(super) fn is_as_it_says(listed: &[Listed], id: &str, says: &Says) -> bool {
    match lines_of(listed, id).as_slice() {
        [] => !says.enabled,
        [one] => says.enabled && one.entry == Entry::of(id, says),
        _ => false,
    }
}

/// Whether a line of a crontab, below such a comment, is the entry as it was made here.
pub(crate) fn is_line_of(entry: &CronEntry, comment: &[u8], line: &[u8]) -> bool {
    let Says { schedule, command, enabled } = &entry.says;
    let ours = format!("{schedule} {}", command.replace('%', "\\%"));
    *enabled && comment == format!("# latchkey: {}", entry.id).as_bytes() && line == ours.as_bytes()
}
