//! `cargo xtask soak`: what takes too long for every run of the tests.

pub mod crash;
pub mod endings;
mod exchange;
mod guest;
mod killer;

use anyhow::Result;
use clap::{Args, Subcommand};

/// The arguments of the soaks.
#[derive(Args, Debug)]
pub struct Soak {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Kill serve, the broker and PHP workers while several clients change shares, and look at what is there afterwards.
    Crash(crash::Crash),
    /// Open and end WP Admin sessions against each other in random orders, with random delays.
    Endings(endings::Endings),
}

impl Soak {
    /// Runs it.
    ///
    /// # Errors
    /// When something cannot be run, or what must hold did not.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Crash(crash) => crash.run(),
            What::Endings(endings) => endings.run(),
        }
    }
}
