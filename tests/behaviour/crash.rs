//! kill -9 at random moments, the short way; `cargo xtask soak crash` does the same for long.

use xtask::node::Node;
use xtask::soak::crash::Rounds;

crate::trials! { alone:
    what_was_acknowledged_outlives_kill_9_at_random_moments_and_nothing_else_does,
}

fn what_was_acknowledged_outlives_kill_9_at_random_moments_and_nothing_else_does(node: &Node) {
    let seed = 7;
    let mut rounds = Rounds::begin(node, seed).unwrap();
    for round in 1..=2 {
        rounds.run(100).unwrap_or_else(|error| panic!("round {round} of seed {seed}: {error:#}"));
    }
}
