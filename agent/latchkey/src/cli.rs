//! The command line over the panel's API: one file per noun, one shared client.
//!
//! Every command is a call and a view of the reply. What a call may do is decided by serve; nothing is decided here.

mod adapter;
mod audit;
mod backup;
mod client;
mod connection;
mod doctor;
mod explain;
mod gateway_link;
mod hosting;
mod instance;
mod job;
mod op;
mod outcome;
mod people;
pub(crate) mod print;
mod refusal;
mod restore;
mod sessions;
mod settings;
mod share;
mod state_files;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use client::{CallError, Client, Reply};
use connection::Connection;
use print::Screen;

/// What the program's exit codes mean, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 internal fault (or a broken audit), 2 wrong usage, 3 not_found, 4 forbidden, 5 invalid,
6 conflict, 7 busy, 8 timed_out, 9 too_large, 10 quota, 11 unsupported, 12 unavailable, 13 the agent cannot be reached.";

/// The commands that talk to a running agent.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What makes hosting platforms work: components that are installed, granted and confined.
    #[command(after_help = EXIT_CODES)]
    Adapter(Noun<adapter::Command>),
    /// Hosting accounts of this node.
    #[command(after_help = EXIT_CODES)]
    Hosting(Noun<hosting::Command>),
    /// WordPress installations of this node.
    #[command(after_help = EXIT_CODES)]
    Instance(Noun<instance::Command>),
    /// Who has access to an instance, and how far.
    #[command(after_help = EXIT_CODES)]
    Share(Noun<share::Command>),
    /// Run the operations that a share allows.
    #[command(after_help = EXIT_CODES)]
    Op(Noun<op::Command>),
    /// Operations that go on after they were asked for.
    #[command(after_help = EXIT_CODES)]
    Job(Noun<job::Command>),
    /// Say whether somebody may do something on an instance, and which rule decides.
    ///
    /// Example: latchkey explain live editor@example.com site_name.set
    #[command(after_help = EXIT_CODES)]
    Explain(Leaf<explain::Explain>),
    /// The people that this node knows.
    #[command(after_help = EXIT_CODES)]
    People(Noun<people::Command>),
    /// Live ways in: WordPress, SFTP and gateway sessions, transfers and the like.
    #[command(after_help = EXIT_CODES)]
    Sessions(Noun<sessions::Command>),
    /// Make a one-time link that signs a person in to the gateway. Whoever has the link is that person: pass it on safely.
    ///
    /// Example: latchkey gateway-link owner@example.com
    #[command(after_help = EXIT_CODES)]
    GatewayLink(Leaf<gateway_link::GatewayLink>),
    /// Read and verify the record of every change and refusal.
    #[command(after_help = EXIT_CODES)]
    Audit(Noun<audit::Command>),
    /// Look at everything on this node that the agent needs, and say what to do about what is not well. Run it as root.
    ///
    /// Works when the agent is down. Exit codes are those of a monitoring plugin: 0 all is well, 1 warnings, 2 failures (or
    /// wrong usage).
    ///
    /// Example: latchkey doctor --json
    Doctor(Leaf<doctor::Doctor>),
    /// Copy the agent's state into a file while it runs: people, hostings, instances, shares, the audit.
    ///
    /// Example: latchkey backup /var/backups/latchkey.db
    #[command(after_help = EXIT_CODES)]
    Backup(Leaf<backup::Backup>),
    /// Go back to a backup, while the agent runs or at its next start. What ended since then stays ended.
    ///
    /// Over a whole state this takes back what was granted since. Over one that is damaged or gone the backup takes its place,
    /// the damaged files are kept beside it, and shares of which nothing newer is known are suspended.
    ///
    /// Example: latchkey restore /var/backups/latchkey.db
    #[command(after_help = EXIT_CODES)]
    Restore(Leaf<restore::Restore>),
    /// Say whether the agent is well.
    ///
    /// Example: latchkey status
    #[command(after_help = EXIT_CODES)]
    Status(Leaf<status::Status>),
}

/// A noun with its verbs.
#[derive(Debug, Args)]
pub(crate) struct Noun<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: C,
}

/// A command of one word.
#[derive(Debug, Args)]
pub(crate) struct Leaf<C: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    command: C,
}

/// A command that is one question to the agent.
trait Ask {
    /// Makes the call or calls.
    fn ask(&self, client: &Client) -> Result<Answer, CallError>;
}

/// A reply, and how people like to see it.
pub(crate) struct Answer {
    reply: Reply,
    view: fn(&Value) -> String,
    exit: u8,
}

impl Answer {
    fn new(reply: Reply, view: fn(&Value) -> String) -> Self {
        Self { reply, view, exit: 0 }
    }
}

/// Runs a command on the terminal.
pub(crate) fn run(command: &Command) -> ExitCode {
    ExitCode::from(carry_out(command, &mut print::Terminal::default()))
}

/// Runs a command and shows what came of it; returns the exit code.
fn carry_out(command: &Command, screen: &mut dyn Screen) -> u8 {
    match command {
        Command::Adapter(noun) => noun.command.run(&noun.connection, screen),
        Command::Hosting(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Instance(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Share(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Op(Noun { connection, command: op::Command::Run(run) }) if run.is_answered_by_a_stream() => {
            let followed = connection.client().and_then(|client| run.follow(&client, connection.json, screen));
            finish(followed.map(|()| 0), screen)
        }
        Command::Op(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Job(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Explain(leaf) => answer(&leaf.connection, &leaf.command, screen),
        Command::People(noun) => answer(&noun.connection, &noun.command, screen),
        Command::Sessions(noun) => answer(&noun.connection, &noun.command, screen),
        Command::GatewayLink(leaf) => answer(&leaf.connection, &leaf.command, screen),
        Command::Backup(leaf) => answer(&leaf.connection, &leaf.command, screen),
        Command::Restore(Leaf { connection, command }) => match connection.state_dir() {
            Ok(state_dir) => answer(connection, &restore::Into { command, state_dir }, screen),
            Err(error) => finish(Err(error), screen),
        },
        Command::Status(leaf) => answer(&leaf.connection, &leaf.command, screen),
        Command::Doctor(leaf) => show(&leaf.connection, Ok(leaf.command.run(&leaf.connection)), screen),
        Command::Audit(noun) => match &noun.command {
            audit::Command::Tail(tail) => {
                let tailed =
                    noun.connection.client().and_then(|client| tail.run(&client, noun.connection.json, screen));
                finish(tailed.map(|()| 0), screen)
            }
            audit::Command::Export(export) => {
                let exported = noun.connection.client().and_then(|client| export.run(&client, screen));
                finish(exported.map(|()| 0), screen)
            }
            audit::Command::Verify(_) => show(&noun.connection, audit::Verify::run(&noun.connection), screen),
            audit::Command::SetBack(_) => show(&noun.connection, audit::SetBack::run(&noun.connection), screen),
        },
    }
}

fn answer(connection: &Connection, command: &dyn Ask, screen: &mut dyn Screen) -> u8 {
    show(connection, connection.client().and_then(|client| command.ask(&client)), screen)
}

fn show(connection: &Connection, answer: Result<Answer, CallError>, screen: &mut dyn Screen) -> u8 {
    let shown = answer.map(|answer| {
        if connection.json {
            screen.raw(&answer.reply.text);
        } else {
            screen.text(&(answer.view)(&answer.reply.json));
        }
        answer.exit
    });
    finish(shown, screen)
}

fn finish(result: Result<u8, CallError>, screen: &mut dyn Screen) -> u8 {
    result.unwrap_or_else(|error| {
        screen.problem(&error.for_people());
        error.exit_code()
    })
}
