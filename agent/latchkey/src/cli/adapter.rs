//! `latchkey adapter`: what makes hosting platforms work, installed by the operator.

mod check;
mod install;
mod new;
mod package;
mod template;

use std::io::BufRead;

use clap::{Args, Subcommand};
use latchkey_access::AdapterName;
use serde_json::{Map, Value, json};

use super::client::{Call, CallError, Client};
use super::connection::Connection;
use super::op::parse_field;
use super::print::Screen;
use super::view::{self, Field, at, cell};
use super::{Answer, finish, show};
use install::Folders;
pub(crate) use package::PackageError;

const COLUMNS: &[Field] = &[
    ("ADAPTER", "name"),
    ("VERSION", "version"),
    ("STATE", "state"),
    ("EXPORTS", "exports"),
    ("USES", "imports"),
    ("NOT GRANTED", "missing"),
    ("FAULT OF ITS FILE", "operators_file_fault"),
    ("LAST BREAK", "last_break"),
];

/// What can be done with adapters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the adapters that are loaded.
    ///
    /// Example: latchkey adapter list
    List,
    /// Check an adapter's signature, put it into its place and load it. Takes effect at once; if it cannot be loaded, the
    /// one before stays. Run it as root.
    ///
    /// A folder, or an archive that tar made of it, holds adapter.toml, adapter.wasm, adapter.sums (what `sha256sum adapter.toml adapter.wasm` prints) and
    /// adapter.sums.sig (`ssh-keygen -Y sign -n latchkey-adapter -f KEY adapter.sums`), made with one of the keys in
    /// /etc/latchkey/adapter-keys, a line as in authorized_keys for each.
    ///
    /// Example: latchkey adapter install linux.tar
    Install(install::Install),
    /// Stop and remove an adapter, with everything that it keeps. Run it as root.
    ///
    /// Example: latchkey adapter remove linux
    Remove {
        /// The adapter's name.
        adapter: AdapterName,
    },
    /// Begin an adapter: a folder with one that is small and whole, what it is written with, and how to build and test it.
    /// Needs no agent.
    ///
    /// Example: latchkey adapter new my-platform --lang rust
    New(new::New),
    /// Check a component as its author: whether it is an adapter that an operator can rely on.
    ///
    /// Needs that file alone: no agent, no configuration, no root. Every function is called, confined as on a node, with
    /// what the agent would send and with what people may type; the check plays the agent, lets things go wrong, and says
    /// what to do. Exit codes: 0 nothing failed, 1 something did, or it could not be checked.
    ///
    /// Example: latchkey adapter check target/wasm32-wasip2/release/my_adapter.wasm --setting account=alice
    Check(check::Check),
    /// Call one function of an adapter by hand.
    ///
    /// Example: latchkey adapter run linux h1 databases list-databases
    Run(Run),
}

/// `latchkey adapter run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The adapter's name.
    adapter: AdapterName,
    /// The hosting that the call is about.
    hosting: String,
    /// The interface, as `latchkey adapter list` names it.
    interface: String,
    /// The function, as the interface names it.
    function: String,
    /// A secret of this call, by the name that a parameter gives it (password=NAME). Its value is a line of standard
    /// input; with several, a line for each, in order.
    #[arg(long = "secret", value_name = "NAME")]
    secrets: Vec<String>,
    /// A parameter. A value that reads as JSON is taken as such (true, 5, null, "5"), any other as text.
    #[arg(value_name = "KEY=VALUE", value_parser = parse_field)]
    arguments: Vec<(String, Value)>,
}

impl Command {
    /// Does it, and shows what came of it; returns the exit code.
    pub(super) fn run(&self, connection: &Connection, screen: &mut dyn Screen) -> u8 {
        match self {
            Self::Check(check) => finish(check.run(connection.json, screen), screen),
            answered => show(connection, answered.answer(connection), screen),
        }
    }

    fn answer(&self, connection: &Connection) -> Result<Answer, CallError> {
        match self {
            Self::List => Ok(Answer::new(connection.client()?.send_all(&Call::get(&["adapters"]))?, |reply| {
                view::table(reply, COLUMNS, "No adapter is loaded.")
            })),
            Self::Install(install) => install.run(&connection.client()?, &Folders::of(connection)?),
            Self::Remove { adapter } => remove(&connection.client()?, &Folders::of(connection)?, adapter),
            Self::New(new) => new.run(),
            Self::Run(run) => run.call(&connection.client()?),
            // It has a report of its own: see `run`.
            Self::Check(_) => Err(CallError::NotUnderstood { what: "nobody is asked for a check" }),
        }
    }
}

impl Run {
    fn call(&self, client: &Client) -> Result<Answer, CallError> {
        let arguments: Map<String, Value> = self.arguments.iter().cloned().collect();
        let body = json!({
            "hosting": self.hosting,
            "interface": self.interface,
            "function": self.function,
            "arguments": arguments,
            "secrets": self.read_secrets(&mut std::io::stdin().lock())?,
        });
        let reply = client.send(&Call::post(&["adapters", self.adapter.as_str(), "calls"], body))?;
        Ok(Answer::new(reply, |reply| match at(reply, "returned") {
            Value::Null => "Done.".to_owned(),
            Value::Array(items) => view::list(items),
            value => view::anything(value),
        }))
    }
}

impl Run {
    fn read_secrets(&self, input: &mut impl BufRead) -> Result<Map<String, Value>, CallError> {
        let fault = |what: String| CallError::Argument { argument: "--secret", what };
        let mut lines = input.lines();
        let read = self.secrets.iter().map(|name| {
            let missing = || fault(format!("{name}: expected its value as a line of standard input"));
            let line = lines.next().ok_or_else(missing)?.map_err(|error| fault(error.to_string()))?;
            Ok((name.clone(), Value::from(line)))
        });
        read.collect()
    }
}

fn remove(client: &Client, folders: &Folders, adapter: &AdapterName) -> Result<Answer, CallError> {
    let reply = client.send(&Call::delete(&["adapters", adapter.as_str()]))?;
    folders.remove(adapter)?;
    Ok(Answer::new(reply, |reply| match at(reply, "was_loaded") {
        Value::Bool(true) => "Removed.".to_owned(),
        _ => format!("Removed; it was not loaded ({}).", cell(at(reply, "was_loaded"))),
    }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn secrets_are_lines_of_standard_input() {
        let line = ["adapter", "run", "linux", "h1", "databases", "create-user", "--secret", "a", "--secret", "b"];
        let Command::Run(run) = Line::try_parse_from(line).unwrap().command else { panic!("not run") };
        let read = run.read_secrets(&mut "one\ntwo\nthree\n".as_bytes()).unwrap();
        assert_eq!(Value::Object(read), json!({ "a": "one", "b": "two" }));
        let error = run.read_secrets(&mut "one\n".as_bytes()).unwrap_err().to_string();
        assert!(error.contains("b: expected its value as a line of standard input"), "{error}");
    }

    #[test]
    fn what_is_removed_is_named_and_no_path() {
        let parsed = |name: &str| Line::try_parse_from(["adapter", "remove", name]).map(|line| line.command);
        assert!(matches!(parsed("linux").unwrap(), Command::Remove { adapter } if adapter.as_str() == "linux"));
        for name in ["..", "../linux", "/", "a/b", "", "."] {
            let error = parsed(name).unwrap_err().to_string();
            assert!(error.contains("expected 1 to 31 characters of a-z, 0-9 and dash"), "{name}: {error}");
        }
    }
}
