//! `latchkey-broker`: the only process of the agent that stays root.
//!
//! It listens on one Unix socket for frames of serve, keeps its own registry of hostings, and does what its closed
//! table of verbs holds ([`verbs`]). It parses nothing from a network and opens no path of a hosting except to look at
//! the home when it is registered.

pub mod adapters;
pub mod admission;
pub mod audit_heads;
mod commands;
pub mod config;
mod config_files;
mod cron_runs;
mod crontabs;
pub mod directories;
mod files_workers;
pub mod ftp;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, clippy::panic, reason = "a target fails where an invariant breaks")]
pub mod fuzz;
pub mod inherited;
pub mod journal;
pub mod listen;
pub mod log;
pub mod log_roots;
mod logs;
mod operators_file;
pub mod privileges;
mod process;
pub mod ready;
pub mod refusal;
pub mod registry;
mod rights;
mod roots_own;
mod said;
pub mod slots;
pub mod spawn;
pub mod system_users;
mod turns;
pub mod verbs;
mod workers;
