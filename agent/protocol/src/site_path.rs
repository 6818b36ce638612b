//! A path beneath a root: components as bytes, parsed once and never a string again.
//!
//! There is no text encoding in it: names are what the file system has. It holds no `.`, no `..`, no empty component,
//! so whatever it is joined to it stays beneath, as far as names go; links are the worker's business (`openat2`).

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt as _};

use serde::{Deserialize, Serialize};

use crate::bytes;

/// The longest name of one component in bytes.
pub const NAME_MAX_BYTES: usize = 255;

/// The longest path in bytes, separators counted.
pub const SITE_PATH_MAX_BYTES: usize = 4000;

/// Why bytes are no path or no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SitePathError {
    /// It climbs above the root.
    #[error("the path leads above its root")]
    Climbs,
    /// A name is longer than [`NAME_MAX_BYTES`] bytes.
    #[error("a name is longer than {NAME_MAX_BYTES} bytes")]
    LongName,
    /// The path is longer than [`SITE_PATH_MAX_BYTES`] bytes.
    #[error("the path is longer than {SITE_PATH_MAX_BYTES} bytes")]
    LongPath,
    /// It holds a zero byte.
    #[error("the path holds a zero byte")]
    Zero,
}

/// A path beneath a root; empty for the root itself.
///
/// `/` separates; a leading one means the root, repeated and trailing ones mean nothing. `.` and `..` are resolved here,
/// by name: `a/../b` is `b`, and what climbs above the root is the root, as with `chroot`, or refused
/// ([`SitePath::parse_strict`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SitePath {
    joined: Vec<u8>,
}

impl SitePath {
    /// The root itself.
    pub const ROOT: Self = Self { joined: Vec::new() };

    /// A path as a client writes it. `..` above the root stays at the root, as it does for a process in a `chroot`.
    pub fn parse(written: &[u8]) -> Result<Self, SitePathError> {
        if written.contains(&0) {
            return Err(SitePathError::Zero);
        }
        if written.len() > SITE_PATH_MAX_BYTES {
            return Err(SitePathError::LongPath);
        }
        let mut names: Vec<&[u8]> = Vec::new();
        for name in written.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    names.pop();
                }
                long if long.len() > NAME_MAX_BYTES => return Err(SitePathError::LongName),
                name => names.push(name),
            }
        }
        Ok(Self { joined: names.join(&b'/') })
    }

    /// A path as configuration or a share writes it: nothing in it may climb.
    pub fn parse_strict(written: &[u8]) -> Result<Self, SitePathError> {
        if written.split(|byte| *byte == b'/').any(|name| name == b"..") {
            return Err(SitePathError::Climbs);
        }
        Self::parse(written)
    }

    /// The path of `name` in this directory; `name` is one component.
    pub fn child(&self, name: &[u8]) -> Result<Self, SitePathError> {
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
            return Err(SitePathError::Climbs);
        }
        self.join(&Self::parse(name)?)
    }

    /// `inner` seen from above this path.
    pub fn join(&self, inner: &Self) -> Result<Self, SitePathError> {
        let joined = match (self.is_root(), inner.is_root()) {
            (true, _) => inner.joined.clone(),
            (false, true) => self.joined.clone(),
            (false, false) => [self.joined.as_slice(), &inner.joined].join(&b'/'),
        };
        if joined.len() > SITE_PATH_MAX_BYTES { Err(SitePathError::LongPath) } else { Ok(Self { joined }) }
    }

    /// Whether it is the root itself.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.joined.is_empty()
    }

    /// Its components, from the root down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.joined.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The directory that holds it, and its name there; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        match self.joined.iter().rposition(|byte| *byte == b'/') {
            Some(at) => {
                let (parent, name) = self.joined.split_at(at);
                Some((Self { joined: parent.to_vec() }, name.get(1..).unwrap_or_default()))
            }
            None if self.is_root() => None,
            None => Some((Self::ROOT, &self.joined)),
        }
    }

    /// Whether it is `outer` or lies beneath it, by components.
    #[must_use]
    pub fn is_beneath(&self, outer: &Self) -> bool {
        outer.is_root()
            || self.joined.strip_prefix(outer.joined.as_slice()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// Its bytes, without a leading or trailing separator.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.joined
    }

    /// For a system call relative to the root: `.` for the root itself.
    #[must_use]
    pub fn as_relative(&self) -> &OsStr {
        if self.is_root() { OsStr::new(".") } else { OsStr::from_bytes(&self.joined) }
    }
}

