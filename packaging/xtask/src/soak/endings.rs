//! `cargo xtask soak endings`: the long version of the trial `sso::openings_and_endings_race_and_nobody_stays_in`.

use anyhow::{Result, ensure};
use clap::Args;

use crate::build::{BUILT, Build, cargo};
use crate::test::as_root;

/// The arguments of this soak.
#[derive(Args, Debug)]
pub(super) struct Endings {
    /// How many rounds; each opens two sessions and ends two shares.
    #[arg(long, default_value_t = 10_000)]
    rounds: u32,
}

impl Endings {
    pub(super) fn run(self) -> Result<()> {
        let built = Build::Debug.run()?;
        let soak = cargo().args(["run", "--package", "latchkey-tests", "--bin", "soak-endings"]).env(BUILT, &built);
        let status = as_root(soak).arg("--").arg(self.rounds.to_string()).status()?;
        ensure!(status.success(), "the soak failed");
        Ok(())
    }
}
