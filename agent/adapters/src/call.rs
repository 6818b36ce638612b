//! The frames of a lane.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{HostFunction, Limits};

/// What serve sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// Makes an instance, looks at every interface that it exports, and tells. Answered by [`FromRunner::Described`] or
    /// [`FromRunner::Ended`].
    Describe(Limits),
    /// Calls a function. Answered by any number of [`FromRunner::Ask`] and [`FromRunner::Log`], then by
    /// [`FromRunner::Returned`], [`FromRunner::Failed`] or [`FromRunner::Ended`].
    Call(Call),
    /// Calls a function as [`Call`](Self::Call) does, and tells what it used up: [`FromRunner::Used`] comes before the end.
    Measure(Call),
    /// What a host function returns, in the encoding of its interface; answers [`FromRunner::Ask`].
    Answer(Vec<u8>),
    /// A host function is not carried out and the call ends with that fault; answers [`FromRunner::Ask`].
    End(Fault),
}

/// A call of one function in a fresh instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The interface without package and version: `databases`.
    pub interface: String,
    /// As the interface writes it: `create-database`.
    pub function: String,
    /// A JSON object with all parameters by their names. Records are objects; variants `"case"` or `{"case": value}`;
    /// an option is its value or null.
    pub arguments: String,
    /// What the call may use up.
    pub limits: Limits,
}

/// What the runner sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRunner {
    /// What the component is. Ends the exchange.
    Described(Description),
    /// Has a host function carried out. The arguments are in the encoding of its interface.
    Ask {
        /// Which.
        function: HostFunction,
        /// All of them, as a tuple.
        arguments: Vec<u8>,
    },
    /// A line for the log, already cut to its length. Not answered.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line.
        line: String,
    },
    /// What a measured call used up. The end follows.
    Used(Used),
    /// The function returned what is written here as JSON; `null` if it returns nothing. Ends the call.
    Returned(String),
    /// The function answered with its own error, as JSON. Ends the call.
    Failed(String),
    /// The call was ended, or could not begin. Ends the call.
    Ended(Fault),
}

/// What a call used up; the limits are about the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Processor time of the adapter itself.
    pub cpu: Duration,
    /// Time from beginning to end.
    pub wall: Duration,
    /// All memories together, at the end: they never shrink.
    pub memory_bytes: u64,
    /// All tables together in elements.
    pub table_elements: u64,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Lines for the log.
    pub log_bytes: u64,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    /// For its author.
    Debug,
    /// For whoever wants to know.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// What a component is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What it imports of the agent, by name.
    pub imports: Vec<Interface>,
    /// What it exports to the agent, by name.
    pub exports: Vec<Interface>,
    /// Names of what it imports of others, such as `wasi:cli/environment@0.2.3`: nothing of that is there.
    pub foreign: Vec<String>,
}

/// An interface of the package [`crate::PACKAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Without package and version.
    pub name: String,
    /// The version of the package that the component was built against.
    pub version: String,
    /// Functions, in the component's order.
    pub functions: Vec<Function>,
}

/// A function of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// As the interface writes it.
    pub name: String,
    /// The names of its parameters, in order.
    pub parameters: Vec<String>,
}

/// Why a call did not come to its own end. Nothing of the instance is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The component does not export it.
    #[error("the adapter has no function {0}")]
    NoSuchFunction(String),
    /// The arguments are not what the function takes.
    #[error("{field}: expected {expected}")]
    Arguments {
        /// Where, as a path of names.
        field: String,
        /// What was expected.
        expected: String,
    },
    /// Ran for longer than `cpu_ms`.
    #[error("the adapter ran for longer than {0} ms of processor time (cpu_ms)")]
    Cpu(u32),
    /// Took longer than `wall_ms`.
    #[error("the adapter took longer than {0} ms (wall_ms)")]
    Wall(u32),
    /// Wanted more memory than `memory_bytes` and did not live with less.
    #[error("the adapter needs more than {0} bytes of memory (memory_bytes)")]
    Memory(u64),
    /// Wanted larger tables than `table_elements`.
    #[error("the adapter needs more than {0} elements of tables (table_elements)")]
    Tables(u32),
    /// More instances, memories or tables inside the component than `instances`.
    #[error("the adapter is made of more than {0} instances, memories or tables (instances)")]
    Instances(u32),
    /// Called itself too deep.
    #[error("the adapter called itself too deep")]
    Stack,
    /// More than `handles`.
    #[error("the adapter held more than {0} handles (handles)")]
    Handles(u32),
    /// More than `host_calls`.
    #[error("the adapter called the agent more than {0} times (host_calls)")]
    HostCalls(u32),
    /// More than `copied_bytes` in one call of the agent, or in what the function returns.
    #[error("the adapter handed over more than {0} bytes at once (copied_bytes)")]
    Copied(u32),
    /// More than `log_bytes`.
    #[error("the adapter wrote more than {0} bytes to the log (log_bytes)")]
    Log(u32),
    /// Ended itself: a panic, an exception, an error of its language.
    #[error("the adapter broke down: {0}")]
    Trapped(String),
    /// The component cannot be used with this agent because of what it needs.
    #[error("the adapter does not fit this agent: {0}")]
    Unfit(String),
    /// The component cannot be used with this agent because of what it offers.
    #[error("the adapter does not fit this agent: {0}")]
    UnfitExport(String),
    /// Serve gave the call up.
    #[error("the call was given up")]
    Cancelled,
    /// The runner and serve do not understand each other.
    #[error("the runner and the agent do not understand each other: {0}")]
    Protocol(String),
}
