//! What a developer runs (`cargo xtask demo | test | check | bench | soak`) and the node that the whole-behaviour tests run against.
//!
//! Nothing of the product lives here: this crate only starts the product's processes the way an operator's node would.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks on its terminal")]

pub mod bench;
pub mod build;
pub mod check;
pub mod clock;
pub mod demo;
pub mod fuzz;
pub mod mutex;
pub mod node;
pub mod process;
pub mod python;
pub mod random;
pub mod soak;
pub mod termination;
pub mod test;
pub mod test_results;
pub mod walk_through;
