//! Databases, their users, and what these may do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Row;
use crate::account::{Account, Database, DatabaseUser};
use crate::arguments::{Arguments, Refusal, refusal};
use crate::journal::Kind::{Change, Read};

pub(crate) const FUNCTIONS: &[Row] = &[
    ("Mysql", "get_restrictions", Read, get_restrictions),
    ("Mysql", "list_databases", Read, list_databases),
    ("Mysql", "list_users", Read, list_users),
    ("Mysql", "get_privileges_on_database", Read, get_privileges_on_database),
    ("Mysql", "create_database", Change, create_database),
    ("Mysql", "rename_database", Change, rename_database),
    ("Mysql", "delete_database", Change, delete_database),
    ("Mysql", "create_user", Change, create_user),
    ("Mysql", "rename_user", Change, rename_user),
    ("Mysql", "set_password", Change, set_password),
    ("Mysql", "delete_user", Change, delete_user),
    ("Mysql", "set_privileges_on_database", Change, set_privileges_on_database),
    ("Mysql", "revoke_access_to_database", Change, revoke_access_to_database),
];

const MAX_DATABASE_NAME: usize = 64;
const MAX_USER_NAME: usize = 32;
const ALL: &str = "ALL PRIVILEGES";
const PRIVILEGES: [&str; 18] = [
    "ALTER",
    "ALTER ROUTINE",
    "CREATE",
    "CREATE ROUTINE",
    "CREATE TEMPORARY TABLES",
    "CREATE VIEW",
    "DELETE",
    "DROP",
    "EVENT",
    "EXECUTE",
    "INDEX",
    "INSERT",
    "LOCK TABLES",
    "REFERENCES",
    "SELECT",
    "SHOW VIEW",
    "TRIGGER",
    "UPDATE",
];

fn get_restrictions(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    Ok(json!({
        "prefix": account.prefix,
        "max_database_name_length": MAX_DATABASE_NAME,
        "max_username_length": MAX_USER_NAME,
    }))
}

fn list_databases(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    let users_of = |database: &str| -> Vec<&String> {
        let with_grant = account.database_users.iter().filter(|(_, user)| user.grants.contains_key(database));
        with_grant.map(|(name, _)| name).collect()
    };
    let row = |(name, database): (&String, &Database)| json!({ "database": name, "disk_usage": database.size, "users": users_of(name) });
    Ok(account.databases.iter().map(row).collect())
}

fn list_users(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    let row = |(name, user): (&String, &DatabaseUser)| {
        let short = name.strip_prefix(&account.prefix).unwrap_or(name);
        json!({ "user": name, "shortuser": short, "databases": user.grants.keys().collect::<Vec<_>>() })
    };
    Ok(account.database_users.iter().map(row).collect())
}

fn get_privileges_on_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let database = arguments.required("database")?;
    let rights = user(account, arguments.required("user")?)?.grants.get(database).cloned().unwrap_or_default();
    if rights.len() == PRIVILEGES.len() { Ok(json!([ALL])) } else { Ok(json!(rights)) }
}

fn create_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let name = new_name(account, arguments.required("name")?, MAX_DATABASE_NAME)?;
    if account.databases.contains_key(&name) {
        return Err(refusal(format!("There is a database \"{name}\" already.")));
    }
    account.databases.insert(name, Database { size: 0, made: 1 });
    Ok(Value::Null)
}

fn rename_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let old = arguments.required("oldname")?;
    let new = new_name(account, arguments.required("newname")?, MAX_DATABASE_NAME)?;
    if account.databases.contains_key(&new) {
        return Err(refusal(format!("There is a database \"{new}\" already.")));
    }
    let database = account.databases.remove(old).ok_or_else(|| no_database(old))?;
    account.databases.insert(new.clone(), database);
    for user in account.database_users.values_mut() {
        if let Some(rights) = user.grants.remove(old) {
            user.grants.insert(new.clone(), rights);
        }
    }
    Ok(Value::Null)
}

fn delete_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let name = arguments.required("name")?;
    account.databases.remove(name).ok_or_else(|| no_database(name))?;
    account.database_users.values_mut().for_each(|user| drop(user.grants.remove(name)));
    Ok(Value::Null)
}

fn create_user(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let name = new_name(account, arguments.required("name")?, MAX_USER_NAME)?;
    let password = strong(arguments.required("password")?)?;
    if account.database_users.contains_key(&name) {
        return Err(refusal(format!("There is a database user \"{name}\" already.")));
    }
    account.database_users.insert(name, DatabaseUser { password, grants: BTreeMap::new() });
    Ok(Value::Null)
}

fn rename_user(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let old = arguments.required("oldname")?;
    let new = new_name(account, arguments.required("newname")?, MAX_USER_NAME)?;
    if account.database_users.contains_key(&new) {
        return Err(refusal(format!("There is a database user \"{new}\" already.")));
    }
    let user = account.database_users.remove(old).ok_or_else(|| no_user(old))?;
    account.database_users.insert(new, user);
    Ok(Value::Null)
}

fn set_password(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let password = strong(arguments.required("password")?)?;
    user(account, arguments.required("user")?)?.password = password;
    Ok(json!({ "failures": [] }))
}

fn delete_user(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let name = arguments.required("name")?;
    account.database_users.remove(name).map(|_| Value::Null).ok_or_else(|| no_user(name))
}

/// In place of what the user might do before, not in addition.
fn set_privileges_on_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let database = arguments.required("database")?.to_owned();
    let wanted = arguments.required("privileges")?;
    let rights: BTreeSet<String> = if wanted == ALL {
        PRIVILEGES.map(str::to_owned).into()
    } else {
        wanted.split(',').map(str::to_owned).collect()
    };
    if let Some(unknown) = rights.iter().find(|right| !PRIVILEGES.contains(&right.as_str())) {
        return Err(refusal(format!("\"{unknown}\" is no privilege.")));
    }
    if !account.databases.contains_key(&database) {
        return Err(no_database(&database));
    }
    user(account, arguments.required("user")?)?.grants.insert(database, rights);
    Ok(Value::Null)
}

fn revoke_access_to_database(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let database = arguments.required("database")?.to_owned();
    let revoked = user(account, arguments.required("user")?)?.grants.remove(&database);
    revoked.map(|_| Value::Null).ok_or_else(|| refusal("That user has no access to that database."))
}

fn user<'a>(account: &'a mut Account, name: &str) -> Result<&'a mut DatabaseUser, Refusal> {
    account.database_users.get_mut(name).ok_or_else(|| no_user(name))
}

fn new_name(account: &Account, name: &str, longest: usize) -> Result<String, Refusal> {
    if !name.starts_with(&account.prefix) || name == account.prefix {
        return Err(refusal(format!("The name \"{name}\" does not begin with the prefix \"{}\".", account.prefix)));
    }
    if name.len() > longest {
        return Err(refusal(format!("The name \"{name}\" is longer than {longest} characters.")));
    }
    Ok(name.to_owned())
}

pub(crate) fn strong(password: &str) -> Result<String, Refusal> {
    if password.len() < 5 {
        return Err(refusal("The password is too weak: its strength is below what this server requires."));
    }
    Ok(password.to_owned())
}

fn no_database(name: &str) -> Refusal {
    refusal(format!("The database \"{name}\" does not exist."))
}

fn no_user(name: &str) -> Refusal {
    refusal(format!("The database user \"{name}\" does not exist."))
}
