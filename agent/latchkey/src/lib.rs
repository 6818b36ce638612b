//! The agent: reads the command line and hands over. What the commands do lives in their modules; `main.rs` only calls this.
//!
//! A library, so that fuzz targets can reach the parsers.

mod accounts;
mod adapters;
mod api;
mod background;
mod body;
mod broker;
mod caller;
mod channels;
mod cli;
mod clock;
mod config;
mod counted;
mod cron;
mod database_passwords;
mod databases;
mod doors;
mod events;
mod file_manager;
mod files;
mod frames;
mod ftp;
mod ftp_quota;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, clippy::panic, reason = "a target fails where an invariant breaks")]
pub mod fuzz;
mod gateway;
#[cfg(test)]
mod golden;
mod guesses;
mod in_turn;
mod jobs;
mod limit;
mod logs;
mod mail;
mod net;
mod notify;
mod operations;
mod patience;
mod phpmyadmin;
mod pki;
mod privileges;
mod problem;
mod rates;
mod registry;
mod request;
mod residue;
mod room;
mod run;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, reason = "what is written here as text is well-formed")]
mod sample;
mod serve;
mod served;
mod sftp;
mod shares;
mod state;
mod store;
mod tls;
mod token;
mod turns;
mod verification;
mod wordpress;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use cli::print::{Screen, Terminal};

/// Lend somebody the key to one WordPress site, not the house.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, after_help = cli::EXIT_CODES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent in the foreground.
    ///
    /// Example: latchkey serve --config /etc/latchkey/latchkey.toml
    Serve {
        /// The agent's configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make the node's own certificates.
    ///
    /// Example: latchkey pki init --dir /etc/latchkey/pki
    #[command(subcommand)]
    Pki(pki::Command),
    #[command(flatten)]
    Client(cli::Command),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(Arguments::parse().command).unwrap_or_else(|error| {
        // In one line and without a backtrace: the chain of causes says what was attempted on what.
        Terminal::default().problem(&format!("latchkey: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { config } => run::run(&config).map(|()| ExitCode::SUCCESS),
        Command::Pki(command) => {
            let written = pki::run(&command, jiff::Timestamp::now()).context("no certificate was made")?;
            Terminal::default().text(&written.to_string());
            Ok(ExitCode::SUCCESS)
        }
        Command::Client(command) => Ok(cli::run(&command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
