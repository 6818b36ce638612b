//! `latchkey op`: the operations of the agent's table.

use std::io::Read;
use std::ops::ControlFlow;
use std::str::FromStr;

use clap::{Args, Subcommand};
use latchkey_access::{Runs, operation};
use serde_json::{Map, Value, json};

use super::client::{Call, CallError, Client};
use super::print::Screen;
use super::view::{self, Field, at, cell};
use super::{Answer, Ask, job};

const COLUMNS: &[Field] =
    &[("OPERATION", "name"), ("EFFECT", "effect"), ("PRIVILEGE", "privilege"), ("SUMMARY", "summary")];

/// What can be done with operations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the operations with the privilege that each takes.
    ///
    /// Example: latchkey op list
    List,
    /// Run one operation on an instance. One that answers with a stream goes on until it is interrupted, or access ends.
    ///
    /// Example: latchkey op run live site_name.set name="My shop" --as editor@example.com
    Run(Run),
}

/// `latchkey op run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The instance's id.
    instance: String,
    /// The operation, as `latchkey op list` names it.
    #[arg(value_name = "NOUN.VERB")]
    operation: String,
    /// The input as JSON, or `-` to read it from standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    input: Option<Input>,
    /// A field of the input. A value that reads as JSON is taken as such (true, 5, null, "5"), any other as text.
    #[arg(value_name = "KEY=VALUE", value_parser = parse_field)]
    fields: Vec<(String, Value)>,
    /// Wait until an operation that runs as a job has ended, and show that.
    #[arg(long)]
    wait: bool,
}

/// A JSON object from an argument, or from standard input.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// It stood in the argument.
    Given(Map<String, Value>),
    /// It is read when it is needed.
    Stdin,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" { Ok(Self::Stdin) } else { parse_object(text).map(Self::Given) }
    }
}

impl Input {
    /// The object. Blocks until standard input ends if it comes from there.
    pub(crate) fn read(&self) -> Result<Value, CallError> {
        if let Self::Given(object) = self {
            return Ok(Value::Object(object.clone()));
        }
        let fault = |what| CallError::Argument { argument: "--input", what };
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
        parse_object(&text).map(Value::Object).map_err(fault)
    }
}

impl Run {
    fn body(&self) -> Result<Value, CallError> {
        match &self.input {
            Some(input) => input.read(),
            None => Ok(Value::Object(self.fields.iter().cloned().collect())),
        }
    }

    fn call(&self) -> Result<Call, CallError> {
        Ok(Call::post(&["instances", &self.instance, "operations", &self.operation], self.body()?))
    }

    /// Whether the answer is events that come as they happen.
    pub(super) fn is_answered_by_a_stream(&self) -> bool {
        operation(&self.operation).is_some_and(|spec| spec.runs == Runs::Stream)
    }

    /// Shows events as they come, until nobody reads them any longer; with `json`, the data of one in each line.
    pub(super) fn follow(&self, client: &Client, json: bool, screen: &mut dyn Screen) -> Result<(), CallError> {
        client.lines(&self.call()?, "text/event-stream", &mut |line| {
            let Some(data) = line.strip_prefix("data: ") else { return ControlFlow::Continue(()) };
            let event: Value = serde_json::from_str(data).unwrap_or_default();
            match at(&event, "text") {
                _ if json => screen.raw(data),
                Value::String(text) => screen.text(text),
                _ => {}
            }
            if screen.is_left() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(match self {
            Self::List => Answer::new(client.send_all(&Call::get(&["operations"]))?, |reply| {
                view::table(reply, COLUMNS, "No operation.")
            }),
            Self::Run(run) => {
                let reply = client.send(&run.call()?)?;
                match at(&reply.json, "job").as_str().filter(|_| run.wait) {
                    Some(job) => job::wait(client, job)?,
                    None => Answer::new(reply, outcome),
                }
            }
        })
    }
}

fn outcome(reply: &Value) -> String {
    match at(reply, "job") {
        Value::Null => view::anything(reply),
        job => format!("Started as job {job}; how far it is: latchkey job show {job}", job = cell(job)),
    }
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

pub(super) fn parse_field(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
