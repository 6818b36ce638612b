//! An email address as the key of a person: normalised once, compared as bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An email address: the local part in ASCII lower case, the domain as an A-label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Arc<str>);

/// Text that is no address this agent accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// No local part, no domain, or more than one `@`.
    #[error("expected an address like name@example.org")]
    Shape,
    /// Letters outside ASCII before the `@` have no agreed lower case.
    #[error("expected only ASCII letters before the @")]
    NonAsciiLocalPart,
    /// A character that has a meaning in mail headers or in lists.
    #[error("expected no spaces, quotes, commas or control characters before the @")]
    Character,
    /// The domain is no host name.
    #[error("expected a domain name after the @")]
    Domain,
    /// Longer than RFC 5321 allows.
    #[error("expected at most 64 characters before the @ and 254 in all")]
    Length,
}

impl Email {
    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(InvalidEmail::Shape);
        }
        if !local.is_ascii() {
            return Err(InvalidEmail::NonAsciiLocalPart);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let dots_are_inside = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
        if !local.bytes().all(plain) || !dots_are_inside {
            return Err(InvalidEmail::Character);
        }
        let domain = if is_plain(domain) {
            domain.to_owned()
        } else {
            idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail::Domain)?
        };
        if domain.is_empty()
            || domain.ends_with('.')
            || domain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(InvalidEmail::Domain);
        }
        let normalised = format!("{}@{domain}", local.to_ascii_lowercase());
        if local.len() > 64 || normalised.len() > 254 {
            return Err(InvalidEmail::Length);
        }
        Ok(Self(normalised.into()))
    }
}

/// Whether a domain is an A-label already, as almost all are: lower-case letters, digits and single dashes inside.
fn is_plain(domain: &str) -> bool {
    let label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(letters)
            && !label.starts_with('-')
            && !label.ends_with('-')
            && !label.contains("--")
    };
    domain.len() <= 253 && domain.split('.').all(label)
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.as_ref().to_owned()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, InvalidEmail>) {
        assert_eq!(text.parse::<Email>().as_ref().map(Email::as_str), expected.as_ref().copied(), "{text:?}");
    }

    #[test]
    fn an_address_is_lower_cased_and_its_domain_becomes_an_a_label() {
        check("Dev@Example.ORG", Ok("dev@example.org"));
        check("a@Bücher.example", Ok("a@xn--bcher-kva.example"));
        check("first.last+tag@example.org", Ok("first.last+tag@example.org"));
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        check("nobody", Err(InvalidEmail::Shape));
        check("@example.org", Err(InvalidEmail::Shape));
        check("a@", Err(InvalidEmail::Shape));
        check("a@b@c", Err(InvalidEmail::Shape));
        check("jürgen@example.org", Err(InvalidEmail::NonAsciiLocalPart));
        check("a b@example.org", Err(InvalidEmail::Character));
        check("a\r\nBcc: x@example.org", Err(InvalidEmail::Character));
        check(".a@example.org", Err(InvalidEmail::Character));
        check("a@exa mple.org", Err(InvalidEmail::Domain));
        check("a@127.0.0.1", Err(InvalidEmail::Domain));
        check(&format!("{}@example.org", "a".repeat(65)), Err(InvalidEmail::Length));
    }
}
