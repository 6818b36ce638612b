//! The names of what operators write down for adapters: commands, directories of configuration files.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A name: a lower-case letter or digit, then up to 30 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct GrantName(String);

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a lower-case letter or digit, then up to 30 of a-z, 0-9 and -")]
pub(crate) struct NoGrantName;

impl TryFrom<String> for GrantName {
    type Error = NoGrantName;

    fn try_from(text: String) -> Result<Self, NoGrantName> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=31).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_plain);
        if fits { Ok(Self(text)) } else { Err(NoGrantName) }
    }
}

impl FromStr for GrantName {
    type Err = NoGrantName;

    fn from_str(text: &str) -> Result<Self, NoGrantName> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for GrantName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_quotes() {
        for name in ["a", "0", "reload-php", &"a".repeat(31)] {
            assert_eq!(name.parse::<GrantName>().unwrap().to_string(), name);
        }
        for name in ["", "-a", "A", "a_b", "a.b", "a b", "a\"", "ä", &"a".repeat(32)] {
            assert_eq!(name.parse::<GrantName>(), Err(NoGrantName), "{name}");
        }
    }
}
