//! Locking that goes on after a panic of another thread: whatever happened, the node must still be taken down.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also if a thread panicked while it held the lock. Blocks.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
