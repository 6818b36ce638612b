//! An adapter, small and whole: what it knows of the hosting's account, and databases on a platform that is played.
//!
//! Each call gets a fresh instance: nothing in memory outlives it.

mod platform;
#[cfg(test)]
mod tests;

use sdk::accounts::Account;
use sdk::databases::Database;
use sdk::{Accounts, Databases, Error, Hosting, IdempotencyKey, Result, export, log};

struct Adapter;

// What the agent may ask of it. All other interfaces are no export of the component.
export!(Adapter: accounts, databases);

impl Accounts for Adapter {
    fn show(hosting: Hosting) -> Result<Account> {
        // The operator may have written one under [hostings.ID.settings].
        let primary_domain = hosting.setting("domain").map(str::to_owned);
        Ok(Account { name: hosting.system_user, primary_domain, suspended: false, disk_used: None, disk_limit: None })
    }
}

/// What is not written here answers *unsupported*.
impl Databases for Adapter {
    fn list_databases(_hosting: Hosting) -> Result<Vec<Database>> {
        let names = platform::names()?;
        Ok(names.into_iter().map(|name| Database { name, size: None, tables: None }).collect())
    }

    fn create_database(_hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        match platform::made_by(&name)? {
            // The agent repeats this very call: it was done already.
            Some(made_by) if made_by == key => return Ok(()),
            Some(_) => {
                return Err(Error::already_exists(format!("there is a database {name} already")));
            }
            None => platform::create(&name, &key)?,
        }
        // What a platform says it did, and what it did, are two things.
        if platform::made_by(&name)?.as_ref() != Some(&key) {
            return Err(Error::uncertain(format!("the platform does not list the new database {name}")));
        }
        log::info(format_args!("made the database {name}"));
        Ok(())
    }

    fn delete_database(_hosting: Hosting, key: IdempotencyKey, name: String) -> Result<()> {
        match platform::made_by(&name)? {
            Some(_) => platform::remove(&name, &key)?,
            None if platform::last_removed_by()?.as_ref() == Some(&key) => return Ok(()),
            None => return Err(Error::not_found(format!("there is no database {name}"))),
        }
        log::info(format_args!("deleted the database {name}"));
        Ok(())
    }
}
