//! The adapter for cPanel: databases, FTP accounts, mailboxes and zones through UAPI, cron through API 2.
//!
//! What decides whether a change is sent is in one place, [`change`]. The rest says what to look at and what to send.

mod account;
mod answer;
mod call;
mod change;
mod cron;
mod databases;
mod dns;
mod domains;
mod exchange;
mod ftp_accounts;
mod mail;
mod privileges;
mod size;
mod trace;
mod zone;

/// The adapter.
#[derive(Debug)]
pub struct Cpanel;

sdk::export!(Cpanel: databases, ftp_accounts, mail, dns, cron);
