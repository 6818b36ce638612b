//! The names of commands that operators write down for adapters.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A name: a lower-case letter or digit, then up to 30 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CommandName(String);

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a lower-case letter or digit, then up to 30 of a-z, 0-9 and -")]
pub(crate) struct NoCommandName;

impl TryFrom<String> for CommandName {
    type Error = NoCommandName;

    fn try_from(text: String) -> Result<Self, NoCommandName> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=31).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_plain);
        if fits { Ok(Self(text)) } else { Err(NoCommandName) }
    }
}

impl FromStr for CommandName {
    type Err = NoCommandName;

    fn from_str(text: &str) -> Result<Self, NoCommandName> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for CommandName {
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
            assert_eq!(name.parse::<CommandName>().unwrap().to_string(), name);
        }
        for name in ["", "-a", "A", "a_b", "a.b", "a b", "a\"", "ä", &"a".repeat(32)] {
            assert_eq!(name.parse::<CommandName>(), Err(NoCommandName), "{name}");
        }
    }
}
