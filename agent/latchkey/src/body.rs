//! Parsing a request body: JSON, no unknown fields, and errors that name the field.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// Parses a body. An empty one counts as `{}`.
pub(crate) fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    // Otherwise a list would pass for the object whose fields it holds in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::new(crate::problem::Code::Invalid, "expected a JSON object"));
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let detail = inner.to_string();
        // "missing field `x`", "unknown field `x`" and "duplicate field `x`" are reported at the object around it.
        let named = detail.split('`').nth(1).filter(|_| {
            ["missing field", "unknown field", "duplicate field"].iter().any(|one| detail.starts_with(one))
        });
        let field = match (path.as_str(), named) {
            ("." | "?", Some(name)) => Some(name.to_owned()),
            ("." | "?", None) => None,
            (path, Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
            (path, _) => Some(path.to_owned()),
        };
        let syntax = inner.is_syntax() || inner.is_eof();
        let detail = if syntax { format!("expected a JSON object: {detail}") } else { detail };
        Problem { field, ..Problem::new(crate::problem::Code::Invalid, detail) }
    })?;
    parser
        .end()
        .map_err(|error| Problem::new(crate::problem::Code::Invalid, format!("expected one JSON object: {error}")))?;
    Ok(parsed)
}

/// Of a field that cannot be removed: it may be absent, and `null` is refused.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Of a field that can be removed: `null` is `Some(None)`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::parse_body;
    use crate::shares::InviteInput;

    #[track_caller]
    fn check(body: &str, field: Option<&str>) {
        let problem = parse_body::<InviteInput>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.field.as_deref(), field, "{body}: {}", problem.detail);
    }

    #[test]
    fn a_fault_names_its_field() {
        check(r#"{"role": "developer"}"#, Some("email"));
        check(r#"{"email": 7, "role": "developer"}"#, Some("email"));
        check(r#"{"email": "a@example.org", "role": "developer", "rolle": 1}"#, Some("rolle"));
        check(r#"{"email": "a@example.org", "role": "x", "log_in_as": {"id": 1}}"#, Some("log_in_as"));
        check("{", None);
        check(r#"{"email": "a@example.org", "email": "b@example.org", "role": "developer"}"#, Some("email"));
        check("[]", None);
        check(r#"["a@example.org", "developer", null, null, false, null, null, null]"#, None);
    }
}
