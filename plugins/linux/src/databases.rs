//! Databases and their users, on the node's own MariaDB.

use sdk::databases::{Database, User};
use sdk::mysql::{self, MysqlError};
use sdk::{Databases, Error, Hosting, IdempotencyKey, Privilege, Result, Secret};

use crate::Linux;
use crate::traces::{Did, Trace};

impl Databases for Linux {
    fn list_databases(_: Hosting) -> Result<Vec<Database>> {
        let found = mysql::databases().map_err(|error| told(error, "databases"))?;
        let database =
            |found: mysql::Database| Database { name: found.name, size: Some(found.size), tables: Some(found.tables) };
        Ok(found.into_iter().map(database).collect())
    }

    fn create_database(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        let database = Thing::database(&hosting, "name", &name)?;
        database.make(&key, || mysql::create_database(&name))
    }

    fn rename_database(hosting: Hosting, key: IdempotencyKey, name: String, new_name: String) -> Result<()> {
        let old = Thing::database(&hosting, "name", &name)?;
        let new = Thing::database(&hosting, "new-name", &new_name)?;
        let was_ours = new.trace.was(Did::Make, &key)?;
        if !was_ours {
            old.must_be_there()?;
            new.trace.begin(Did::Make, &key)?;
        }
        // Not looked for first: one that was cut off goes on, also by another call.
        match mysql::rename_database(&name, &new_name) {
            Err(MysqlError::NotFound) if was_ours => Ok(()),
            Err(MysqlError::AlreadyExists) => {
                new.trace.take_back()?;
                Err(told(MysqlError::AlreadyExists, &new_name))
            }
            renamed => renamed.map_err(|error| told(error, &name)),
        }
    }

    fn delete_database(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        Thing::database(&hosting, "name", &name)?.remove(&key, || mysql::drop_database(&name))
    }

    fn list_users(_: Hosting) -> Result<Vec<User>> {
        let found = mysql::users().map_err(|error| told(error, "users"))?;
        Ok(found.into_iter().map(|user| User { name: user.name, grants: user.grants }).collect())
    }

    fn create_user(hosting: Hosting, key: IdempotencyKey, name: String, password: Secret) -> Result<()> {
        let user = Thing::user(&hosting, "name", &name)?;
        user.make(&key, || match mysql::create_user(&name, &password) {
            // The password that counts is the one that this call was told.
            Err(MysqlError::AlreadyExists) if user.trace.was(Did::Make, &key).unwrap_or(false) => {
                mysql::set_password(&name, &password)
            }
            made => made,
        })
    }

    fn set_password(_: Hosting, _: IdempotencyKey, name: String, password: Secret) -> Result<()> {
        mysql::set_password(&name, &password).map_err(|error| told(error, &name))
    }

    fn delete_user(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        Thing::user(&hosting, "name", &name)?.remove(&key, || mysql::drop_user(&name))
    }

    fn set_grant(
        _: Hosting,
        _: IdempotencyKey,
        user: String,
        database: String,
        privileges: Vec<Privilege>,
    ) -> Result<()> {
        let set = mysql::set_grant(&user, &mysql::grant(&database, privileges));
        set.map_err(|error| told(error, &format!("{user} or {database}")))
    }
}

type Mysql = std::result::Result<(), MysqlError>;

/// A database or a user.
struct Thing<'n> {
    name: &'n str,
    trace: Trace,
    names: fn() -> std::result::Result<Vec<String>, MysqlError>,
}

impl<'n> Thing<'n> {
    fn database(hosting: &Hosting, parameter: &str, name: &'n str) -> Result<Self> {
        check(hosting, parameter, name)?;
        let names = || Ok(mysql::databases()?.into_iter().map(|database| database.name).collect());
        Ok(Self { name, trace: Trace::of("database", name), names })
    }

    fn user(hosting: &Hosting, parameter: &str, name: &'n str) -> Result<Self> {
        check(hosting, parameter, name)?;
        let names = || Ok(mysql::users()?.into_iter().map(|user| user.name).collect());
        Ok(Self { name, trace: Trace::of("user", name), names })
    }

    fn is_there(&self) -> Result<bool> {
        let names = (self.names)().map_err(|error| told(error, self.name))?;
        Ok(names.iter().any(|name| name == self.name))
    }

    fn must_be_there(&self) -> Result<()> {
        if self.is_there()? { Ok(()) } else { Err(told(MysqlError::NotFound, self.name)) }
    }

    fn make(&self, key: &IdempotencyKey, work: impl FnOnce() -> Mysql) -> Result<()> {
        let was_ours = self.trace.was(Did::Make, key)?;
        if !was_ours {
            // What is there already must not look as if this call had made it.
            if self.is_there()? {
                return Err(told(MysqlError::AlreadyExists, self.name));
            }
            self.trace.begin(Did::Make, key)?;
        }
        match work() {
            Err(MysqlError::AlreadyExists) if was_ours => Ok(()),
            Err(MysqlError::AlreadyExists) => {
                self.trace.take_back()?;
                Err(told(MysqlError::AlreadyExists, self.name))
            }
            made => made.map_err(|error| told(error, self.name)),
        }
    }

    fn remove(&self, key: &IdempotencyKey, work: impl FnOnce() -> Mysql) -> Result<()> {
        if self.is_there()? {
            self.trace.begin(Did::Remove, key)?;
        } else if self.trace.was(Did::Remove, key)? {
            return Ok(());
        }
        work().map_err(|error| told(error, self.name))
    }
}

/// The agent has checked names before; what is written about them here depends on it.
fn check(hosting: &Hosting, parameter: &str, name: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let rest = name.strip_prefix(&hosting.db_prefix).unwrap_or_default();
    if !rest.is_empty() && name.len() <= 64 && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Error::invalid(parameter, format!("a name of a-z, 0-9 and _ that begins with {}", hosting.db_prefix)))
}

/// What MariaDB and the agent say, for whoever asked.
fn told(error: MysqlError, name: &str) -> Error {
    match error {
        MysqlError::Denied(denial) => denial.into(),
        MysqlError::Invalid(what) => {
            let (parameter, expected) = what.split_once(": ").unwrap_or(("name", &what));
            Error::invalid(parameter, expected)
        }
        MysqlError::NotFound => Error::not_found(format!("there is no {name}")),
        MysqlError::AlreadyExists => Error::already_exists(format!("there is a {name} already")),
        MysqlError::Refused(why) => Error::refused(why),
        MysqlError::Unavailable(why) => Error::unavailable(why),
    }
}

#[cfg(test)]
mod tests;