impl fmt::Display for SitePath {
    /// With a leading `/`, and whatever is not printable ASCII as `\xNN`: one line, for logs and the audit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.joined.escape_ascii())
    }
}

impl From<SitePath> for String {
    fn from(path: SitePath) -> Self {
        bytes::to_text(&path.joined)
    }
}

impl TryFrom<String> for SitePath {
    type Error = &'static str;

    /// From a frame: exactly what [`String::from`] writes, so nothing is resolved a second time.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let joined = bytes::from_text(&text).ok_or("expected characters up to U+00FF, a byte each")?;
        match Self::parse_strict(&joined) {
            Ok(path) if path.joined == joined => Ok(path),
            _ => Err("expected a path without `.`, `..` and empty names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn path(written: &[u8]) -> SitePath {
        SitePath::parse(written).unwrap()
    }

    #[test]
    fn what_a_client_writes_is_resolved_by_name_and_stays_beneath_the_root() {
        for (written, is) in [
            (&b""[..], &b""[..]),
            (b"/", b""),
            (b".", b""),
            (b"/a//b/", b"a/b"),
            (b"a/./b", b"a/b"),
            (b"a/../b", b"b"),
            (b"../../etc/passwd", b"etc/passwd"),
            (b"/..", b""),
            (b"a/b/../../../c", b"c"),
            (b"...", b"..."),
            (b"-rf\n\xff", b"-rf\n\xff"),
        ] {
            assert_eq!(path(written).as_bytes(), is, "{}", written.escape_ascii());
        }
    }

    #[test]
    fn a_path_that_climbs_or_is_too_long_or_holds_a_zero_is_refused() {
        assert_eq!(SitePath::parse_strict(b"a/../b"), Err(SitePathError::Climbs));
        assert_eq!(SitePath::parse(b"a\0b"), Err(SitePathError::Zero));
        assert!(SitePath::parse(&[b'x'; NAME_MAX_BYTES]).is_ok());
        assert_eq!(SitePath::parse(&[b'x'; NAME_MAX_BYTES + 1]), Err(SitePathError::LongName));
        assert_eq!(SitePath::parse(&b"x/".repeat(SITE_PATH_MAX_BYTES)), Err(SitePathError::LongPath));
    }

    #[test]
    fn beneath_is_by_components() {
        assert!(path(b"s1/x").is_beneath(&path(b"s1")));
        assert!(path(b"s1").is_beneath(&path(b"s1")));
        assert!(!path(b"s10").is_beneath(&path(b"s1")));
        assert!(path(b"s10").is_beneath(&SitePath::ROOT));
    }

    #[test]
    fn a_path_is_split_into_directory_and_name() {
        assert_eq!(path(b"a/b/c").split(), Some((path(b"a/b"), &b"c"[..])));
        assert_eq!(path(b"a").split(), Some((SitePath::ROOT, &b"a"[..])));
        assert_eq!(SitePath::ROOT.split(), None);
    }

    #[test]
    fn a_child_is_one_name() {
        assert_eq!(path(b"a").child(b"b").unwrap(), path(b"a/b"));
        for name in [&b""[..], b".", b"..", b"b/c"] {
            assert_eq!(path(b"a").child(name), Err(SitePathError::Climbs));
        }
    }

    #[test]
    fn a_frame_carries_every_byte_and_nothing_that_would_be_resolved() {
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let whole = SitePath::parse(&all).unwrap();
        let frame = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<SitePath>(&frame).unwrap(), whole);
        for text in [r#""a/../b""#, r#""/a""#, r#""a//b""#, r#"".""#, "\"\u{100}\"", r#""a\u0000""#] {
            assert!(serde_json::from_str::<SitePath>(text).is_err(), "{text}");
        }
    }
}
