//! Clients of a whole node, for the whole-behaviour tests in `behaviour/`: a panel, browsers, a reader of mails, and what
//! they do together (invite, accept, open WP Admin).
//!
//! Real programs are asked over their real interfaces, with curl. What goes wrong here fails the test that asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "whatever goes wrong here fails the test that asked, at its line"
)]

pub mod adapters;
pub mod api;
pub mod archives;
pub mod audit;
pub mod browser;
pub mod command_line;
pub mod databases;
pub mod disk;
pub mod exchange;
pub mod file_accounts;
pub mod file_manager;
pub mod file_sessions;
pub mod hostile;
pub mod hostile_text;
pub mod mailbox;
pub mod opened;
pub mod platform;
pub mod processes;
pub mod sftp_wire;
pub mod shares;
pub mod sites;
pub mod small_home;
pub mod streams;
pub mod trees;
pub mod waiting;
pub mod wp_admin;
