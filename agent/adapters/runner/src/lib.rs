//! Loads a component and calls its functions, each in a fresh instance and within limits.
//!
//! The program around it (`main.rs`) takes calls from lanes and is confined. What a host function does is not here: an
//! [`instance::Host`] is asked.

pub mod bindings;
pub mod component;
pub mod confinement;
pub mod engine;
pub mod instance;
pub mod lane;
pub mod ticker;

mod arguments;
mod clock;
mod host;
mod limiter;
