//! `latchkey audit`: reads and verifies the record of every change and refusal.

use std::collections::VecDeque;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Call, CallError, Client};
use super::print::Screen;
use super::view::{at, cell, items};
use super::{Answer, Ask};

const POLL: Duration = Duration::from_secs(1);
const LAST_ROWS: usize = 20;

/// What can be done with the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the newest rows; with --json, one row per line.
    ///
    /// Example: latchkey audit tail --follow
    Tail(Tail),
    /// Check that no row was changed, removed or reordered. Exit code 1 if one was.
    ///
    /// Example: latchkey audit verify
    Verify(Verify),
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

impl Ask for Verify {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        let reply = client.send(&Call::get(&["audit", "verify"]))?;
        // Anything but a clear yes is a no.
        let exit = u8::from(at(&reply.json, "ok") != &Value::Bool(true));
        Ok(Answer { exit, ..Answer::new(reply, verdict) })
    }
}

fn verdict(reply: &Value) -> String {
    if at(reply, "ok") == &Value::Bool(true) {
        let head = at(reply, "head.hash");
        let head = if head.is_null() { at(reply, "head") } else { head };
        return format!("The audit is whole: {} rows, head {}.", cell(at(reply, "rows")), cell(head));
    }
    let fault = at(reply, "fault");
    format!("THE AUDIT IS BROKEN at row {}: {}.", cell(at(fault, "seq")), cell(at(fault, "what")))
}
