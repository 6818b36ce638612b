//! `databases`, by UAPI's module Mysql. cPanel does not show passwords, so whether one was set cannot be looked at.

use sdk::databases::{Database, User};
use sdk::{Databases, Error, Grant, Hosting, IdempotencyKey, Privilege, Result, Secret};

use crate::Cpanel;
use crate::account::Account;
use crate::answer::{field, number, rows};
use crate::call::Call;
use crate::change::{self, Now};
use crate::privileges;

const MODULE: &str = "Mysql";

impl Databases for Cpanel {
    fn list_databases(hosting: Hosting) -> Result<Vec<Database>> {
        let account = Account::of(&hosting)?;
        let rows = rows(change::read(&account, &Call::uapi(MODULE, "list_databases"))?);
        let database = |row| {
            let size = number_of(&row, "disk_usage");
            Some(Database { name: field(&row, "database")?, size, tables: None })
        };
        let mut databases: Vec<Database> = rows.into_iter().filter_map(database).collect();
        databases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(databases)
    }

    fn create_database(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = Call::uapi(MODULE, "create_database").with("name", &name);
        create(&account, &key, Noun::Database, &name, &call)
    }

    fn rename_database(hosting: Hosting, key: IdempotencyKey, name: String, new_name: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = Call::uapi(MODULE, "rename_database").with("oldname", &name).with("newname", &new_name);
        change::once(&account, &key, missing(&name), |before| {
            let names = names(&account, Noun::Database)?;
            Ok(match (names.contains(&name), names.contains(&new_name)) {
                (true, false) => {
                    if before.is_none() {
                        check_name(&account, Noun::Database, "new-name", &new_name)?;
                    }
                    call.clone().into()
                }
                (false, true) => Now::Wanted,
                (true, true) => Now::Otherwise(taken(&new_name)),
                (false, false) => Now::Otherwise(missing(&name)),
            })
        })
    }

    fn delete_database(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = Call::uapi(MODULE, "delete_database").with("name", &name);
        change::once(&account, &key, missing(&name), |_| {
            Ok(if has(&account, Noun::Database, &name)? { call.clone().into() } else { Now::Wanted })
        })
    }

    fn list_users(hosting: Hosting) -> Result<Vec<User>> {
        let account = Account::of(&hosting)?;
        let rows = rows(change::read(&account, &Call::uapi(MODULE, "list_users"))?);
        let mut users = Vec::new();
        for row in rows {
            let Some(name) = field(&row, "user") else { continue };
            let mut grants = Vec::new();
            for database in row.get("databases").and_then(|list| list.as_array()).into_iter().flatten() {
                let Some(database) = database.as_str() else { continue };
                let privileges = privileges_on(&account, &name, database)?;
                grants.push(Grant { database: database.to_owned(), privileges });
            }
            grants.sort_by(|one, other| one.database.cmp(&other.database));
            users.push(User { name, grants });
        }
        users.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(users)
    }

