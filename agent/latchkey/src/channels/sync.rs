//! The primitives that the gate and the endings are made of. `model.rs` has others of the same names.

use std::sync::{MutexGuard, PoisonError};

pub(super) use std::sync::Mutex;

pub(super) use arc_swap::ArcSwap;

/// The content of a mutex, also after somebody panicked with it: nothing here is left half changed.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
