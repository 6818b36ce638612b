//! The file account that a share brings: which protocols, below which folder, reading or writing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FileProtocol;

/// Which protocols a share's file account speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileAccessKind {
    /// No file account.
    None,
    /// SFTP only.
    Sftp,
    /// FTP over TLS only.
    Ftp,
    /// Both.
    SftpAndFtp,
}

/// What a share allows on the instance's files by SFTP and FTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileAccess {
    /// The protocols.
    pub kind: FileAccessKind,
    /// A folder beneath the docroot; empty for the docroot itself.
    #[serde(default)]
    pub path: String,
    /// Reading only; SFTP only.
    #[serde(default)]
    pub read_only: bool,
}

impl FileAccessKind {
    fn from_protocols(sftp: bool, ftp: bool) -> Self {
        match (sftp, ftp) {
            (true, true) => Self::SftpAndFtp,
            (true, false) => Self::Sftp,
            (false, true) => Self::Ftp,
            (false, false) => Self::None,
        }
    }

    fn sftp(self) -> bool {
        matches!(self, Self::Sftp | Self::SftpAndFtp)
    }

    fn ftp(self) -> bool {
        matches!(self, Self::Ftp | Self::SftpAndFtp)
    }
}

impl From<FileProtocol> for FileAccessKind {
    fn from(protocol: FileProtocol) -> Self {
        Self::from_protocols(protocol == FileProtocol::Sftp, protocol == FileProtocol::Ftp)
    }
}

impl FileAccess {
    /// No file account at all.
    pub const NONE: Self = Self { kind: FileAccessKind::None, path: String::new(), read_only: false };

    /// Everything: both protocols, writing, from the docroot down.
    pub const ALL: Self = Self { kind: FileAccessKind::SftpAndFtp, path: String::new(), read_only: false };

    /// Says what is wrong with it, if anything: which field, and what was expected.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let component = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
        let plain = !self.path.contains(char::is_control);
        let sound_path = self.path.is_empty() || self.path.split('/').all(component) && plain;
        if !sound_path || self.path.len() > 1024 {
            Some(("file_access.path", "expected a relative path beneath the docroot without `.` and `..`"))
        } else if self.read_only && self.kind.ftp() {
            Some(("file_access.read_only", "expected kind `sftp`: read-only accounts are SFTP only"))
        } else {
            None
        }
    }

    /// What both allow: the protocols of both, the deeper of two nested folders, reading only if either says so.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let path = if beneath(&self.path, &other.path) {
            &self.path
        } else if beneath(&other.path, &self.path) {
            &other.path
        } else {
            return Self::NONE;
        };
        let read_only = self.read_only || other.read_only;
        let ftp = self.kind.ftp() && other.kind.ftp() && !read_only;
        match FileAccessKind::from_protocols(self.kind.sftp() && other.kind.sftp(), ftp) {
            FileAccessKind::None => Self::NONE,
            kind => Self { kind, path: path.clone(), read_only },
        }
    }

    /// Whether it allows nothing that the other does not.
    pub fn is_within(&self, other: &Self) -> bool {
        let protocols = (other.kind.sftp() || !self.kind.sftp()) && (other.kind.ftp() || !self.kind.ftp());
        let writes_there = self.read_only || !other.read_only;
        self.kind == FileAccessKind::None || protocols && writes_there && beneath(&self.path, &other.path)
    }

    /// Whether it lets in by this protocol.
    pub fn opens(&self, protocol: FileProtocol) -> bool {
        match protocol {
            FileProtocol::Sftp => self.kind.sftp(),
            FileProtocol::Ftp => self.kind.ftp(),
        }
    }

    /// Whether somebody may change files with it, which amounts to running code as the system user.
    pub fn writes(&self) -> bool {
        self.kind != FileAccessKind::None && !self.read_only
    }

    /// Whether somebody may read files with it.
    pub fn reads(&self) -> bool {
        self.kind != FileAccessKind::None
    }
}

fn beneath(inner: &str, outer: &str) -> bool {
    outer.is_empty() || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sftp(path: &str, read_only: bool) -> FileAccess {
        FileAccess { kind: FileAccessKind::Sftp, path: path.into(), read_only }
    }

    #[test]
    fn a_folder_is_beneath_another_by_components_not_by_letters() {
        assert!(sftp("s1/x", false).is_within(&sftp("s1", false)));
        assert!(!sftp("s10", false).is_within(&sftp("s1", false)));
        assert!(!sftp("", false).is_within(&sftp("s1", false)));
    }

    #[test]
    fn read_only_narrows_and_takes_ftp_away() {
        let met = FileAccess::ALL.meet(&sftp("", true));
        assert_eq!(met, sftp("", true));
        assert!(!FileAccess::ALL.is_within(&met));
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        assert!(sftp("a/../b", false).fault().is_some());
        assert!(sftp("/a", false).fault().is_some());
        assert!(sftp("a/b", false).fault().is_none());
    }
}