    fn create_user(hosting: Hosting, key: IdempotencyKey, name: String, password: Secret) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = Call::uapi(MODULE, "create_user").with("name", &name).with_secret("password", &password);
        create(&account, &key, Noun::User, &name, &call)
    }

    fn set_password(hosting: Hosting, _key: IdempotencyKey, name: String, password: Secret) -> Result<()> {
        let account = Account::of(&hosting)?;
        if !has(&account, Noun::User, &name)? {
            return Err(missing(&name));
        }
        let call = Call::uapi(MODULE, "set_password").with("user", &name).with_secret("password", &password);
        let done = change::unseen(&account, &call)?;
        // One of several database servers may have refused it within what is a success.
        let failures = done.get("failures").cloned().map(rows).unwrap_or_default();
        match failures.first() {
            None => Ok(()),
            Some(failure) => {
                let host = field(failure, "host").unwrap_or_default();
                Err(Error::uncertain(format!(
                    "the password was not set on the database server {host}; set it once more"
                )))
            }
        }
    }

    fn delete_user(hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = Call::uapi(MODULE, "delete_user").with("name", &name);
        change::once(&account, &key, missing(&name), |_| {
            Ok(if has(&account, Noun::User, &name)? { call.clone().into() } else { Now::Wanted })
        })
    }

    fn set_grant(
        hosting: Hosting,
        _key: IdempotencyKey,
        user: String,
        database: String,
        privileges: Vec<Privilege>,
    ) -> Result<()> {
        let account = Account::of(&hosting)?;
        let wanted = privileges::in_order(&privileges);
        for (noun, name) in [(Noun::User, &user), (Noun::Database, &database)] {
            if !has(&account, noun, name)? {
                return Err(missing(name));
            }
        }
        let of = |function| Call::uapi(MODULE, function).with("user", &user).with("database", &database);
        let call = if wanted.is_empty() {
            of("revoke_access_to_database")
        } else {
            of("set_privileges_on_database").with("privileges", privileges::words(&wanted))
        };
        change::ensure(&account, || {
            let current = privileges_on(&account, &user, &database)?;
            Ok(if current == wanted { Now::Wanted } else { call.clone().into() })
        })
    }
}

/// Makes what has a name, which is checked before the first try.
fn create(account: &Account, key: &str, noun: Noun, name: &str, call: &Call) -> Result<()> {
    change::once(account, key, taken(name), |before| {
        if has(account, noun, name)? {
            return Ok(Now::Wanted);
        }
        if before.is_none() {
            check_name(account, noun, "name", name)?;
        }
        Ok(call.clone().into())
    })
}

/// What has a name in MariaDB.
#[derive(Debug, Clone, Copy)]
enum Noun {
    Database,
    User,
}

fn names(account: &Account, noun: Noun) -> Result<Vec<String>> {
    let (function, name) = match noun {
        Noun::Database => ("list_databases", "database"),
        Noun::User => ("list_users", "user"),
    };
    let rows = rows(change::read(account, &Call::uapi(MODULE, function))?);
    Ok(rows.iter().filter_map(|row| field(row, name)).collect())
}

fn has(account: &Account, noun: Noun, name: &str) -> Result<bool> {
    Ok(names(account, noun)?.iter().any(|listed| listed == name))
}

fn privileges_on(account: &Account, user: &str, database: &str) -> Result<Vec<Privilege>> {
    let call = Call::uapi(MODULE, "get_privileges_on_database").with("user", user).with("database", database);
    let listed = rows(change::read(account, &call)?);
    Ok(privileges::listed(listed.iter().filter_map(|word| word.as_str())))
}

/// What cPanel allows in a name differs between accounts and servers, and its refusals do not say it.
fn check_name(account: &Account, noun: Noun, parameter: &str, name: &str) -> Result<()> {
    let allowed = change::read(account, &Call::uapi(MODULE, "get_restrictions"))?;
    let prefix = field(&allowed, "prefix").unwrap_or_default();
    if name.strip_prefix(&prefix).is_none_or(str::is_empty) {
        return Err(Error::invalid(parameter, format!("a name that begins with {prefix}")));
    }
    let most = match noun {
        Noun::Database => number_of(&allowed, "max_database_name_length"),
        Noun::User => number_of(&allowed, "max_username_length"),
    };
    match most {
        Some(most) if u64::try_from(name.len()).unwrap_or(u64::MAX) > most => {
            Err(Error::invalid(parameter, format!("at most {most} characters")))
        }
        _ => Ok(()),
    }
}

fn number_of(row: &serde_json::Value, name: &str) -> Option<u64> {
    row.get(name).and_then(number).and_then(|number| u64::try_from(number).ok())
}

fn taken(name: &str) -> Error {
    Error::already_exists(format!("there is {name} already"))
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("there is no {name}"))
}
