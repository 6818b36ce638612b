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
    /// How many sessions may be open at a time.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
}

fn default_sessions() -> usize {
    200
}
