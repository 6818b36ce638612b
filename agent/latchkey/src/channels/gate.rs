//! The table and the registry of what it lets in: opening and ending in the one order that leaves nothing open.
//!
//! Opening: register, decide, use. Ending: swap, sweep, tell. `model.rs` compiles this file a second time and tries the
//! orders of events; so it takes its primitives from `sync` and does not know what a channel is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sync::{ArcSwap, Mutex, locked};

/// A way in with a name of its own.
pub(super) trait Way {
    /// No other has it.
    fn id(&self) -> &str;
}

/// The table as it is now, and every channel that is open.
pub(super) struct Gate<T, C> {
    table: ArcSwap<T>,
    open: Mutex<BTreeMap<String, C>>,
}

impl<T, C: Way + Clone> Gate<T, C> {
    /// A gate with this table, and nothing open.
    pub(super) fn new(table: T) -> Self {
        Self { table: ArcSwap::from_pointee(table), open: Mutex::new(BTreeMap::new()) }
    }

    /// The table as it is now.
    pub(super) fn table(&self) -> Arc<T> {
        self.table.load_full()
    }

    /// Opens a channel if `decide` lets it in.
    ///
    /// Registered first, then decided on: whoever ends it in between finds it, and whoever did before is seen.
    pub(super) fn open<P, E>(&self, channel: C, decide: impl FnOnce(&T) -> Result<P, E>) -> Result<P, E> {
        let id = channel.id().to_owned();
        self.register(channel);
        decide(&self.table()).inspect_err(|_| drop(self.take(&id)))
    }

    /// Decides once more on a channel that is about to be used; `None` if it was ended meanwhile.
    pub(super) fn use_now<P, E>(&self, id: &str, decide: impl FnOnce(&T) -> Result<P, E>) -> Option<Result<P, E>> {
        self.contains(id).then(|| decide(&self.table()))
    }

    /// Swaps the table, then takes out every channel that is dead by it. The caller tells whoever serves them.
    ///
    /// One at a time: who swaps has made the table from the one before, and holds the lock of those who write.
    pub(super) fn swap(&self, table: Arc<T>, is_dead: impl Fn(&T, &C) -> bool) -> Vec<C> {
        self.table.store(table.clone());
        self.take_where(|channel| is_dead(&table, channel))
    }

    /// Adds a channel that was decided on before: after a restart, or while nobody else can write.
    pub(super) fn register(&self, channel: C) {
        locked(&self.open).insert(channel.id().to_owned(), channel);
    }

    /// Replaces what is known of a channel, if it is still there: one that was swept stays out.
    pub(super) fn update(&self, channel: C) {
        if let Some(known) = locked(&self.open).get_mut(channel.id()) {
            *known = channel;
        }
    }

    /// Takes a channel out, if it is there.
    pub(super) fn take(&self, id: &str) -> Option<C> {
        locked(&self.open).remove(id)
    }

    /// Takes out every channel of this kind. Each is taken by one caller only.
    pub(super) fn take_where(&self, wanted: impl Fn(&C) -> bool) -> Vec<C> {
        locked(&self.open).extract_if(.., |_, channel| wanted(channel)).map(|(_, channel)| channel).collect()
    }

    /// All open channels, by id.
    pub(super) fn list(&self) -> Vec<C> {
        locked(&self.open).values().cloned().collect()
    }

    /// The channel with this id, if it is open.
    pub(super) fn find(&self, id: &str) -> Option<C> {
        locked(&self.open).get(id).cloned()
    }

    /// Whether the channel is open.
    pub(super) fn contains(&self, id: &str) -> bool {
        locked(&self.open).contains_key(id)
    }
}
