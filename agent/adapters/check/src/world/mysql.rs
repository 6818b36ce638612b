//! The host interface `mysql`, with the agent's rules for names; databases are names, and hold nothing.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_adapters::host::mysql::{Database, Grant, MysqlError, Privilege, User};
use serde_json::{Value, json};

use super::{Misunderstood, Model, decoded, encoded, unknown};
use crate::samples::PREFIX;

const DATABASE_MAX_BYTES: usize = 64;
const USER_MAX_BYTES: usize = 32;

/// The server.
#[derive(Debug, Default)]
pub(super) struct Mysql {
    databases: BTreeSet<String>,
    users: BTreeMap<String, BTreeMap<String, Vec<Privilege>>>,
}

impl Model for Mysql {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "list-databases" => encoded(&Ok::<_, MysqlError>(self.list_databases())),
            "create-database" => {
                let (name,): (String,) = decoded(arguments)?;
                encoded(&database("name", &name).and_then(|()| self.create_database(name)))
            }
            "rename-database" => {
                let (name, new): (String, String) = decoded(arguments)?;
                let checked = database("name", &name).and_then(|()| database("new-name", &new));
                encoded(&checked.and_then(|()| self.rename_database(&name, new)))
            }
            "drop-database" => {
                let (name,): (String,) = decoded(arguments)?;
                encoded(&database("name", &name).and_then(|()| self.drop_database(&name)))
            }
            "list-users" => encoded(&Ok::<_, MysqlError>(self.list_users())),
            "create-user" => {
                let (name, _password): (String, String) = decoded(arguments)?;
                encoded(&user("name", &name).and_then(|()| self.create_user(name)))
            }
            "set-password" => {
                let (name, _password): (String, String) = decoded(arguments)?;
                encoded(&user("name", &name).and_then(|()| self.grants_of(&name).map(drop)))
            }
            "drop-user" => {
                let (name,): (String,) = decoded(arguments)?;
                let mut dropped = || self.users.remove(&name).map(drop).ok_or(MysqlError::NotFound);
                encoded(&user("name", &name).and_then(|()| dropped()))
            }
            "set-grant" => {
                let (name, of, privileges): (String, String, Vec<Privilege>) = decoded(arguments)?;
                let checked = user("user", &name).and_then(|()| database("database", &of));
                encoded(&checked.and_then(|()| self.set_grant(&name, of, privileges)))
            }
            "end-connections" => {
                let (name,): (String,) = decoded(arguments)?;
                encoded(&user("user", &name).map(|()| 0_u32))
            }
            _ => Err(unknown(function)),
        }
    }

    fn kept(&self) -> Value {
        json!({ "databases": self.databases, "users": self.users })
    }
}

impl Mysql {
    fn list_databases(&self) -> Vec<Database> {
        self.databases.iter().map(|name| Database { name: name.clone(), size: 0, tables: 0 }).collect()
    }

    fn create_database(&mut self, name: String) -> Result<(), MysqlError> {
        if self.databases.insert(name) { Ok(()) } else { Err(MysqlError::AlreadyExists) }
    }

    fn rename_database(&mut self, name: &str, new: String) -> Result<(), MysqlError> {
        if self.databases.contains(name) && self.databases.contains(&new) {
            return Err(MysqlError::AlreadyExists);
        }
        if !self.databases.remove(name) {
            return Err(MysqlError::NotFound);
        }
        for grants in self.users.values_mut() {
            if let Some(privileges) = grants.remove(name) {
                grants.insert(new.clone(), privileges);
            }
        }
        self.databases.insert(new);
        Ok(())
    }

    fn drop_database(&mut self, name: &str) -> Result<(), MysqlError> {
        self.users.values_mut().for_each(|grants| drop(grants.remove(name)));
        if self.databases.remove(name) { Ok(()) } else { Err(MysqlError::NotFound) }
    }

    fn list_users(&self) -> Vec<User> {
        let mut users = Vec::new();
        for (name, grants) in &self.users {
            let grant = |(database, privileges): (&String, &Vec<Privilege>)| Grant {
                database: database.clone(),
                privileges: privileges.clone(),
            };
            users.push(User { name: name.clone(), grants: grants.iter().map(grant).collect() });
        }
        users
    }

    fn create_user(&mut self, name: String) -> Result<(), MysqlError> {
        if self.users.contains_key(&name) {
            return Err(MysqlError::AlreadyExists);
        }
        self.users.insert(name, BTreeMap::new());
        Ok(())
    }

    fn set_grant(&mut self, name: &str, of: String, privileges: Vec<Privilege>) -> Result<(), MysqlError> {
        if !self.databases.contains(&of) {
            return Err(MysqlError::NotFound);
        }
        let grants = self.grants_of(name)?;
        grants.remove(&of);
        if !privileges.is_empty() {
            grants.insert(of, privileges);
        }
        Ok(())
    }

    fn grants_of(&mut self, name: &str) -> Result<&mut BTreeMap<String, Vec<Privilege>>, MysqlError> {
        self.users.get_mut(name).ok_or(MysqlError::NotFound)
    }
}

fn database(parameter: &str, name: &str) -> Result<(), MysqlError> {
    check(parameter, name, DATABASE_MAX_BYTES)
}

fn user(parameter: &str, name: &str) -> Result<(), MysqlError> {
    check(parameter, name, USER_MAX_BYTES)
}

fn check(parameter: &str, name: &str, most: usize) -> Result<(), MysqlError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = name.starts_with(PREFIX) && (PREFIX.len() + 1..=most).contains(&name.len());
    if fits && name.bytes().all(is_plain) {
        return Ok(());
    }
    let rest = most - PREFIX.len();
    Err(MysqlError::Invalid(format!("{parameter}: expected {PREFIX} and 1 to {rest} characters of a-z, 0-9 and _")))
}
