//! What is said when a request is not carried out.

use latchkey_protocol::{RefusalCode, Reply};

use crate::log;

/// Why a request was not carried out; becomes [`Reply::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// The field of the request, if it is about one.
    pub field: Option<&'static str>,
    /// What was expected.
    pub message: String,
}

impl Refusal {
    /// The field is wrong, or not allowed as it stands.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code: RefusalCode::Invalid, field: Some(field), message: message.into() }
    }

    /// What the field names is not there.
    pub fn not_found(field: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code: RefusalCode::NotFound, field: Some(field), message: message.into() }
    }

    /// The hosting is not registered.
    pub fn unknown_hosting() -> Refusal {
        Refusal::not_found("hosting", "no hosting with this id is registered")
    }

    /// What is there is not what the field says.
    pub fn changed(field: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code: RefusalCode::Changed, field: Some(field), message: message.into() }
    }

    /// Too much is going on.
    pub fn busy(message: impl Into<String>) -> Refusal {
        Refusal { code: RefusalCode::Busy, field: None, message: message.into() }
    }

    /// A PHP call did not come as far as PHP; the reason went to the call's own log, which the caller holds.
    pub fn not_started(error: &dyn std::error::Error) -> Refusal {
        Refusal { code: RefusalCode::Internal, field: None, message: error.to_string() }
    }

    /// The broker failed at something. The log gets the reason, the caller only what was attempted.
    pub fn internal(error: &dyn std::error::Error) -> Refusal {
        log::warn("a request failed", &[("error", &log::chain(error))]);
        Refusal {
            code: RefusalCode::Internal,
            field: None,
            message: "the broker failed; its log has the reason".to_owned(),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply::Refused { code: refusal.code, field: refusal.field.map(str::to_owned), message: refusal.message }
    }
}
