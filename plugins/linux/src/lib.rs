//! The adapter of a plain Debian or Ubuntu node.

mod databases;
mod traces;

use sdk::export;

/// What this node can do.
struct Linux;

export!(Linux: databases);
