//! Which call did what, in the adapter's own state: a call that is repeated finds that it was itself.

use sdk::state::StateError;
use sdk::{IdempotencyKey, Result, state};

/// What a call did.
#[derive(Clone, Copy)]
pub(crate) enum Did {
    Make,
    Remove,
}

/// Something that calls are about: `database/h1_shop`.
pub(crate) struct Trace(String);

impl Trace {
    pub(crate) fn of(kind: &str, name: &str) -> Self {
        Self(format!("{kind}/{name}"))
    }

    /// Whether the last that was done with it was this, by this call.
    pub(crate) fn was(&self, did: Did, key: &IdempotencyKey) -> Result<bool> {
        Ok(state::text(&self.0)? == Some(did.by(key)))
    }

    /// Writes down what is about to be done: whoever is cut off afterwards finds it.
    pub(crate) fn begin(&self, did: Did, key: &IdempotencyKey) -> Result<()> {
        match state::set(&self.0, did.by(key)) {
            Err(StateError::Full) => {
                forget_what_is_gone()?;
                Ok(state::set(&self.0, did.by(key))?)
            }
            written => Ok(written?),
        }
    }

    /// Takes that back: it was not done.
    pub(crate) fn take_back(&self) -> Result<()> {
        Ok(state::remove(&self.0)?)
    }
}

impl Did {
    fn by(self, key: &IdempotencyKey) -> String {
        match self {
            Self::Make => format!("made by {key}"),
            Self::Remove => format!("removed by {key}"),
        }
    }
}

/// Traces of what is not there any more only matter while its call may be repeated.
fn forget_what_is_gone() -> Result<()> {
    for key in state::keys("")? {
        if state::text(&key)?.is_some_and(|trace| trace.starts_with("removed")) {
            state::remove(&key)?;
        }
    }
    Ok(())
}
