//! A cron entry that is run at once: how serve asks for it. How it ended is told as of a command.

use serde::{Deserialize, Serialize};

/// The longest that it may run, in milliseconds.
pub const CRON_RUN_DEADLINE_MAX_MS: u32 = 1_800_000;

/// The longest command, which is cron's own limit.
pub const CRON_COMMAND_MAX_BYTES: usize = 998;

/// One run of what stands in a crontab, or could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CronRun {
    /// The hosting's id.
    pub hosting: String,
    /// For the shell: one line of at most [`CRON_COMMAND_MAX_BYTES`], without control characters but tabs.
    pub command: String,
    /// Wall-clock time until it is killed, 1 to [`CRON_RUN_DEADLINE_MAX_MS`] milliseconds.
    pub deadline_ms: u32,
}
