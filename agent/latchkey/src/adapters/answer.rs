//! The errors that adapters answer with: `types.error` of the interface.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::{Code, Problem};

/// A sentence is kept up to so many bytes.
const MESSAGE_MAX_BYTES: usize = 1_000;

/// How an adapter failed: the cases of `types.error` of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdapterError {
    /// What is to be changed or read is not there.
    NotFound,
    /// What is to be made is there already.
    AlreadyExists,
    /// The input is wrong.
    Invalid,
    /// It was changed by somebody since it was read: read it again.
    Changed,
    /// The platform refuses.
    Refused,
    /// The platform or the adapter cannot do that.
    Unsupported,
    /// A grant of the operator's is missing.
    Denied,
    /// Nothing happened, and it may work later.
    Unavailable,
    /// It may have happened or not: look before you repeat it.
    Uncertain,
    /// The platform answered with something that makes no sense.
    Failed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Error {
    NotFound(String),
    AlreadyExists(String),
    Invalid(InvalidField),
    Changed(String),
    Refused(String),
    Unsupported(String),
    Denied(String),
    Unavailable(Busy),
    Uncertain(String),
    Failed(String),
}

#[derive(Debug, Deserialize)]
struct InvalidField {
    name: String,
    expected: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Busy {
    message: String,
    retry_after_ms: Option<u64>,
}

/// What an adapter answered, for whoever called. It is written as the interface says, which its load has checked.
pub(super) fn refused(error: &str) -> Problem {
    let Ok(error) = serde_json::from_str::<Error>(error) else {
        return Problem::new(Code::Unavailable, "the adapter answered with an error that is none");
    };
    let (kind, problem) = match error {
        Error::NotFound(message) => (AdapterError::NotFound, of(Code::NotFound, message)),
        Error::AlreadyExists(message) => (AdapterError::AlreadyExists, of(Code::Conflict, message)),
        Error::Invalid(InvalidField { name, expected }) => {
            (AdapterError::Invalid, Problem { field: Some(name), ..of(Code::Invalid, expected) })
        }
        Error::Changed(message) => (AdapterError::Changed, of(Code::Conflict, message)),
        Error::Refused(message) => (AdapterError::Refused, of(Code::Conflict, message)),
        Error::Unsupported(message) => (AdapterError::Unsupported, of(Code::Unsupported, message)),
        Error::Denied(message) => (AdapterError::Denied, of(Code::Forbidden, message)),
        Error::Unavailable(Busy { message, retry_after_ms }) => {
            let wait = retry_after_ms.map_or(1, |ms| ms.div_ceil(1000));
            (AdapterError::Unavailable, of(Code::Unavailable, message).retry_after(wait))
        }
        Error::Uncertain(message) => (AdapterError::Uncertain, of(Code::TimedOut, message)),
        Error::Failed(message) => (AdapterError::Failed, of(Code::Unavailable, message)),
    };
    Problem { adapter_error: Some(kind), ..problem }
}

fn of(code: Code, mut message: String) -> Problem {
    message.truncate(message.floor_char_boundary(MESSAGE_MAX_BYTES));
    Problem::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_interface_is_understood() {
        let told = |error: &str| {
            let problem = refused(error);
            (problem.code, problem.detail, problem.field, problem.retry_after_s)
        };
        for (case, code) in [
            ("not-found", Code::NotFound),
            ("already-exists", Code::Conflict),
            ("changed", Code::Conflict),
            ("refused", Code::Conflict),
            ("unsupported", Code::Unsupported),
            ("denied", Code::Forbidden),
            ("uncertain", Code::TimedOut),
            ("failed", Code::Unavailable),
        ] {
            let error = format!(r#"{{"{case}":"words"}}"#);
            assert_eq!(told(&error), (code, "words".into(), None, None), "{case}");
            assert_eq!(serde_json::json!(refused(&error).adapter_error), case.replace('-', "_"));
        }
        let invalid = r#"{"invalid":{"name":"user","expected":"a name"}}"#;
        assert_eq!(told(invalid), (Code::Invalid, "a name".into(), Some("user".into()), None));
        let busy = r#"{"unavailable":{"message":"busy","retry-after-ms":2500}}"#;
        assert_eq!(told(busy), (Code::Unavailable, "busy".into(), None, Some(3)));
        assert_eq!(told("7").0, Code::Unavailable);
        let long = format!(r#"{{"failed":"{}"}}"#, "é".repeat(600));
        assert_eq!(told(&long).1.len(), 1000);
    }
}
