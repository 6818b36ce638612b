//! `cargo xtask`: the command line of [`xtask`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks on its terminal")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Demo, tests and checks of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole node on loopback, with real WordPress, until Ctrl-C.
    Demo(xtask::demo::Demo),
    /// Run every check and every test.
    Test,
    /// Run the fast part: format, lints, dependency rules.
    Check,
    /// Measure against others beside us, in the release profile, and print the ratios.
    Bench(xtask::bench::Bench),
    /// Run for long what the tests run briefly.
    Soak(xtask::soak::Soak),
    /// Let the fuzzer loose on what strangers, panels, sites and operators send.
    Fuzz(xtask::fuzz::Fuzz),
    /// Install what the tests need of Debian, as root.
    #[command(hide = true)]
    Install,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(demo) => demo.run().map(|()| ExitCode::SUCCESS),
        Command::Test => xtask::test::run(),
        Command::Check => xtask::check::run(),
        Command::Bench(bench) => bench.run().map(|()| ExitCode::SUCCESS),
        Command::Soak(soak) => soak.run().map(|()| ExitCode::SUCCESS),
        Command::Fuzz(fuzz) => fuzz.run().map(|()| ExitCode::SUCCESS),
        Command::Install => xtask::test::install_as_root().map(|()| ExitCode::SUCCESS),
    }
}
