//! `mysql`, played: databases and users in memory, with the agent's rules for names.

use std::collections::BTreeMap;

use super::play;
use crate::mysql::{Database, MysqlError, User};
use crate::{Grant, Privilege};

/// What the names of [`super::hosting`] begin with.
const PREFIX: &str = "h1_";
const DATABASE_MAX_BYTES: usize = 64;
const USER_MAX_BYTES: usize = 32;

/// The server.
#[derive(Default)]
pub(super) struct Server {
    /// Databases; a number for each, which goes along when one is renamed.
    pub(super) databases: BTreeMap<String, u32>,
    made: u32,
    /// Users: the secret that is their password, and what they may do with each database.
    pub(super) users: BTreeMap<String, (String, BTreeMap<String, Vec<Privilege>>)>,
    /// What every function answers in place of its work.
    pub(super) answers: Option<MysqlError>,
}

fn serve<T>(work: impl FnOnce(&mut Server) -> Result<T, MysqlError>) -> Result<T, MysqlError> {
    play(|played| match played.mysql.answers.clone() {
        Some(error) => Err(error),
        None => work(&mut played.mysql),
    })
}

fn check(parameter: &str, name: &str, most: usize) -> Result<(), MysqlError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = name.starts_with(PREFIX) && name.len() > PREFIX.len() && name.len() <= most;
    if fits && name.bytes().all(is_plain) {
        return Ok(());
    }
    let rest = most - PREFIX.len();
    Err(MysqlError::Invalid(format!("{parameter}: expected {PREFIX} and 1 to {rest} characters of a-z, 0-9 and _")))
}

pub(crate) fn list_databases() -> Result<Vec<Database>, MysqlError> {
    serve(|server| {
        let names = server.databases.keys();
        Ok(names.map(|name| Database { name: name.clone(), size: 0, tables: 0 }).collect())
    })
}

pub(crate) fn create_database(name: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, DATABASE_MAX_BYTES)?;
        if server.databases.contains_key(name) {
            return Err(MysqlError::AlreadyExists);
        }
        server.made += 1;
        server.databases.insert(name.to_owned(), server.made);
        Ok(())
    })
}

pub(crate) fn rename_database(name: &str, new_name: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, DATABASE_MAX_BYTES)?;
        check("new-name", new_name, DATABASE_MAX_BYTES)?;
        if server.databases.contains_key(new_name) && server.databases.contains_key(name) {
            return Err(MysqlError::AlreadyExists);
        }
        let database = server.databases.remove(name).ok_or(MysqlError::NotFound)?;
        server.databases.insert(new_name.to_owned(), database);
        for (_, grants) in server.users.values_mut() {
            grants.remove(name).map(|grant| grants.insert(new_name.to_owned(), grant));
        }
        Ok(())
    })
}

pub(crate) fn drop_database(name: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, DATABASE_MAX_BYTES)?;
        server.databases.remove(name).ok_or(MysqlError::NotFound)?;
        server.users.values_mut().for_each(|(_, grants)| drop(grants.remove(name)));
        Ok(())
    })
}

pub(crate) fn list_users() -> Result<Vec<User>, MysqlError> {
    serve(|server| {
        let user = |(name, (_, grants)): (&String, &(String, BTreeMap<String, Vec<Privilege>>))| {
            let grants = grants.iter();
            let grant = |(database, privileges): (&String, &Vec<Privilege>)| Grant {
                database: database.clone(),
                privileges: privileges.clone(),
            };
            User { name: name.clone(), grants: grants.map(grant).collect() }
        };
        Ok(server.users.iter().map(user).collect())
    })
}

pub(crate) fn create_user(name: &str, password: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, USER_MAX_BYTES)?;
        if server.users.contains_key(name) {
            return Err(MysqlError::AlreadyExists);
        }
        server.users.insert(name.to_owned(), (password.to_owned(), BTreeMap::new()));
        Ok(())
    })
}

pub(crate) fn set_password(name: &str, password: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, USER_MAX_BYTES)?;
        server.users.get_mut(name).map(|user| user.0 = password.to_owned()).ok_or(MysqlError::NotFound)
    })
}

pub(crate) fn drop_user(name: &str) -> Result<(), MysqlError> {
    serve(|server| {
        check("name", name, USER_MAX_BYTES)?;
        server.users.remove(name).map(drop).ok_or(MysqlError::NotFound)
    })
}

pub(crate) fn set_grant(user: &str, database: &str, privileges: &[Privilege]) -> Result<(), MysqlError> {
    serve(|server| {
        check("user", user, USER_MAX_BYTES)?;
        check("database", database, DATABASE_MAX_BYTES)?;
        if !server.databases.contains_key(database) {
            return Err(MysqlError::NotFound);
        }
        let (_, grants) = server.users.get_mut(user).ok_or(MysqlError::NotFound)?;
        grants.remove(database);
        if !privileges.is_empty() {
            grants.insert(database.to_owned(), privileges.to_vec());
        }
        Ok(())
    })
}

pub(crate) fn end_connections(user: &str) -> Result<u32, MysqlError> {
    serve(|_| check("user", user, USER_MAX_BYTES).map(|()| 0))
}

#[cfg(test)]
mod tests {
    use crate::fake::Host;
    use crate::mysql::{self, MysqlError};
    use crate::{Denial, Privilege};

    fn names() -> Vec<String> {
        mysql::databases().unwrap().into_iter().map(|database| database.name).collect()
    }

    #[test]
    fn a_renamed_database_takes_its_grants_along() {
        let host = Host::new();
        mysql::create_database("h1_a").unwrap();
        mysql::create_user("h1_u", "new").unwrap();
        mysql::set_grant("h1_u", &mysql::grant("h1_a", vec![Privilege::Select])).unwrap();
        mysql::rename_database("h1_a", "h1_b").unwrap();
        assert_eq!(names(), ["h1_b"]);
        assert_eq!(mysql::users().unwrap()[0].grants, [mysql::grant("h1_b", vec![Privilege::Select])]);
        assert_eq!(host.database_password("h1_u").as_deref(), Some("new"));
        mysql::drop_database("h1_b").unwrap();
        assert_eq!(mysql::users().unwrap()[0].grants, []);
        assert_eq!(mysql::drop_database("h1_b"), Err(MysqlError::NotFound));
    }

    #[test]
    fn names_of_others_and_denials_are_refused() {
        let host = Host::new();
        for name in ["", "h1_", "h2_a", "h1_A", "h1_`", &format!("h1_{}", "x".repeat(62))] {
            assert!(matches!(mysql::create_database(name), Err(MysqlError::Invalid(_))), "{name}");
        }
        host.mysql_answers(MysqlError::Denied(Denial { message: "mysql is not granted".into(), grant: None }));
        assert!(matches!(mysql::create_database("h1_a"), Err(MysqlError::Denied(_))));
    }
}
