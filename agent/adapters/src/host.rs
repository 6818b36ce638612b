//! The table of host functions: what a runner has serve carry out.
//!
//! `log` and `clock` are not in it: the runner does these alone.

use serde::{Deserialize, Serialize};

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
    CrontabRead = "crontab" "read";
    CrontabReplace = "crontab" "replace";
    CommandRun = "command" "run";
    ConfigFileList = "config-file" "list-files";
    ConfigFileRead = "config-file" "read";
    ConfigFileWrite = "config-file" "write";
    ConfigFileRemove = "config-file" "remove";
}
