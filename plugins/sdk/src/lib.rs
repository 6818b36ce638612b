//! What a Latchkey adapter is written with, in Rust.
//!
//! An adapter implements the traits of the interfaces that it knows something about, and names them once. What a trait's
//! function is not written for answers *unsupported*; what is not named in [`export!`] is no export of the component.
//!
//! ```
//! use latchkey_adapter_sdk::{Hosting, Logs, Result, export, logs};
//!
//! struct Adapter;
//!
//! impl Logs for Adapter {
//!     fn locate(hosting: Hosting, _domain: Option<String>) -> Result<Vec<logs::Location>> {
//!         let path = format!("{}/logs/error.log", hosting.home);
//!         Ok(vec![logs::Location { kind: logs::Kind::Error, title: "PHP and web server".into(), path }])
//!     }
//! }
//!
//! export!(Adapter: logs);
//! ```
//!
//! Each call gets a fresh instance of the component. What has to last goes into [`state`]; what is to be told to the
//! operator goes into [`log`], also the words of a panic.
//!
//! On the author's own machine the functions of the agent are played by [`fake::Host`], so that `cargo test` needs no
//! agent.

mod bindings;
pub mod clock;
pub mod command;
pub mod config_file;
pub mod crontab;
mod error;
mod exports;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
pub mod http;
pub mod log;
pub mod mysql;
mod panics;
pub mod state;

pub use bindings::latchkey::adapter::types::{
    Busy, Denial, Error, Grant, Hosting, IdempotencyKey, InvalidField, Privilege, Purged, Secret,
};
pub use exports::*;

/// What a function of an adapter answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Settings of the operator's, by their names.
impl Hosting {
    /// What the operator set under this name, if anything.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Says which of its interfaces the component exports: `export!(Adapter: databases, logs);`
///
/// The type implements the trait of each. Write it once, in the component's `lib.rs`. On a native target it does nothing.
#[macro_export]
macro_rules! export {
    ($adapter:ident: $($interface:ident),+ $(,)?) => {
        $(
            #[cfg(target_family = "wasm")]
            const _: () = {
                $crate::$interface::__export!($adapter with_types_in $crate::$interface::__bindings);
            };
            #[cfg(not(target_family = "wasm"))]
            const _: () = $crate::$interface::__implements::<$adapter>();
        )+
    };
}
