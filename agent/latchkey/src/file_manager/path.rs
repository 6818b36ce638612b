//! Paths as calls write them: relative to the home, their bytes percent-encoded. Names are bytes, not always text.

use std::fmt;

use latchkey_protocol::SitePath;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// What is written as `%XX`: all that is not plain in a URL's path, so that a path can be put into one as it is.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

const EXPECTED: &str = "expected a path relative to the home without `..`, percent-encoded, at most 4000 bytes long with names of at most 255";

/// A path relative to the home; empty for the home itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct HomePath(SitePath);

impl HomePath {
    /// The path of a URL, which has not been decoded yet.
    pub(crate) fn of_url(text: &str) -> Result<Self, Problem> {
        Self::parse(text).map_err(|error| Problem::invalid("path", error.to_string()))
    }

    /// The path itself.
    pub(crate) const fn site_path(&self) -> &SitePath {
        &self.0
    }

    /// The path, unless it is the home itself.
    pub(crate) fn beneath(&self, field: &'static str) -> Result<&SitePath, Problem> {
        if self.0.is_root() {
            return Err(Problem::invalid(field, "expected something in the home, not the home itself"));
        }
        Ok(&self.0)
    }

    fn parse(text: &str) -> Result<Self, WrongPath> {
        let is_encoded = |rest: &[u8]| matches!(rest, [first, second, ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit());
        let mut escapes = text.as_bytes().split(|byte| *byte == b'%').skip(1);
        if !escapes.all(is_encoded) {
            return Err(WrongPath);
        }
        let bytes: Vec<u8> = percent_decode(text.as_bytes()).collect();
        SitePath::parse_strict(&bytes).map(Self).map_err(|_| WrongPath)
    }
}

/// Text that is no path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrongPath;

impl fmt::Display for WrongPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(EXPECTED)
    }
}

impl TryFrom<String> for HomePath {
    type Error = WrongPath;

    fn try_from(text: String) -> Result<Self, WrongPath> {
        Self::parse(&text)
    }
}

impl From<HomePath> for String {
    fn from(path: HomePath) -> Self {
        encode(path.0.as_bytes())
    }
}

impl From<SitePath> for HomePath {
    fn from(path: SitePath) -> Self {
        Self(path)
    }
}

/// Bytes of a path or a name, percent-encoded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_as_it_was() {
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let path = HomePath(SitePath::ROOT.child(&all).unwrap());
        let text = String::from(path.clone());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(HomePath::try_from(text).unwrap(), path);
        // Text that nobody encoded is taken as its bytes.
        assert_eq!(HomePath::parse("a b/ü").unwrap().0.as_bytes(), "a b/ü".as_bytes());
    }

    #[test]
    fn what_climbs_or_is_no_encoding_is_refused() {
        for text in [
            "..",
            "a/../b",
            "%2e%2e/b",
            "a/%2e%2E",
            "%",
            "%2",
            "%zz",
            "a%00",
            "100%",
            &"x".repeat(256),
            &"x/".repeat(3000),
        ] {
            assert!(HomePath::parse(text).is_err(), "{text}");
        }
    }
}
