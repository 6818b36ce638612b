//! `latchkey audit`: reads and verifies the record of every change and refusal.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Answer;
use super::client::{Call, CallError, Client, Reply};
use super::connection::Connection;
use super::print::Screen;
use super::settings::BrokerSettings;
use super::view::{at, cell, items};
use crate::broker::Broker;
use crate::config::Config;
use crate::problem::chain;
use crate::store;
use crate::store::audit::head;
use crate::verification::{Heads, VerificationError, last_common_row, verify};

const POLL: Duration = Duration::from_secs(1);
const LAST_ROWS: usize = 20;

/// What can be done with the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the newest rows; with --json, one row per line.
    ///
    /// Example: latchkey audit tail --follow
    Tail(Tail),
    /// Check that no row was changed, removed, reordered or cut off, and none written anew. Exit code 1 if one was.
    ///
    /// Run as root on the node it reads the state and the broker's record itself, whether the agent runs or not. Otherwise
    /// it asks the agent, and can be no better than what answers there.
    ///
    /// Example: latchkey audit verify
    Verify(Verify),
    /// Print every row as a line of JSON with its hash, for keeping or checking elsewhere.
    ///
    /// The hash of a row is the SHA-256 of the hash of the row before (its 32 bytes; nothing for the first row) followed by the
    /// line without its last field, `,"hash":"..."`.
    ///
    /// Example: latchkey audit export --after 4711
    Export(Export),
    /// As root: let the audit go on, after a damaged state was replaced by a backup, from the last row that both have.
    ///
    /// What was recorded stays, and `verify` goes on naming the rows that are gone.
    ///
    /// Example: latchkey audit set-back
    SetBack(SetBack),
}

/// `latchkey audit tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Go on with new rows as they come, until interrupted.
    #[arg(long)]
    follow: bool,
    /// Show every row after this number instead of the newest 20.
    #[arg(long, value_name = "N")]
    after: Option<u64>,
}

/// `latchkey audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {}

/// `latchkey audit export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Only rows after this number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
}

/// `latchkey audit set-back`.
#[derive(Debug, Args)]
pub(crate) struct SetBack {}

