//! The section `adapters` of the broker's configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Where adapters are, and what runs them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptersConfig {
    /// Where each installed adapter has a folder of its name; root's.
    #[serde(default = "default_directory")]
    pub directory: PathBuf,
    /// Where compiled ones are kept; root's alone.
    #[serde(default = "default_cache")]
    pub cache: PathBuf,
    /// Where the operator's files about adapters are; root's.
    #[serde(default = "default_operators")]
    pub operators: PathBuf,
    /// The program `latchkey-runner`.
    #[serde(default = "default_runner")]
    pub runner: PathBuf,
    /// The program `latchkey-compiler`.
    #[serde(default = "default_compiler")]
    pub compiler: PathBuf,
    /// Runners and compilers run under user ids from this one on, each under one of its own that no account has.
    #[serde(default = "default_first_uid")]
    pub first_uid: u32,
    /// How many runners may run at a time: adapters in use.
    #[serde(default = "default_runners")]
    pub runners: usize,
    /// How many of the operator's commands may run at a time.
    #[serde(default = "default_commands")]
    pub commands: usize,
    /// How many of them about one hosting.
    #[serde(default = "default_commands_per_hosting")]
    pub commands_per_hosting: usize,
}

fn default_directory() -> PathBuf {
    "/var/lib/latchkey-adapters".into()
}

fn default_cache() -> PathBuf {
    "/var/cache/latchkey-broker/adapters".into()
}

fn default_operators() -> PathBuf {
    "/etc/latchkey/adapters.d".into()
}

fn default_runner() -> PathBuf {
    "/usr/lib/latchkey/latchkey-runner".into()
}

fn default_compiler() -> PathBuf {
    "/usr/lib/latchkey/latchkey-compiler".into()
}

fn default_first_uid() -> u32 {
    59_000
}

fn default_runners() -> usize {
    16
}

fn default_commands() -> usize {
    8
}

fn default_commands_per_hosting() -> usize {
    2
}
