//! Host functions: the table of what a runner has serve carry out, and a file for each interface with the shapes that go
//! over a lane for it, field by field and case by case as the WIT has them.
//!
//! What the runner answers alone is not sent, so it has no number: [`ANSWERED_BY_RUNNER`].

pub mod command;
pub mod config_file;
pub mod crontab;
pub mod http;
pub mod mysql;
pub mod state;

use serde::{Deserialize, Serialize};

/// Interfaces and functions that the runner answers alone, as WIT writes them.
pub const ANSWERED_BY_RUNNER: &[(&str, &str)] = &[("log", "write"), ("clock", "now"), ("clock", "elapsed")];

/// All functions that this agent offers adapters, with their interfaces, as WIT writes them.
pub fn offered() -> impl Iterator<Item = (&'static str, &'static str)> {
    let asked = HostFunction::ALL.iter().map(|function| (function.interface(), function.name()));
    ANSWERED_BY_RUNNER.iter().copied().chain(asked)
}

macro_rules! functions {
    ($($variant:ident = $interface:literal $function:literal;)+) => {
        /// A host function that serve carries out. New ones go to the end: the number is what is sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum HostFunction {
            $(#[doc = concat!("`", $interface, ".", $function, "`")] $variant,)+
        }

        impl HostFunction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The interface, as WIT writes it.
            #[must_use]
            pub fn interface(self) -> &'static str {
                match self { $(Self::$variant => $interface,)+ }
            }

            /// The function, as WIT writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $function,)+ }
            }
        }
    };
}

functions! {
    StateGet = "state" "get";
    StateSet = "state" "set";
    StateRemove = "state" "remove";
    StateKeys = "state" "keys";
    HttpSend = "http" "send";
    MysqlListDatabases = "mysql" "list-databases";
    MysqlCreateDatabase = "mysql" "create-database";
    MysqlRenameDatabase = "mysql" "rename-database";
    MysqlDropDatabase = "mysql" "drop-database";
    MysqlListUsers = "mysql" "list-users";
    MysqlCreateUser = "mysql" "create-user";
    MysqlSetPassword = "mysql" "set-password";
    MysqlDropUser = "mysql" "drop-user";
    MysqlSetGrant = "mysql" "set-grant";
    MysqlEndConnections = "mysql" "end-connections";
    CommandRun = "command" "run";
    CrontabRead = "crontab" "read";
    CrontabReplace = "crontab" "replace";
    ConfigFileList = "config-file" "list-files";
    ConfigFileRead = "config-file" "read";
    ConfigFileWrite = "config-file" "write";
    ConfigFileRemove = "config-file" "remove";
}

/// `types.denial`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What is not granted, for people.
    pub message: String,
    /// The lines that would grant it.
    pub grant: Option<String>,
}
