//! Making the errors that a function may answer with, and what the agent's own become.

use crate::bindings::latchkey::adapter::state::StateError;
use crate::{Busy, Denial, Error, InvalidField};

/// One for each case of `types.error`. The words are for people: the platform's own if it has any, and no secrets.
impl Error {
    /// What is to be changed or read is not there. Not repeated.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// What is to be made is there already, and is not what the idempotency key made. Not repeated.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::AlreadyExists(message.into())
    }

    /// The input is wrong: the name of the parameter as the interface writes it, and what was expected. Not repeated.
    pub fn invalid(name: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid(InvalidField { name: name.into(), expected: expected.into() })
    }

    /// It was changed by somebody since it was read. Not repeated: the caller reads it again.
    pub fn changed(message: impl Into<String>) -> Self {
        Self::Changed(message.into())
    }

    /// The platform refuses: a limit of the plan, a missing right. Not repeated.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }

    /// The platform or this adapter cannot do that. Not repeated.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }

    /// The agent refuses a host function, in the words of its denial. Not repeated. `?` on a host function makes it, too.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Denied(message.into())
    }

    /// Nothing happened, and it may work later. **Repeated**, when the agent thinks it right.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(Busy { message: message.into(), retry_after_ms: None })
    }

    /// Nothing happened, and it may work after so many milliseconds. **Repeated**.
    pub fn unavailable_for(retry_after_ms: u32, message: impl Into<String>) -> Self {
        Self::Unavailable(Busy { message: message.into(), retry_after_ms: Some(retry_after_ms) })
    }

    /// It may have happened or not, and reading back did not tell. Not repeated; the person is told.
    pub fn uncertain(message: impl Into<String>) -> Self {
        Self::Uncertain(message.into())
    }

    /// The platform answered with something that makes no sense. Not repeated.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::denied(denial.message)
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(denial) => denial.into(),
            // The key or value is the adapter's own doing, not the caller's.
            StateError::Invalid(expected) => Self::failed(format!("the adapter's state: {expected}")),
            StateError::Full => Self::refused("the adapter's state is full"),
            StateError::Unavailable => Self::unavailable("the agent cannot reach the adapter's state"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_state_refuses_says_whether_to_try_again() {
        let denial = Denial { message: "state is not granted".into(), grant: None };
        assert_eq!(Error::from(StateError::Denied(denial)), Error::denied("state is not granted"));
        assert!(matches!(Error::from(StateError::Unavailable), Error::Unavailable(_)));
        assert!(matches!(Error::from(StateError::Full), Error::Refused(_)));
        let invalid = Error::from(StateError::Invalid("key: expected less".into()));
        assert_eq!(invalid, Error::failed("the adapter's state: key: expected less"));
    }
}
