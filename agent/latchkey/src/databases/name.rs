//! Names of databases and their users: always a hosting's own, and nothing that could end a quoted name.

use std::fmt;

/// A database's name is at most so long.
const DATABASE_MAX_BYTES: usize = 64;
/// A user's name is at most so long: MySQL's bound, MariaDB allows more.
const USER_MAX_BYTES: usize = 32;

/// What temporary accounts begin with. No hosting has this prefix, or one that this begins with.
pub(crate) const TEMPORARY: &str = "latchkey_tmp_";

/// The name of a database of a hosting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DatabaseName(String);

/// The name of a database user of a hosting, who comes from this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserName(String);

/// A name that a hosting cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {prefix} and 1 to {} characters of a-z, 0-9 and _", most - prefix.len())]
pub(crate) struct NameError {
    prefix: String,
    most: usize,
}

impl NameError {
    /// What was expected of one that is given without the prefix.
    pub(crate) fn without_prefix(&self) -> String {
        let Self { prefix, most } = self;
        format!("expected 1 to {} characters of a-z, 0-9 and _; {prefix} is put before them", most - prefix.len())
    }
}

impl DatabaseName {
    /// Checks a name of the hosting that has this prefix.
    pub(crate) fn new(prefix: &str, name: &str) -> Result<Self, NameError> {
        check(prefix, name, DATABASE_MAX_BYTES).map(Self)
    }

    /// The name of a new one, given without the prefix.
    pub(crate) fn with_prefix(prefix: &str, name: &str) -> Result<Self, NameError> {
        Self::new(prefix, &format!("{prefix}{name}"))
    }

    /// As a name in a statement.
    pub(super) fn quoted(&self) -> String {
        format!("`{}`", self.0)
    }

    /// As a name in a grant, where `_` stands for any character unless it is escaped.
    pub(super) fn pattern(&self) -> String {
        self.0.replace('_', "\\_")
    }
}

impl UserName {
    /// Checks a name of the hosting that has this prefix.
    pub(crate) fn new(prefix: &str, name: &str) -> Result<Self, NameError> {
        check(prefix, name, USER_MAX_BYTES).map(Self)
    }

    /// The name of a new one, given without the prefix.
    pub(crate) fn with_prefix(prefix: &str, name: &str) -> Result<Self, NameError> {
        Self::new(prefix, &format!("{prefix}{name}"))
    }

    /// The name of a temporary account; `word` is 32 hexadecimal digits, of which some are used.
    pub(crate) fn temporary(word: &str) -> Self {
        Self(format!("{TEMPORARY}{}", word.chars().filter(char::is_ascii_hexdigit).take(16).collect::<String>()))
    }

    /// A name that [`UserName::temporary`] made.
    pub(crate) fn of_temporary(name: &str) -> Option<Self> {
        let word = name.strip_prefix(TEMPORARY)?;
        (word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(name.to_owned()))
    }

    /// As an account in a statement.
    pub(super) fn account(&self) -> String {
        format!("'{}'@'localhost'", self.0)
    }
}

macro_rules! text {
    ($($name:ident)+) => {
        $(impl $name {
            /// The name.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        })+
    };
}

text!(DatabaseName UserName);

fn check(prefix: &str, name: &str, most: usize) -> Result<String, NameError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits =
        name.starts_with(prefix) && (prefix.len() + 1..=most).contains(&name.len()) && name.bytes().all(is_plain);
    if fits { Ok(name.to_owned()) } else { Err(NameError { prefix: prefix.to_owned(), most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_hostings_own() {
        for name in ["h1_a", "h1__", "h1_shop_2", &format!("h1_{}", "x".repeat(61))] {
            assert_eq!(DatabaseName::new("h1_", name).unwrap().as_str(), name);
        }
        for name in ["", "h1_", "h1", "h10_a", "H1_a", "h2_a", "mysql", &format!("h1_{}", "x".repeat(62))] {
            assert!(DatabaseName::new("h1_", name).is_err(), "{name}");
        }
        let longest = format!("h1_{}", "x".repeat(29));
        assert_eq!(UserName::new("h1_", &longest).unwrap().as_str(), longest);
        let told = UserName::new("h1_", &format!("{longest}x")).unwrap_err().to_string();
        assert_eq!(told, "expected h1_ and 1 to 29 characters of a-z, 0-9 and _");
    }

    #[test]
    fn nothing_that_ends_a_quoted_name_is_a_name() {
        for odd in ["`", "'", "\"", "\\", "%", "*", ".", " ", "\n", "\0", ";", "-", "@", "ä", "а", "\u{2019}", "A"] {
            for name in [format!("h1_{odd}"), format!("h1_a{odd}b"), format!("{odd}h1_a")] {
                assert!(DatabaseName::new("h1_", &name).is_err() && UserName::new("h1_", &name).is_err(), "{name:?}");
            }
        }
    }

    #[test]
    fn an_underscore_stands_for_itself_in_a_grant() {
        assert_eq!(DatabaseName::new("a_", "a_b_c").unwrap().pattern(), "a\\_b\\_c");
    }
}
