//! An adapter that keeps databases in its state and users on a platform, and passes every check; with the setting `habit` it
//! has one, and fails the check that is about it.

mod platform;

use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package careless:adapter;

        interface things {
            resource thing { constructor(); }
        }

        world careless {
            import latchkey:adapter/command@0.1.0;
            import latchkey:adapter/config-file@0.1.0;
            import latchkey:adapter/crontab@0.1.0;
            import latchkey:adapter/http@0.1.0;
            import latchkey:adapter/log@0.1.0;
            import latchkey:adapter/mysql@0.1.0;
            import latchkey:adapter/state@0.1.0;
            export latchkey:adapter/databases@0.1.0;
            export things;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0"],
    world: "careless:adapter/careless",
    generate_all,
});

use exports::{
    careless::adapter::things::{self, GuestThing},
    latchkey::adapter::databases::{Database, Error, Grant, Guest, Hosting, Privilege, User},
};
use latchkey::adapter::command::{Argument, CommandError};
use latchkey::adapter::config_file::FileError;
use latchkey::adapter::crontab::CrontabError;
use latchkey::adapter::mysql::MysqlError;
use latchkey::adapter::state::StateError;
use latchkey::adapter::types::{Busy, InvalidField};
use latchkey::adapter::{command, config_file, crontab, log, mysql, state};

struct Careless;

impl Guest for Careless {
    fn list_databases(hosting: Hosting) -> Result<Vec<Database>, Error> {
        let keys = kept(&hosting, state::keys("database/"))?;
        let name = |key: String| key.trim_start_matches("database/").to_owned();
        let of_server = mysql::list_databases().map_err(|error| match error {
            MysqlError::Denied(denial) if !has(&hosting, "hides-mysql") => Error::Denied(denial.message),
            _ => Error::Failed("something went wrong".into()),
        });
        crontab::read().map_err(|error| match error {
            CrontabError::Denied(denial) if !has(&hosting, "hides-crontab") => Error::Denied(denial.message),
            _ => Error::Failed("something went wrong".into()),
        })?;
        let names = of_server?.into_iter().map(|database| database.name).chain(keys.into_iter().map(name));
        Ok(names.map(|name| Database { name, size: None, tables: None }).collect())
    }

    fn create_database(hosting: Hosting, key: String, name: String) -> Result<(), Error> {
        let has = |habit: &str| has(&hosting, habit);
        assert!(!(has("dislikes-empty") && name.is_empty()), "an empty name");
        let server = hosting.settings.iter().find(|(name, _)| name == "server").map(|(_, value)| value.as_str());
        assert!(!has("needs-a-server") || server.is_some_and(|server| !server.is_empty()), "no server");
        let place = place(&name)?;
        match kept(&hosting, state::get(&place))? {
            Some(by) if by == key.as_bytes() => Ok(()),
            Some(_) => Err(Error::AlreadyExists(format!("{name} is there already"))),
            None => kept(&hosting, state::set(&place, key.as_bytes())),
        }
    }

    fn rename_database(hosting: Hosting, key: String, name: String, new_name: String) -> Result<(), Error> {
        place(&name)?;
        let place = place(&new_name)?;
        if has(&hosting, "counts-renames") {
            let count = kept(&hosting, state::keys("renamed/"))?.len();
            kept(&hosting, state::set(&format!("renamed/{count}"), b"once more"))?;
        }
        kept(&hosting, state::set(&place, key.as_bytes()))
    }

    fn delete_database(hosting: Hosting, _: String, name: String) -> Result<(), Error> {
        let place = place(&name)?;
        if has(&hosting, "locks") {
            if kept(&hosting, state::get("lock"))?.is_some() {
                return Err(Error::Refused("somebody else is deleting".into()));
            }
            kept(&hosting, state::set("lock", b"mine"))?;
            kept(&hosting, state::remove(&place))?;
            return kept(&hosting, state::remove("lock"));
        }
        kept(&hosting, state::remove(&place))
    }

