//! The node's own MariaDB, for databases and users of the hosting that the call is about. The manifest asks with
//! `mysql = true`. Names begin with the hosting's `db_prefix`; there is no way to send SQL.
//!
//! Every function may be repeated: what is *unavailable* may be tried again.

pub use crate::bindings::latchkey::adapter::mysql::{Database, MysqlError, User};
use crate::{Grant, Privilege};

#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::mysql as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::mysql as host;

/// The hosting's databases, by name.
pub fn databases() -> Result<Vec<Database>, MysqlError> {
    host::list_databases()
}

/// Makes an empty database.
pub fn create_database(name: &str) -> Result<(), MysqlError> {
    host::create_database(name)
}

/// Moves all tables into a new database and drops the old one, with grants moved along. Refused, with nothing done, when there
/// are views, triggers, events or routines.
pub fn rename_database(name: &str, new_name: &str) -> Result<(), MysqlError> {
    host::rename_database(name, new_name)
}

/// Drops a database with all that is in it and all grants on it.
pub fn drop_database(name: &str) -> Result<(), MysqlError> {
    host::drop_database(name)
}

/// The hosting's users, by name.
pub fn users() -> Result<Vec<User>, MysqlError> {
    host::list_users()
}

/// Makes a user without grants, who may sign in from this node. The password is the name of a secret.
pub fn create_user(name: &str, password: &str) -> Result<(), MysqlError> {
    host::create_user(name, password)
}

/// Sets a password, which is the name of a secret. Open connections stay.
pub fn set_password(name: &str, password: &str) -> Result<(), MysqlError> {
    host::set_password(name, password)
}

/// Drops a user and ends their connections.
pub fn drop_user(name: &str) -> Result<(), MysqlError> {
    host::drop_user(name)
}

/// Says what a user may do with a database, in place of what they might before; nothing with an empty list.
pub fn set_grant(user: &str, grant: &Grant) -> Result<(), MysqlError> {
    host::set_grant(user, &grant.database, &grant.privileges)
}

/// Ends all connections of a user and says how many.
pub fn end_connections(user: &str) -> Result<u32, MysqlError> {
    host::end_connections(user)
}

/// What a user may do with a database, as the interface lists it.
#[must_use]
pub fn grant(database: &str, privileges: Vec<Privilege>) -> Grant {
    Grant { database: database.to_owned(), privileges }
}
