//! What serve and the runner of an adapter say to each other.
//!
//! A runner gets a socket for each call that may be under way at a time, a *lane*. On a lane one side speaks at a time:
//! serve sends a [`ToRunner`], the runner answers with [`FromRunner`]s until one of them ends the call. No WASM here.

pub mod call;
pub mod frame;
pub mod host;
pub mod limits;

pub use call::{Call, Description, Fault, FromRunner, Function, Interface, ToRunner, Used};
pub use host::HostFunction;
pub use limits::Limits;

/// The package whose interfaces adapters import and export.
pub const PACKAGE: &str = "latchkey:adapter";

/// The version of the interface that this agent offers.
pub const VERSION: &str = "0.1.0";
