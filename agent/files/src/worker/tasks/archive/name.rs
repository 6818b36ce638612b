//! Names of entries: parsed once, into what lies beneath the folder that is extracted into.

use latchkey_protocol::{ArchiveFlaw, NAME_MAX_BYTES, SITE_PATH_MAX_BYTES};

use super::limits::DEPTH_MAX;

/// Where an entry goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryName<'n> {
    /// Its folders, from the outermost.
    pub(super) folders: Vec<&'n [u8]>,
    /// Its own name; none for the folder itself that is extracted into.
    pub(super) name: Option<&'n [u8]>,
    /// Whether it was written as a folder's.
    pub(super) is_folder: bool,
}

impl<'n> EntryName<'n> {
    /// A name as an archive has it. `./` at its beginning means nothing, as with `tar .`.
    pub(super) fn parse(written: &'n [u8]) -> Result<Self, ArchiveFlaw> {
        if written.is_empty() || written.contains(&0) {
            return Err(ArchiveFlaw::NoName);
        }
        if written.starts_with(b"/") {
            return Err(ArchiveFlaw::Absolute);
        }
        if written.len() > SITE_PATH_MAX_BYTES {
            return Err(ArchiveFlaw::LongName);
        }
        let inner = written.strip_prefix(b"./").unwrap_or(written);
        let is_folder = written.ends_with(b"/") || inner == b".";
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        if matches!(inner, b"" | b".") {
            return Ok(Self { folders: Vec::new(), name: None, is_folder: true });
        }
        let mut folders = Vec::new();
        for name in inner.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => return Err(ArchiveFlaw::NoName),
                b".." => return Err(ArchiveFlaw::Climbs),
                long if long.len() > NAME_MAX_BYTES => return Err(ArchiveFlaw::LongName),
                name => folders.push(name),
            }
        }
        if folders.len() > DEPTH_MAX {
            return Err(ArchiveFlaw::Depth);
        }
        let name = folders.pop();
        Ok(Self { folders, name, is_folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lies_beneath_or_is_refused() {
        let parsed = |text: &'static str| EntryName::parse(text.as_bytes());
        let name = |folders: &[&'static str], name: Option<&'static str>, is_folder| {
            let folders = folders.iter().map(|one| one.as_bytes()).collect();
            Ok(EntryName { folders, name: name.map(str::as_bytes), is_folder })
        };
        assert_eq!(parsed("a"), name(&[], Some("a"), false));
        assert_eq!(parsed("a/b/c"), name(&["a", "b"], Some("c"), false));
        assert_eq!(parsed("./a/"), name(&[], Some("a"), true));
        assert_eq!(parsed("..."), name(&[], Some("..."), false));
        for whole in ["./", "."] {
            assert_eq!(parsed(whole), name(&[], None, true), "{whole}");
        }
        for (text, flaw) in [
            ("", ArchiveFlaw::NoName),
            ("a\0b", ArchiveFlaw::NoName),
            ("a//b", ArchiveFlaw::NoName),
            ("a/./b", ArchiveFlaw::NoName),
            ("a//", ArchiveFlaw::NoName),
            (".//a", ArchiveFlaw::NoName),
            ("/a", ArchiveFlaw::Absolute),
            ("/", ArchiveFlaw::Absolute),
            ("..", ArchiveFlaw::Climbs),
            ("../a", ArchiveFlaw::Climbs),
            ("./../a", ArchiveFlaw::Climbs),
            ("a/../b", ArchiveFlaw::Climbs),
            ("a/..", ArchiveFlaw::Climbs),
        ] {
            assert_eq!(parsed(text), Err(flaw), "{text}");
        }
    }

    #[test]
    fn a_name_is_so_long_and_so_deep_at_most() {
        assert!(EntryName::parse(&[b'x'; NAME_MAX_BYTES]).is_ok());
        assert_eq!(EntryName::parse(&[b'x'; NAME_MAX_BYTES + 1]), Err(ArchiveFlaw::LongName));
        let deep = |depth: usize| [b"d/".repeat(depth - 1), b"f".to_vec()].concat();
        assert!(EntryName::parse(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(EntryName::parse(&deep(DEPTH_MAX + 1)), Err(ArchiveFlaw::Depth));
        let long =
            |length: usize| [b'x'; 250].repeat(17).chunks(200).collect::<Vec<_>>().join(&b'/')[..length].to_vec();
        assert!(EntryName::parse(&long(SITE_PATH_MAX_BYTES)).is_ok());
        assert_eq!(EntryName::parse(&long(SITE_PATH_MAX_BYTES + 1)), Err(ArchiveFlaw::LongName));
    }
}
