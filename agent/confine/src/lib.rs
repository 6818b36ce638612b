//! How a worker gives up what it does not need: rights, limits, descriptors, system calls.
//!
//! What each worker needs is in the worker; here is how the rest is taken away, once for all of them.

pub mod asked;
pub mod descriptors;
pub mod filter;
pub mod privileges;
pub mod rules;
