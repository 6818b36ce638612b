//! Adapters that are installed and neither loaded nor given up yet, since the agent was started.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use latchkey_access::AdapterName;

/// None until it is known what is installed: then any may be.
#[derive(Debug, Default)]
pub(super) struct Awaited(Mutex<Option<BTreeSet<AdapterName>>>);

impl Awaited {
    /// These are installed.
    pub(super) fn begin(&self, installed: impl IntoIterator<Item = AdapterName>) {
        *self.lock() = Some(installed.into_iter().collect());
    }

    pub(super) fn names(&self) -> Vec<AdapterName> {
        self.lock().iter().flatten().cloned().collect()
    }

    pub(super) fn contains(&self, name: &AdapterName) -> bool {
        self.lock().as_ref().is_none_or(|names| names.contains(name))
    }

    /// It is loaded, cannot be, or is not wanted any more.
    pub(super) fn forget(&self, name: &AdapterName) {
        if let Some(names) = self.lock().as_mut() {
            names.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<AdapterName>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
