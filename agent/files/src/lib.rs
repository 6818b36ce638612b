//! The files of one hosting: the worker that opens them, and the client that asks it.
//!
//! serve holds a [`client::Client`] for each hosting in use, and a [`tree::Tree`] for what an account sees of it. The
//! program `latchkey-files` is [`worker`] behind a confinement.

pub mod client;
pub mod confinement;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, clippy::panic, reason = "a target fails where an invariant breaks")]
pub mod fuzz;
pub mod mount;
pub mod tasks;
pub mod tree;
pub mod worker;
