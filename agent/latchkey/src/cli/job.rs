//! `latchkey job`: operations that go on after they were asked for.

use std::ops::ControlFlow;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::client::{Call, CallError, Client};
use super::refusal::exit_code;
use super::view::{self, Field, at, cell};
use super::{Answer, Ask};

const FIELDS: &[Field] = &[
    ("Job", "id"),
    ("Operation", "operation"),
    ("Instance", "instance"),
    ("Person", "person"),
    ("State", "state"),
    ("Percent", "percent"),
    ("Fault", "error.detail"),
];

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how far a job is, what it said, and what came of it.
    ///
    /// Example: latchkey job show JOB
    Show {
        /// The job's id.
        job: String,
    },
    /// Wait until a job has ended, and show it. One that did not end well gives the exit code of its fault.
    ///
    /// Example: latchkey job wait JOB
    Wait {
        /// The job's id.
        job: String,
    },
    /// Cancel a job.
    ///
    /// Example: latchkey job cancel JOB
    Cancel {
        /// The job's id.
        job: String,
    },
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        match self {
            Self::Show { job } => Ok(Answer::new(client.send(&Call::get(&["jobs", job]))?, in_words)),
            Self::Wait { job } => wait(client, job),
            Self::Cancel { job } => Ok(Answer::new(client.send(&Call::delete(&["jobs", job]))?, in_words)),
        }
    }
}

/// Waits until a job has ended.
pub(super) fn wait(client: &Client, job: &str) -> Result<Answer, CallError> {
    client.lines(&Call::get(&["jobs", job, "events"]), "text/event-stream", &mut |_| ControlFlow::Continue(()))?;
    let reply = client.send(&Call::get(&["jobs", job]))?;
    let exit = at(&reply.json, "error.code").as_str().map_or(0, exit_code);
    Ok(Answer { exit, ..Answer::new(reply, in_words) })
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\n'))
}

fn in_words(job: &Value) -> String {
    let mut parts = vec![view::record(job, FIELDS)];
    if let Value::Object(output) = at(job, "output") {
        // What a command said keeps its lines.
        let (texts, fields): (Map<_, _>, Map<_, _>) = output.clone().into_iter().partition(|(_, value)| is_text(value));
        parts.push(view::anything(&Value::Object(fields)));
        parts.extend(texts.iter().map(|(name, text)| format!("{}:\n{}", view::words(name), cell(text).trim_end())));
    }
    let log = at(job, "log").as_array().map_or(&[][..], Vec::as_slice);
    parts.extend(log.iter().filter_map(Value::as_str).map(str::to_owned));
    parts.join("\n")
}
