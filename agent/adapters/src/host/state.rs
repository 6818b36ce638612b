//! `state`.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `state.state-error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateError {
    /// Not granted.
    Denied(Denial),
    /// The key or the value is wrong.
    Invalid(String),
    /// As much is kept as may be.
    Full,
    /// It cannot be read or written at the moment.
    Unavailable,
}