impl Export {
    /// Prints the lines as they come, until nobody reads them any longer.
    pub(super) fn run(&self, client: &Client, screen: &mut dyn Screen) -> Result<(), CallError> {
        let call = Call::get(&["audit"]).query("after", &self.after.to_string());
        client.lines(&call, "application/jsonl", &mut |line| {
            screen.raw(line);
            if screen.is_left() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

/// How far the audit was read.
struct Reader<'a> {
    client: &'a Client,
    seq: u64,
}

impl Reader<'_> {
    /// The next rows, oldest first; none at the end.
    fn next_rows(&mut self) -> Result<Vec<Value>, CallError> {
        let call = Call::get(&["audit"]).query("after", &self.seq.to_string()).query("limit", "500");
        let rows = items(&self.client.send(&call)?.json).to_vec();
        if let Some(last) = rows.last() {
            // A number that does not grow would be read for ever.
            self.seq = at(last, "seq")
                .as_u64()
                .filter(|seq| *seq > self.seq)
                .ok_or(CallError::NotUnderstood { what: "expected rows with growing numbers" })?;
        }
        Ok(rows)
    }
}

impl Tail {
    /// Shows rows; with `--follow`, until nobody reads them any longer.
    pub(super) fn run(&self, client: &Client, json: bool, screen: &mut dyn Screen) -> Result<(), CallError> {
        let mut reader = Reader { client, seq: self.after.unwrap_or(0) };
        if self.after.is_none() {
            show(newest(&mut reader)?, json, screen);
        }
        while !screen.is_left() {
            let rows = reader.next_rows()?;
            if rows.is_empty() {
                if !self.follow {
                    break;
                }
                std::thread::sleep(POLL);
            }
            show(rows, json, screen);
        }
        Ok(())
    }
}

/// The newest rows, by reading all of them: the API counts from the beginning.
fn newest(reader: &mut Reader<'_>) -> Result<VecDeque<Value>, CallError> {
    let mut kept = VecDeque::new();
    loop {
        let rows = reader.next_rows()?;
        if rows.is_empty() {
            return Ok(kept);
        }
        kept.extend(rows);
        kept.drain(..kept.len().saturating_sub(LAST_ROWS));
    }
}

fn show(rows: impl IntoIterator<Item = Value>, json: bool, screen: &mut dyn Screen) {
    for row in rows {
        if json {
            screen.raw(&row.to_string());
        } else {
            screen.text(&line(&row));
        }
    }
}

/// A row in one line: number, time, who, what, where, outcome, and what else is known.
fn line(row: &Value) -> String {
    let mut words: Vec<String> =
        ["seq", "at", "actor", "operation", "outcome"].iter().map(|name| cell(at(row, name))).collect();
    let more = [("instance", "on"), ("share", "share"), ("rule", "by"), ("address", "from"), ("detail", "--")];
    for (name, word) in more {
        if !at(row, name).is_null() {
            words.push(format!("{word} {}", cell(at(row, name))));
        }
    }
    words.join("  ").replace('\n', "\\n")
}

impl Verify {
    /// Looks at the files of this node if they can be read, and asks the agent otherwise.
    pub(super) fn run(connection: &Connection) -> Result<Answer, CallError> {
        let reply = match here(connection)? {
            Some(node) => {
                let found = verify(&node.audit, &node.heads).map_err(unverified)?;
                let mut json = serde_json::to_value(found).unwrap_or_default();
                if let Value::Object(object) = &mut json {
                    object.insert("checked_by".into(), "root".into());
                }
                Reply { text: json.to_string(), json }
            }
            None => connection.client()?.send(&Call::get(&["audit", "verify"]))?,
        };
        // Anything but a clear yes is a no.
        let exit = u8::from(at(&reply.json, "ok") != &Value::Bool(true));
        Ok(Answer { exit, ..Answer::new(reply, verdict) })
    }
}

impl SetBack {
    /// Tells the broker.
    pub(super) fn run(connection: &Connection) -> Result<Answer, CallError> {
        let only_root = || CallError::Argument { argument: "audit set-back", what: "only root can do this".into() };
        let node = here(connection)?.ok_or_else(only_root)?;
        let parted = last_common_row(&node.audit, &node.heads).map_err(unverified)?;
        let json = match (parted, head(&node.audit).map_err(unverified)?) {
            (Some(to), Some(head)) => {
                let json = json!({ "to": to, "head": head });
                node.broker.set_audit_back(to, head).map_err(unverified)?;
                json
            }
            _ => json!({}),
        };
        Ok(Answer::new(Reply { text: json.to_string(), json }, |reply| match at(reply, "to") {
            Value::Null => "The audit fits what was recorded; there is nothing to set back.".to_owned(),
            to => format!("The audit goes on from row {}.", cell(to)),
        }))
    }
}

/// The audit as it lies on this node.
struct Here {
    audit: rusqlite::Connection,
    heads: Heads,
    broker: Broker,
}

/// For root, and where the agent is configured; nothing otherwise.
fn here(connection: &Connection) -> Result<Option<Here>, CallError> {
    let Some(path) = connection.configuration().filter(|path| path.exists()) else { return Ok(None) };
    if connection.acts_for_a_person() || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let unusable = |what: String| CallError::Configuration { path: path.clone(), what };
    let config = Config::read(&path).map_err(|error| unusable(chain(&error)))?;
    let broker = BrokerSettings::beside(&path).map_err(unusable)?;
    let audit = store::open_to_read(&config.state_dir).map_err(unverified)?;
    let heads = Heads::in_directory(&broker.state_dir);
    Ok(Some(Here { audit, heads, broker: Broker::at(&config.broker.socket) }))
}

fn unverified(error: impl Into<VerificationError>) -> CallError {
    CallError::Unverified(Box::new(error.into()))
}

fn verdict(reply: &Value) -> String {
    let mut lines = Vec::new();
    if at(reply, "ok") == &Value::Bool(true) {
        let head = at(reply, "head.hash");
        let head = if head.is_null() { at(reply, "head") } else { head };
        lines.push(format!("The audit is whole: {} rows, head {}.", cell(at(reply, "rows")), cell(head)));
    } else {
        let fault = at(reply, "fault");
        lines.push(format!("THE AUDIT IS BROKEN at row {}: {}.", cell(at(fault, "seq")), cell(at(fault, "what"))));
    }
    for gone in at(reply, "set_back").as_array().into_iter().flatten() {
        let (to, lost_to) = (cell(at(gone, "to")), cell(at(gone, "lost_to")));
        lines.push(format!("Root set it back to row {to}: what was recorded up to row {lost_to} then is gone."));
    }
    if let Some(rows @ 1..) = at(reply, "unrecorded_rows").as_u64() {
        lines.push(format!("Rows newer than the newest recorded head: {rows}."));
    }
    if at(reply, "checked_by").is_null() {
        lines
            .push("This is what the agent says of itself; root on the node can check it without the agent.".to_owned());
    }
    lines.join("\n")
}
