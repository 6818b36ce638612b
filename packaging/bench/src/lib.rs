//! What the benchmarks share: a client that costs little, the node that is measured, and the lines that are printed.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

pub mod client;
pub mod figures;
pub mod node;
