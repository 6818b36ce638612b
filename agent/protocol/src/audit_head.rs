//! A recorded head of the audit: how it is written down, one line each, by whoever keeps or reads them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The hash of a row of the audit as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedHead {
    /// The row's number.
    pub seq: u64,
    /// SHA-256 as 64 lower-case hexadecimal digits.
    pub hash: String,
    /// Root said: from here on the audit is another one that follows this row. Heads above it that were recorded before
    /// are of rows that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_back_to: Option<u64>,
}

/// A line that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `SEQ HASH` or `SEQ HASH set-back-to SEQ`")]
pub struct NoHead;

impl fmt::Display for RecordedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)?;
        self.set_back_to.map_or(Ok(()), |seq| write!(f, " set-back-to {seq}"))
    }
}

impl FromStr for RecordedHead {
    type Err = NoHead;

    fn from_str(line: &str) -> Result<Self, NoHead> {
        let (seq, rest) = line.split_once(' ').ok_or(NoHead)?;
        let (hash, set_back_to) = match rest.split_once(" set-back-to ") {
            Some((hash, seq)) => (hash, Some(seq.parse().map_err(|_| NoHead)?)),
            None => (rest, None),
        };
        let head = Self { seq: seq.parse().map_err(|_| NoHead)?, hash: hash.to_owned(), set_back_to };
        // One way to write each: no signs, no leading zeros.
        if is_sha256(hash) && head.to_string() == line { Ok(head) } else { Err(NoHead) }
    }
}

/// Whether the text is a SHA-256 in lower-case hexadecimal digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_from_its_line_and_nothing_else_passes_for_one() {
        let hash = "0123456789abcdef".repeat(4);
        for set_back_to in [None, Some(3)] {
            let head = RecordedHead { seq: 7, hash: hash.clone(), set_back_to };
            assert_eq!(head.to_string().parse(), Ok(head));
        }
        let bad = ["", "7", &format!("07 {hash}"), &format!("+7 {hash}"), &format!("7 {hash} "), &format!("7 {hash}x")];
        for line in bad.into_iter().chain(["7 abc", &*format!("7 {hash} set-back-to x"), &*format!("7 {hash} 3")]) {
            assert_eq!(line.parse::<RecordedHead>(), Err(NoHead), "{line}");
        }
    }
}
