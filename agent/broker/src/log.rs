//! Lines on standard error for the operator, as text or as JSON.
//!
//! A few lines instead of a logging library: each library here is code that runs as root.

use std::{cell::RefCell, fmt::Write as _, io::Write as _, sync::OnceLock};

pub use latchkey_protocol::chain;
use serde::Deserialize;

static FORMAT: OnceLock<Format> = OnceLock::new();

thread_local! {
    static REQUEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How the lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `level message key=value`
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Sets the format; the first call counts.
pub fn set_format(format: Format) {
    let _ = FORMAT.set(format);
}

/// Has every further line of this thread name the request that it is about.
pub fn set_request(id: Option<String>) {
    REQUEST.set(id);
}

/// Says something that an operator may want to know.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    write("info", message, fields);
}

/// Says something that needs a look.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    write("warn", message, fields);
}

fn write(level: &str, message: &str, fields: &[(&str, &str)]) {
    let request = REQUEST.with_borrow(Clone::clone);
    let request = request.as_deref().map(|id| ("request_id", id));
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain(request).collect();
    let line = match FORMAT.get().copied().unwrap_or_default() {
        Format::Text => text(level, message, &fields),
        Format::Json => json(level, message, &fields),
    };
    // A log that cannot be written is no reason to stop.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Values come from requests, so everything that could start a new line or a new field is escaped.
fn text(level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let mut line = format!("{level} {message}");
    for (key, value) in fields {
        let _ = write!(line, " {key}={value:?}");
    }
    line.push('\n');
    line
}

fn json(level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let mut object = serde_json::Map::new();
    for (key, value) in [("level", level), ("message", message)].iter().chain(fields) {
        object.insert((*key).to_owned(), (*value).into());
    }
    format!("{}\n", serde_json::Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_line_breaks_stays_one_line() {
        let fields = [("user", "a\nwarn forged")];
        assert_eq!(text("info", "refused", &fields), "info refused user=\"a\\nwarn forged\"\n");
        assert_eq!(json("info", "refused", &fields).lines().count(), 1);
    }
}