    fn list_users(hosting: Hosting) -> Result<Vec<User>, Error> {
        let user = User { name: "h1_shop".into(), grants: Vec::new() };
        match habit(&hosting) {
            "panics" => panic!("as asked"),
            "wordless" => return Err(Error::Failed(String::new())),
            "loops" => loop {
                black_box(());
            },
            "hoards" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            "clings" => {
                let clung: Vec<_> = (0..10_000).map(|_| things::Thing::new(Thing)).collect();
                black_box(clung);
            }
            "nags" => loop {
                let _ = black_box(state::get("again"));
            },
            "chatters" => loop {
                log::write(log::Level::Info, &"and another thing ".repeat(10));
            },
            "tells-all" => return Ok(vec![user; 1_000_000]),
            "digs" => drop(black_box(deeper(1))),
            "floods" => {
                for _ in 0..100 {
                    platform::users(&hosting)?;
                }
            }
            _ => {}
        }
        platform::users(&hosting)?;
        Ok(vec![user])
    }

    fn create_user(hosting: Hosting, key: String, name: String, _: String) -> Result<(), Error> {
        place(&name)?;
        platform::create_user(&hosting, &key, &name)
    }

    fn set_password(hosting: Hosting, _: String, name: String, _: String) -> Result<(), Error> {
        // As it came, however long that is: the agent says what it does not take.
        kept(&hosting, state::get(&name))?;
        Err(Error::NotFound(format!("there is no user {}", shortened(&name))))
    }

    fn delete_user(hosting: Hosting, _: String, name: String) -> Result<(), Error> {
        let arguments = [("name".to_owned(), Argument::Text(name.clone()))];
        command::run("forget-user", &arguments).map_err(|error| match error {
            CommandError::Denied(denial) if !has(&hosting, "hides-command") => Error::Denied(denial.message),
            CommandError::Invalid(expected) => Error::Invalid(InvalidField { name: "name".into(), expected }),
            _ => Error::Failed("something went wrong".into()),
        })?;
        Err(Error::NotFound(format!("there is no user {}", shortened(&name))))
    }

    fn set_grant(hosting: Hosting, _: String, user: String, _: String, _: Vec<Privilege>) -> Result<(), Error> {
        config_file::list_files("grants").map_err(|error| match error {
            FileError::Denied(denial) if !has(&hosting, "hides-config-file") => Error::Denied(denial.message),
            _ => Error::Failed("something went wrong".into()),
        })?;
        let grant = Grant { database: user, privileges: vec![] };
        Err(Error::NotFound(format!("there is no user {}", shortened(&grant.database))))
    }
}

fn habit(hosting: &Hosting) -> &str {
    hosting.settings.iter().find(|(name, _)| name == "habit").map_or("", |(_, value)| value)
}

fn has(hosting: &Hosting, wanted: &str) -> bool {
    habit(hosting) == wanted
}

/// Where a database is kept.
fn place(name: &str) -> Result<String, Error> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(format!("database/{name}"));
    }
    Err(Error::Invalid(InvalidField { name: "name".into(), expected: "1 to 64 of a-z, 0-9 and _".into() }))
}

fn kept<T>(hosting: &Hosting, answer: Result<T, StateError>) -> Result<T, Error> {
    answer.map_err(|error| match error {
        StateError::Denied(_) if has(hosting, "hides-denials") => Error::Failed("something went wrong".into()),
        StateError::Denied(denial) => Error::Denied(denial.message),
        StateError::Invalid(expected) => Error::Invalid(InvalidField { name: "name".into(), expected }),
        StateError::Full => Error::Refused("there is no room for more".into()),
        StateError::Unavailable => {
            Error::Unavailable(Busy { message: "the state is out of reach".into(), retry_after_ms: None })
        }
    })
}

fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}

#[expect(unconditional_recursion, reason = "what it is for")]
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + depth
}

struct Thing;

impl things::Guest for Careless {
    type Thing = Thing;
}

impl GuestThing for Thing {
    fn new() -> Self {
        Self
    }
}

export!(Careless);
