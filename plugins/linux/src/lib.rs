//! The adapter of a plain Debian or Ubuntu node.

mod cron;
mod databases;
mod logs;
mod traces;

use sdk::export;

/// What this node can do.
struct Linux;

export!(Linux: databases, cron, logs);
