//! What root's commands on a node read of the broker's configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The keys of `broker.toml` that are of interest outside of the broker, which itself checks all of them.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BrokerSettings {
    /// Where the registry and the audit heads are kept.
    pub(super) state_dir: PathBuf,
    /// The PHP programs that a hosting may name.
    #[serde(default)]
    pub(super) php_binaries: Vec<PathBuf>,
    /// How `latchkey-ftpauth` is reached, if FTP is served.
    pub(super) ftp: Option<FtpSettings>,
}

/// The sockets of `latchkey-ftpauth`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FtpSettings {
    /// Where the FTP server asks it.
    pub(super) socket: PathBuf,
    /// Where it asks serve.
    pub(super) serve_socket: PathBuf,
}

impl BrokerSettings {
    /// Where the broker's configuration lies: beside the agent's.
    pub(super) fn path_beside(config: &Path) -> PathBuf {
        config.with_file_name("broker.toml")
    }

    /// Reads it; the error is a sentence.
    pub(super) fn beside(config: &Path) -> Result<Self, String> {
        let path = Self::path_beside(config);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {}", path.display(), error.message()))
    }
}
