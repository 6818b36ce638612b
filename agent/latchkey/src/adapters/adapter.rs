//! One adapter: what it is, what it is asked with, whether it has been put aside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use latchkey_access::Hosting;
use latchkey_adapters::{Description, Fault, Function};
use serde_json::{Map, Value, json};

use super::installed::{Installed, Terms};
use super::runner::{Runner, RunnerError};
use super::view::{AdapterState, AdapterView};
use crate::in_turn::Turns;
use crate::problem::{Code, Problem, chain};
use crate::token::random_hex;

/// An adapter that broke so often is put aside …
const BREAKS_MAX: usize = 5;
/// … within so many seconds.
const BREAKS_WITHIN_S: i64 = 300;

/// An adapter that was loaded.
#[derive(Debug)]
pub(super) struct Adapter {
    pub(super) installed: Arc<Installed>,
    pub(super) description: Description,
    pub(super) runner: tokio::sync::Mutex<Option<Arc<Runner>>>,
    pub(super) places: tokio::sync::Semaphore,
    pub(super) turns: Turns,
    /// So that the calls of one hosting leave places to others.
    pub(super) places_of_one: Turns,
    pub(super) breaks: Mutex<Vec<(Timestamp, String)>>,
}

impl Adapter {
    pub(super) fn view(&self, terms: &Terms) -> AdapterView {
        let manifest = &self.installed.manifest;
        let names = |interfaces: &[latchkey_adapters::Interface]| {
            interfaces.iter().filter(|one| one.name != "types").map(|one| one.name.clone()).collect()
        };
        AdapterView {
            name: manifest.name.to_string(),
            version: manifest.version.clone(),
            title: manifest.title.clone(),
            state: if self.is_put_aside() { AdapterState::PutAside } else { AdapterState::Ready },
            exports: names(&self.description.exports),
            imports: names(&self.description.imports),
            missing: manifest.asks.beyond(&terms.grants),
            operators_file: self.installed.operator.clone(),
            operators_file_fault: None,
            last_break: self.breaks().last().map(|(_, why)| why.clone()),
        }
    }

    /// All arguments of a function as JSON.
    pub(super) fn complete(
        &self,
        (hosting, settings): (&Hosting, Vec<(String, String)>),
        (interface, function): (&str, &str),
        mut arguments: Map<String, Value>,
    ) -> Result<String, Problem> {
        let missing = || Fault::NoSuchFunction(format!("{interface}.{function}")).to_string();
        let found = self.function(interface, function).ok_or_else(|| Problem::new(Code::Unsupported, missing()))?;
        let about = json!({
            "id": hosting.id.as_str(),
            "system-user": hosting.system_user,
            "home": hosting.home,
            "db-prefix": hosting.db_prefix,
            "settings": settings,
        });
        for parameter in &found.parameters {
            if parameter == "hosting" {
                arguments.insert("hosting".into(), about.clone());
            } else if parameter == "key" && !arguments.contains_key("key") {
                arguments.insert("key".into(), json!(random_hex()?));
            }
        }
        Ok(Value::Object(arguments).to_string())
    }

    pub(super) fn exports(&self, interface: &str) -> bool {
        self.description.exports.iter().any(|export| export.name == interface)
    }

    pub(super) fn function(&self, interface: &str, function: &str) -> Option<&Function> {
        let found = self.description.exports.iter().find(|export| export.name == interface)?;
        found.functions.iter().find(|one| one.name == function)
    }

    /// Whether a function takes an idempotency key.
    pub(super) fn is_change(&self, interface: &str, function: &str) -> bool {
        self.function(interface, function).is_some_and(|found| found.parameters.iter().any(|one| one == "key"))
    }

    pub(super) fn refuse_if_put_aside(&self) -> Result<(), Problem> {
        if self.is_put_aside() {
            let name = &self.installed.manifest.name;
            let detail =
                format!("the adapter {name} broke down too often and was put aside; see latchkey adapter list");
            return Err(Problem::new(Code::Unavailable, detail));
        }
        Ok(())
    }

    /// Once there were too many it stays so: nothing is called, so nothing is added or forgotten.
    pub(super) fn is_put_aside(&self) -> bool {
        self.breaks().len() >= BREAKS_MAX
    }

    pub(super) fn note_break(&self, error: &RunnerError, now: Timestamp) {
        // What whoever calls did wrong is not the adapter's fault.
        if matches!(error, RunnerError::Fault(Fault::Arguments { .. } | Fault::NoSuchFunction(_) | Fault::Cancelled)) {
            return;
        }
        let mut breaks = self.breaks();
        breaks.retain(|(at, _)| now.as_second() - at.as_second() < BREAKS_WITHIN_S);
        breaks.push((now, chain(error)));
        if breaks.len() >= BREAKS_MAX {
            tracing::error!(adapter = self.installed.manifest.name.as_str(), "an adapter was put aside");
        }
    }

    pub(super) fn breaks(&self) -> MutexGuard<'_, Vec<(Timestamp, String)>> {
        self.breaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
