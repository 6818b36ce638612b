//! What `cargo xtask soak endings` runs: a node, and a number of rounds on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "whatever goes wrong here ends the soak, at its line"
)]

use latchkey_tests::soak_endings::{Counts, play};
use xtask::clock::Stopwatch;
use xtask::node::{Node, Options};

/// After so many rounds it says how far it is.
const ROUNDS_AT_A_TIME: u32 = 100;

fn main() {
    let rounds: u32 = std::env::args().nth(1).expect("the number of rounds").parse().expect("a number of rounds");
    let node = Node::start(Options::tests()).expect("start a node");
    let (mut played, mut all, stopwatch) = (0, Counts::default(), Stopwatch::start());
    while played < rounds {
        let next = ROUNDS_AT_A_TIME.min(rounds - played);
        all += play(&node, next);
        played += next;
        println!("{played} rounds in {} s: {all:?}", stopwatch.elapsed().as_secs());
    }
    let leftovers = node.take_down().expect("take the node down");
    assert!(leftovers.is_empty(), "{leftovers:#?}");
}
