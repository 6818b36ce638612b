//! Looking around in a line: words, quotes, ends of values. All positions are at ASCII bytes, so between characters.

use std::ops::Range;

/// Quotes, with the ways in which logs write them.
const QUOTES: [&str; 10] = ["\"", "'", "\\\"", "\\'", "\\x22", "\\x27", "\\u0022", "%22", "%27", "&quot;"];

/// A line.
pub(super) struct Text<'t> {
    line: &'t str,
}

/// What names and keys are made of.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl<'t> Text<'t> {
    pub(super) const fn of(line: &'t str) -> Self {
        Self { line }
    }

    pub(super) const fn len(&self) -> usize {
        self.line.len()
    }

    /// The byte there; 0 beyond the end.
    pub(super) fn at(&self, at: usize) -> u8 {
        self.line.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The byte before; 0 at the beginning.
    pub(super) fn at_before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |before| self.at(before))
    }

    pub(super) fn part(&self, range: Range<usize>) -> &'t str {
        self.line.get(range).unwrap_or_default()
    }

    pub(super) fn from(&self, at: usize) -> &'t str {
        self.line.get(at..).unwrap_or_default()
    }

    /// Words: runs of letters, digits, `_` and `-`. What a `%` or `\x` escapes is part of none.
    pub(super) fn words(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            while at < self.len() && !is_word(self.at(at)) {
                at += self.escape_at(at).max(1);
            }
            let start = at;
            while is_word(self.at(at)) {
                at += 1;
            }
            (start < at).then_some(start..at)
        })
    }

    /// How long the escape of a character is that begins there; 0 if none does.
    fn escape_at(&self, at: usize) -> usize {
        let is_hex = |from: usize, count: usize| (from..from + count).all(|at| self.at(at).is_ascii_hexdigit());
        match (self.at(at), self.at(at + 1)) {
            (b'%', _) if is_hex(at + 1, 2) => 3,
            (b'\\', b'x') if is_hex(at + 2, 2) => 4,
            (b'\\', b'u') if is_hex(at + 2, 4) => 6,
            _ => 0,
        }
    }

    pub(super) fn skip_spaces(&self, mut at: usize) -> usize {
        while matches!(self.at(at), b' ' | b'\t') {
            at += 1;
        }
        at
    }

    /// Where what closes a name ends, and whether a quote was among it: `"`, `']`, `%5D`.
    pub(super) fn skip_closers(&self, mut at: usize) -> (usize, bool) {
        let mut quoted = false;
        loop {
            if let Some(quote) = self.quote_at(at) {
                (at, quoted) = (at + quote.len(), true);
            } else if self.at(at) == b']' {
                at += 1;
            } else if self.part(at..(at + 3).min(self.len())).eq_ignore_ascii_case("%5d") {
                at += 3;
            } else {
                return (at, quoted);
            }
        }
    }

    /// The quote that begins there.
    pub(super) fn quote_at(&self, at: usize) -> Option<&'static str> {
        let rest = self.from(at);
        QUOTES.into_iter().find(|quote| rest.starts_with(quote))
    }

    /// Where this begins, from a place on, or the end; what a backslash is before does not count for a plain quote.
    pub(super) fn find(&self, from: usize, wanted: &str) -> usize {
        let mut at = from;
        while at < self.len() {
            if self.from(at).starts_with(wanted) {
                return at;
            }
            let is_escaped = self.at(at) == b'\\' && wanted.len() == 1;
            at += if is_escaped { 2 } else { 1 };
        }
        self.len()
    }

    /// The end of a value without quotes.
    pub(super) fn end_of_value(&self, from: usize) -> usize {
        let is_end = |at: &usize| {
            matches!(self.at(*at), b' ' | b'\t' | b'&' | b'"' | b'\'' | b';' | b'<' | b'>')
                || self.part(*at..(*at + 3).min(self.len())).eq_ignore_ascii_case("%26")
                || self.quote_at(*at).is_some()
        };
        (from..self.len()).find(is_end).unwrap_or(self.len())
    }

    /// The end of a header that stands in something quoted, or of the line.
    pub(super) fn end_of_header(&self, from: usize) -> usize {
        let is_end = |at: &usize| matches!(self.quote_at(*at), Some(quote) if quote != "'" && quote != "%27");
        (from..self.len()).find(is_end).unwrap_or(self.len())
    }

    /// Where this byte is.
    pub(super) fn all(&self, wanted: u8) -> impl Iterator<Item = usize> + '_ {
        self.line.bytes().enumerate().filter(move |(_, byte)| *byte == wanted).map(|(at, _)| at)
    }

    /// Where this begins.
    pub(super) fn all_of(&self, wanted: &'static str) -> impl Iterator<Item = usize> + '_ {
        self.line.match_indices(wanted).map(|(at, _)| at)
    }

    /// Where this byte is last.
    pub(super) fn rfind(&self, wanted: u8) -> Option<usize> {
        self.line.bytes().rposition(|byte| byte == wanted)
    }

    /// The function before an opening bracket, with its class: `mysqli->real_connect`.
    pub(super) fn callee(&self, open: usize) -> Range<usize> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_:>-\\".contains(&byte);
        let start = (0..open).rev().take_while(|at| is_part(self.at(*at))).last().unwrap_or(open);
        start..open
    }
}
