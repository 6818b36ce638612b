//! A file as it is told.

use jiff::Timestamp;
use latchkey_protocol::{FileAttributes, SitePath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Home, HomePath, encode};

/// A file, a folder or a link.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FileView {
    /// Where it is, relative to the home, percent-encoded.
    pub(crate) path: HomePath,
    /// The last part of it, percent-encoded.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: FileKind,
    /// Its length in bytes.
    pub(crate) size_bytes: u64,
    /// Its permission bits.
    pub(crate) mode: FileMode,
    /// The system user, or the number of somebody else.
    pub(crate) owner: String,
    /// The number of its group.
    pub(crate) gid: u32,
    /// When its content was changed last.
    #[schemars(with = "String")]
    pub(crate) modified_at: Timestamp,
}

/// What something in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// Permission bits as three or four octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct FileMode(pub(crate) u32);

impl FileKind {
    /// What attributes say.
    pub(crate) const fn of(found: &FileAttributes) -> Self {
        match found.mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Folder,
            0o120_000 => Self::Link,
            _ => Self::Other,
        }
    }
}

impl FileView {
    /// What is known of a path.
    pub(crate) fn of(home: &Home, path: SitePath, found: &FileAttributes) -> Self {
        let is_own = found.uid == home.uid;
        Self {
            name: path.split().map_or_else(String::new, |(_, name)| encode(name)),
            kind: FileKind::of(found),
            size_bytes: found.size,
            mode: FileMode(found.mode & 0o7777),
            owner: if is_own { home.hosting.system_user.clone() } else { found.uid.to_string() },
            gid: found.gid,
            modified_at: Timestamp::from_second(found.modified).unwrap_or_default(),
            path: path.into(),
        }
    }

    /// Whether it is a symbolic link.
    pub(crate) fn is_link(&self) -> bool {
        self.kind == FileKind::Link
    }
}

impl TryFrom<String> for FileMode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| is_octal && *mode <= 0o1777);
        mode.map(Self).ok_or("expected three or four octal digits like 0644, without set-user-id and set-group-id")
    }
}

impl From<FileMode> for String {
    fn from(mode: FileMode) -> Self {
        format!("{:04o}", mode.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_digits_and_give_nobody_elses_rights() {
        assert_eq!(FileMode::try_from("640".to_owned()), Ok(FileMode(0o640)));
        assert_eq!(String::from(FileMode(0o640)), "0640");
        for text in ["", "64", "06444", "0888", "+644", "4755", "2755", "rw-"] {
            assert!(FileMode::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
