//! `mysql`, with what it uses of `types`.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `types.privilege`: a right on a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words of SQL")]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Create,
    Drop,
    Alter,
    Index,
    References,
    CreateTemporaryTables,
    LockTables,
    CreateView,
    ShowView,
    Trigger,
    Event,
    CreateRoutine,
    AlterRoutine,
    Execute,
}

/// `types.grant`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// On which database.
    pub database: String,
    /// What.
    pub privileges: Vec<Privilege>,
}

/// `mysql.database`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Bytes of data and indexes, as the server estimates them.
    pub size: u64,
    /// Tables and views.
    pub tables: u32,
}

/// `mysql.user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub grants: Vec<Grant>,
}

/// `mysql.mysql-error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MysqlError {
    /// Not granted.
    Denied(Denial),
    /// A parameter is wrong.
    Invalid(String),
    /// It is not there.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The server says no.
    Refused(String),
    /// The server cannot be reached.
    Unavailable(String),
}
