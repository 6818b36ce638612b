//! A line of a log as it is shown: whole, masked, and no longer than this.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::mask::masked;

/// A longer line is not shown at all: it cannot be masked as a whole.
pub(super) const WHOLE_MAX_BYTES: usize = 64 << 10;

/// So much of a line is shown.
const SHOWN_MAX_BYTES: usize = 8 << 10;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Line {
    /// What it says. `***` stands for what may be a secret, U+FFFD for bytes that are no text.
    pub(super) text: String,
    /// Whether it is longer than what is shown of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) cut: bool,
}

impl Line {
    /// A whole line, without what ends it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.len() > WHOLE_MAX_BYTES {
            return Self::too_long();
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = masked(&plain(&String::from_utf8_lossy(bytes)));
        let end = text.floor_char_boundary(SHOWN_MAX_BYTES.min(text.len()));
        Self { cut: end < text.len(), text: text.get(..end).unwrap_or_default().to_owned() }
    }

    /// One that is too long to be shown.
    pub(super) const fn too_long() -> Self {
        Self { text: String::new(), cut: true }
    }

    /// A number that tells it from other lines; 0 for one that is too long. It says no more than what is shown.
    pub(super) fn print(&self) -> u32 {
        if *self == Self::too_long() {
            return 0;
        }
        let digest = Sha256::digest(&self.text);
        digest.iter().take(4).fold(0, |print, byte| print << 8 | u32::from(*byte))
    }
}

/// Without control characters, which a terminal would obey.
fn plain(text: &str) -> Cow<'_, str> {
    let is_control = |letter: char| letter.is_control() && letter != '\t';
    if text.contains(is_control) { text.replace(is_control, "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], text: &str, cut: bool) {
        assert_eq!(Line::of(bytes), Line { text: text.into(), cut });
    }

    #[test]
    fn a_line_is_shown_masked_as_text_and_no_longer_than_the_limit() {
        check(b"GET /?token=abc&x=1\r", "GET /?token=***&x=1", false);
        check(b"caf\xe9 \x1b[31m\ttab\0", "caf\u{fffd} \u{fffd}[31m\ttab\u{fffd}", false);
        check(&[b'x'; SHOWN_MAX_BYTES], &"x".repeat(SHOWN_MAX_BYTES), false);
        check(&[b'x'; SHOWN_MAX_BYTES + 1], &"x".repeat(SHOWN_MAX_BYTES), true);
        check("ü".repeat(SHOWN_MAX_BYTES).as_bytes(), &"ü".repeat(SHOWN_MAX_BYTES / 2), true);
        check(&[b'x'; WHOLE_MAX_BYTES], &"x".repeat(SHOWN_MAX_BYTES), true);
        check(&[b'x'; WHOLE_MAX_BYTES + 1], "", true);
        check(b"", "", false);
    }

    #[test]
    fn a_secret_across_the_limit_is_hidden_before_the_line_is_cut() {
        let line = format!("{} password={}", "x ".repeat(SHOWN_MAX_BYTES / 2 - 8), "s3cret".repeat(20));
        assert!(!Line::of(line.as_bytes()).text.contains("s3cret"));
    }
}
