//! SFTP version 3 over SSH, on files workers.
//!
//! The crate speaks the protocols and keeps strangers at bay. Who may sign in, and to which files, it asks a
//! [`Gatekeeper`]; it knows no shares, no accounts and no database, and opens no path itself.

mod clock;
mod conn;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod gatekeeper;
mod host_key;
mod packet;
mod quota;
mod server;
mod session;

pub use conn::SessionHandle;
pub use gatekeeper::{Access, Entrance, FileEvent, Gatekeeper, Peer, Refused};
pub use host_key::{HostKey, HostKeyError};
pub use quota::Quota;
pub use russh::keys::PublicKey;
pub use server::{Limits, Server};
