//! What is wrong with a file of the operator's, told without the texts that stand in it: one may be a secret, in its place or
//! in a wrong one.

use std::{fmt, ops::Range};

/// Where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFault {
    line: usize,
    message: String,
}

impl TextFault {
    /// From what a parser says: the bytes that it is about, and a message without an excerpt.
    #[must_use]
    pub fn new(text: &str, at: Option<Range<usize>>, message: &str) -> Self {
        let before = at.and_then(|at| text.get(..at.start)).unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, message: without_texts(message) }
    }
}

impl fmt::Display for TextFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.message)
    }
}

/// serde tells the text that it did not expect.
fn without_texts(message: &str) -> String {
    let parts = message.split_once("string \"").and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?.1)));
    parts.map_or_else(|| message.to_owned(), |(before, after)| format!("{before}string{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_not_told_and_all_else_is() {
        let told = |at, message| TextFault::new("one\ntwo\nthree", at, message).to_string();
        assert_eq!(
            told(None, "unknown field `shell`, expected `http`"),
            "line 1: unknown field `shell`, expected `http`"
        );
        assert_eq!(
            told(Some(4..5), "invalid type: string \"t0k\"en\", expected a map"),
            "line 2: invalid type: string, expected a map"
        );
        assert_eq!(
            told(Some(8..9), "invalid value: string \"t0ken\", expected one of \"a\""),
            "line 3: invalid value: string"
        );
    }
}
