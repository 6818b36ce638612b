//! An adapter that breaks one limit at a time: `create-database` with the name of what it shall do.
//!
//! It also keeps what it is told: `rename-database` keeps its second name under its first, `delete-database` forgets it,
//! and `logs.locate` tells all that is kept.

use std::hint::black_box;

wit_bindgen::generate!({
    inline: "
        package hostile:adapter;

        interface things {
            resource thing { constructor(); }
        }

        world hostile {
            import latchkey:adapter/log@0.1.0;
            import latchkey:adapter/clock@0.1.0;
            import latchkey:adapter/state@0.1.0;
            export latchkey:adapter/databases@0.1.0;
            export latchkey:adapter/logs@0.1.0;
            export things;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0"],
    world: "hostile:adapter/hostile",
    generate_all,
});

use exports::{
    hostile::adapter::things::{self, GuestThing},
    latchkey::adapter::databases::{Database, Error, Grant, Guest, Hosting, Privilege, User},
    latchkey::adapter::logs::{self, Kind, Location},
};
use latchkey::adapter::state::StateError;
use latchkey::adapter::types::{Busy, InvalidField};
use latchkey::adapter::{clock, log, state};

struct Hostile;

/// How often a fresh instance was used: never more than once.
static mut USED: u32 = 0;

impl Guest for Hostile {
    fn list_databases(hosting: Hosting) -> Result<Vec<Database>, Error> {
        let name = format!("{}shop", hosting.db_prefix);
        Ok(vec![Database { name, size: Some(4096), tables: None }])
    }

    fn create_database(_hosting: Hosting, key: String, name: String) -> Result<(), Error> {
        match name.as_str() {
            "nothing" => Ok(()),
            "loop" => loop {
                black_box(());
            },
            "calls" => loop {
                black_box(clock::elapsed());
            },
            "asks" => loop {
                let _ = black_box(state::get(&key));
            },
            "memory" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            "lives-with-less-memory" => {
                let much: Result<(), _> = Vec::<u8>::new().try_reserve_exact(512 << 20);
                if much.is_err() { Ok(()) } else { Err(Error::Failed("got it".into())) }
            }
            "string" => {
                // More than is copied at once, less than the memory.
                log::write(log::Level::Info, &"x".repeat(20 << 20));
                Ok(())
            }
            "resources" => {
                let kept: Vec<things::Thing> = (0..10_000).map(|_| things::Thing::new(Thing)).collect();
                black_box(kept);
                Ok(())
            }
            "recursion" => {
                black_box(deeper(1));
                Ok(())
            }
            "log" => {
                for line in 0..1_000_000 {
                    log::write(log::Level::Info, &format!("line {line}"));
                }
                Ok(())
            }
            "panic" => panic!("as asked"),
            "abort" => core::arch::wasm32::unreachable(),
            "says-why-and-aborts" => {
                log::write(log::Level::Error, "first");
                log::write(log::Level::Error, "no place for it");
                log::write(log::Level::Info, "after");
                core::arch::wasm32::unreachable()
            }
            "says-much-and-aborts" => {
                log::write(log::Level::Error, &"é".repeat(1_000));
                core::arch::wasm32::unreachable()
            }
            "halfway" => {
                let _ = state::set("begun", b"yes");
                panic!("after the first half")
            }
            "wait" => state::get("never-answered").map(drop).map_err(|_| Error::Failed("answered".into())),
            "counts-and-waits" => {
                let place = format!("tries/{key}");
                let tries = kept(&place)?.and_then(|tries| tries.parse().ok()).unwrap_or(0_u32);
                keep(&place, &(tries + 1).to_string())?;
                while kept("go")?.is_none() {
                    for turn in 0..200_000 {
                        black_box(turn);
                    }
                }
                Ok(())
            }
            "used-before" => {
                // SAFETY: there is one thread.
                let used = unsafe {
                    USED += 1;
                    USED
                };
                if used == 1 { Ok(()) } else { Err(Error::Failed(format!("used {used} times"))) }
            }
            "file" => match std::fs::read("/etc/passwd") {
                Ok(_) => Err(Error::Failed("read it".into())),
                Err(error) => Err(Error::Refused(error.to_string())),
            },
            other => Err(Error::Invalid(InvalidField { name: "name".into(), expected: format!("not {other}") })),
        }
    }

    fn rename_database(_: Hosting, _: String, name: String, new_name: String) -> Result<(), Error> {
        keep(&name, &new_name)
    }

    fn delete_database(_: Hosting, _: String, name: String) -> Result<(), Error> {
        state::remove(&name).map_err(refused)
    }

    fn list_users(hosting: Hosting) -> Result<Vec<User>, Error> {
        // More than may be handed over at once.
        let grant = Grant { database: format!("{}shop", hosting.db_prefix), privileges: vec![Privilege::Select] };
        Ok((0..200_000).map(|n| User { name: format!("user {n}"), grants: vec![grant.clone()] }).collect())
    }

    fn create_user(_: Hosting, _: String, _: String, _: String) -> Result<(), Error> {
        Ok(())
    }

    fn set_password(_: Hosting, _: String, _: String, _: String) -> Result<(), Error> {
        Ok(())
    }

    fn delete_user(_: Hosting, _: String, _: String) -> Result<(), Error> {
        Ok(())
    }

    fn set_grant(_: Hosting, _: String, _: String, _: String, _: Vec<Privilege>) -> Result<(), Error> {
        Ok(())
    }
}

impl logs::Guest for Hostile {
    /// What is kept under keys that begin so. Changes nothing, so it is not kept waiting by a change; but for `let go`.
    fn locate(_: Hosting, prefix: Option<String>) -> Result<Vec<Location>, Error> {
        let prefix = prefix.unwrap_or_default();
        if prefix == "let go" {
            keep("go", "yes")?;
        }
        let keys = state::keys(&prefix).map_err(refused)?;
        let told = keys.into_iter().map(|title| {
            let path = kept(&title)?.unwrap_or_default();
            Ok(Location { kind: Kind::Other, title, path })
        });
        told.collect()
    }
}

fn keep(key: &str, value: &str) -> Result<(), Error> {
    state::set(key, value.as_bytes()).map_err(refused)
}

fn kept(key: &str) -> Result<Option<String>, Error> {
    let value = state::get(key).map_err(refused)?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn refused(error: StateError) -> Error {
    match error {
        StateError::Denied(denial) => Error::Denied(denial.message),
        StateError::Invalid(expected) => Error::Invalid(InvalidField { name: "name".into(), expected }),
        StateError::Full => Error::Refused("there is no room for more".into()),
        StateError::Unavailable => {
            Error::Unavailable(Busy { message: "the state is out of reach".into(), retry_after_ms: None })
        }
    }
}

#[expect(unconditional_recursion, reason = "what it is for")]
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + depth
}

struct Thing;

impl things::Guest for Hostile {
    type Thing = Thing;
}

impl GuestThing for Thing {
    fn new() -> Self {
        Self
    }
}

export!(Hostile);
