//! A few values that the agent keeps for the adapter, apart for each hosting, across calls and restarts. The manifest asks
//! with `state = true`. No secrets: they end up in backups.
//!
//! A key is 1 to 128 of `a-z`, `0-9`, `.`, `_`, `-`, `/`; a value at most 64 KiB; there are at most 1,000 keys and 1 MiB. A
//! value is written when the function returns, also if the call fails afterwards.

pub use crate::bindings::latchkey::adapter::state::StateError;

#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::state as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::state as host;

/// The value of a key, if it has one.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
    host::get(key)
}

/// The value of a key as text, if it has one. What is no UTF-8 is *invalid*.
pub fn text(key: &str) -> Result<Option<String>, StateError> {
    let value = get(key)?.map(String::from_utf8).transpose();
    value.map_err(|_| StateError::Invalid(format!("{key}: expected text")))
}

/// Sets the value of a key. Safe to repeat.
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), StateError> {
    host::set(key, value.as_ref())
}

/// Forgets a key, also one that is not there. Safe to repeat.
pub fn remove(key: &str) -> Result<(), StateError> {
    host::remove(key)
}

/// All keys that begin so, in order.
pub fn keys(prefix: &str) -> Result<Vec<String>, StateError> {
    host::keys(prefix)
}
