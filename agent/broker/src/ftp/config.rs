//! The section `[ftp]` of the broker's configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Where `latchkey-ftpauth` is asked and asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FtpConfig {
    /// Where pure-ftpd asks who may come in (`-l extauth:SOCKET`); root's alone.
    pub socket: PathBuf,
    /// Where serve answers.
    pub serve_socket: PathBuf,
    /// Root's directory in which the folder of each session is bound.
    pub folders: PathBuf,
    /// The socket that is `/dev/log` for pure-ftpd: it tells there what its sessions do to files. Its directory is made, and
    /// is root's alone.
    #[serde(default = "default_log")]
    pub log: PathBuf,
    /// How many sessions may be open at a time.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
}

fn default_log() -> PathBuf {
    PathBuf::from("/run/latchkey-ftpauth/log/dev-log")
}

fn default_sessions() -> usize {
    200
}
