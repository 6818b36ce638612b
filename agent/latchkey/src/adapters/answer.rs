//! The errors that adapters answer with: `types.error` of the interface.

use serde::Deserialize;

use crate::problem::{Code, Problem};

/// A sentence is kept up to so many bytes.
const MESSAGE_MAX_BYTES: usize = 1_000;

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
    match error {
        Error::NotFound(message) => of(Code::NotFound, message),
        Error::AlreadyExists(message) | Error::Changed(message) | Error::Refused(message) => {
            of(Code::Conflict, message)
        }
        Error::Invalid(InvalidField { name, expected }) => Problem { field: Some(name), ..of(Code::Invalid, expected) },
        Error::Unsupported(message) => of(Code::Unsupported, message),
        Error::Denied(message) => of(Code::Forbidden, message),
        Error::Unavailable(Busy { message, retry_after_ms }) => {
            let wait = retry_after_ms.map_or(1, |ms| ms.div_ceil(1000));
            of(Code::Unavailable, message).retry_after(wait)
        }
        Error::Uncertain(message) => of(Code::TimedOut, message),
        Error::Failed(message) => of(Code::Unavailable, message),
    }
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
            assert_eq!(told(&format!(r#"{{"{case}":"words"}}"#)), (code, "words".into(), None, None), "{case}");
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
