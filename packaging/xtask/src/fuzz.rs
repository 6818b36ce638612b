//! `cargo xtask fuzz`: builds the fuzzer with coverage and lets it loose on each target for a while.
//!
//! What it finds beside a crash stays outside the tree; the corpora in `fuzz/corpus` are small and chosen by hand.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::build::{cache, cargo, workspace};
use crate::process::Program;

/// The coverage that libFuzzer steers by. Comparisons are traced, so that it learns the words of a format.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// The arguments of the fuzzer.
#[derive(Args, Debug)]
pub struct Fuzz {
    /// Run these targets only; each is a folder in fuzz/corpus.
    #[arg(value_name = "TARGET")]
    only: Vec<String>,
    /// How long each target runs.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
}

impl Fuzz {
    /// Builds, runs the targets one after the other, and stops at the first finding.
    ///
    /// # Errors
    /// When the build fails, a target is unknown, or one breaks; libFuzzer prints where, and the input is kept.
    pub fn run(self) -> Result<()> {
        let corpora = workspace().join("fuzz/corpus");
        let targets = self.targets(&corpora)?;
        let fuzzer = build()?;
        let findings = cache().join("fuzz");
        for target in targets {
            let grown = findings.join(&target);
            fs::create_dir_all(&grown).with_context(|| format!("make {}", grown.display()))?;
            println!("\n{target}, {} s", self.seconds);
            let status = Program::new(&fuzzer)
                .with_our_environment()
                .env("LATCHKEY_FUZZ_TARGET", &target)
                .args([format!("-max_total_time={}", self.seconds), "-timeout=20".into(), "-rss_limit_mb=4096".into()])
                .args(["-max_len=65536", "-print_final_stats=1"])
                .arg(format!("-artifact_prefix={}/found-", grown.display()))
                .arg(&grown)
                .arg(corpora.join(&target))
                .status()?;
            ensure!(status.success(), "{target} broke; the input is the newest `found-` file in {}", grown.display());
        }
        Ok(())
    }

    fn targets(&self, corpora: &std::path::Path) -> Result<Vec<String>> {
        let mut there = Vec::new();
        for entry in fs::read_dir(corpora).with_context(|| format!("read {}", corpora.display()))? {
            there.push(entry?.file_name().to_string_lossy().into_owned());
        }
        there.sort();
        for wanted in &self.only {
            ensure!(there.contains(wanted), "{wanted} is no target; there are {}", there.join(", "));
        }
        Ok(if self.only.is_empty() { there } else { self.only.clone() })
    }
}

fn build() -> Result<PathBuf> {
    // Named, so that the coverage is not asked of build scripts and macros as well.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target_directory = cache().join("fuzz-target");
    let status = cargo()
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(workspace().join("fuzz/Cargo.toml"))
        .args(["--target", &triple])
        .arg("--target-dir")
        .arg(&target_directory)
        .env("RUSTFLAGS", COVERAGE)
        .status()?;
    ensure!(status.success(), "the fuzzer does not build");
    Ok(target_directory.join(triple).join("release/latchkey-fuzz"))
}
