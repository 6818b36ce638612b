//! Server-sent events, as they are written.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

/// Their media type.
pub(crate) const EVENTS: &str = "text/event-stream";

/// So long a stream says nothing at most: middle boxes cut a silent one.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);

/// A comment, for a stream that has nothing to say.
pub(crate) const STILL_HERE: &str = ": still here\n\n";

/// An event. Whoever comes again begins behind its id.
pub(crate) fn event(id: impl Display, kind: &str, data: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(format!("id: {id}\n{}", without_id(kind, data)?))
}

/// An event that changes nothing about where somebody who comes again begins.
pub(crate) fn without_id(kind: &str, data: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(format!("event: {kind}\ndata: {}\n\n", serde_json::to_string(data)?))
}

/// Where somebody who comes again begins, before anything has happened.
pub(crate) fn only_id(id: impl Display) -> String {
    format!("id: {id}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_one_line_whatever_stands_in_it() {
        let data = "two\nlines\r\n\r\nevent: forged";
        let written = event(7, "line", &data).unwrap();
        assert_eq!(written, "id: 7\nevent: line\ndata: \"two\\nlines\\r\\n\\r\\nevent: forged\"\n\n");
    }
}
