//! The identifiers of the model. Hosting and instance ids come from the panel, names of adapters from their authors; person and share ids are made here.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest id of a hosting or an instance, in bytes.
const LONGEST: usize = 31;

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidId {
    expected: &'static str,
}

macro_rules! panel_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 31 characters of `[a-z0-9-]`, the first one no dash.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            // Held in place, not behind a pointer: a decision compares and looks up ids all the time. Zeros follow the
            // text, so the order of the bytes is the order of the texts.
            bytes: [u8; LONGEST],
            length: u8,
        }

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                let text = self.bytes.get(..usize::from(self.length)).and_then(|bytes| str::from_utf8(bytes).ok());
                text.unwrap_or_default()
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                // As `Borrow<str>` asks for.
                self.as_str().hash(state);
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                let mut bytes = text.bytes();
                let starts_well = bytes.next().is_some_and(plain);
                let mut id = Self { bytes: [0; LONGEST], length: text.len() as u8 };
                match id.bytes.get_mut(..text.len()) {
                    Some(place) if starts_well && bytes.all(|byte| plain(byte) || byte == b'-') => {
                        place.copy_from_slice(text.as_bytes());
                        Ok(id)
                    }
                    _ => {
                        Err(InvalidId { expected: "1 to 31 characters of a-z, 0-9 and dash, not starting with a dash" })
                    }
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Written as 16 lower-case hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u64);

        impl $name {
            /// The id with this number; the number is random and comes from the one who stores it.
            pub const fn from_number(number: u64) -> Self {
                Self(number)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                if text.len() == 16 && text.bytes().all(hex) {
                    u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId { expected: "16 hexadecimal digits" })
                } else {
                    Err(InvalidId { expected: "16 lower-case hexadecimal digits" })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:016x}", self.0)
            }
        }
    };
}

panel_id! {
    /// Names one hosting account on the node.
    HostingId
}
panel_id! {
    /// Names one WordPress installation.
    InstanceId
}
panel_id! {
    /// Names one adapter on the node, and the folder that it lies in.
    AdapterName
}
own_id! {
    /// Names one person.
    PersonId
}
own_id! {
    /// Names one share.
    ShareId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, accepted: bool) {
        assert_eq!(text.parse::<InstanceId>().is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn an_id_of_the_panel_is_short_lower_case_and_starts_plainly() {
        check("live", true);
        check("0", true);
        check("a-b-9", true);
        check(&"a".repeat(31), true);
        check(&"a".repeat(32), false);
        check("", false);
        check("-a", false);
        check("A", false);
        check("a_b", false);
        check("a/b", false);
        check("a\0", false);
    }

    #[test]
    fn ids_of_the_panel_are_found_and_sorted_by_their_text() {
        let ids = ["a", "a-b", "a0", "ab", "b"].map(|text| text.parse::<InstanceId>().unwrap());
        assert!(ids.is_sorted());
        let by_id = std::collections::HashMap::from(ids.map(|id| (id, ())));
        assert!(by_id.contains_key("a-b"));
        assert!(!by_id.contains_key("a-"));
    }

    #[test]
    fn a_share_id_reads_back_as_it_was_written() {
        let id = ShareId::from_number(0x0123_4567_89ab_cdef);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0123456789ABCDEF".parse::<ShareId>().is_err());
        assert!("+123456789abcdef".parse::<ShareId>().is_err());
    }
}
