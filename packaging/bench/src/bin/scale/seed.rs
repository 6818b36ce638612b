//! 1,000 instances on 100 hostings and 10,000 shares of 5,000 persons, written where serve keeps them.
//!
//! Straight into the database: through the API each would wait for the disk and send a letter.

use std::path::Path;

use anyhow::{Context, Result};
use latchkey_access::{PrivilegeSet, Role};
use rusqlite::{Connection, params};
use serde_json::json;

const HOSTINGS: usize = 100;
const INSTANCES: usize = 1_000;
const SHARES: usize = 10_000;
const PERSONS: usize = 5_000;
const LONG_AGO_MS: i64 = 1_700_000_000_000;
const ROLES: [Role; 4] = [Role::ViewOnly, Role::ViewAndSso, Role::Developer, Role::FullAccess];

/// The id of a share.
pub(crate) fn share(number: usize) -> String {
    format!("{:016x}", number + 0x1000_0000)
}

/// The id of the instance that a share is of.
pub(crate) fn instance_of(share: usize) -> String {
    format!("instance-{}", share % INSTANCES)
}

fn person(number: usize) -> String {
    format!("{:016x}", number + 1)
}

fn owner(hosting: usize) -> String {
    person(PERSONS + hosting)
}

/// Fills the database of a serve that does not run.
pub(crate) fn fill(path: &Path) -> Result<()> {
    let mut connection = Connection::open(path).context("open the database")?;
    let all = connection.transaction().context("begin")?;
    for number in 0..PERSONS + HOSTINGS {
        all.prepare_cached("INSERT INTO people VALUES (?1, ?2, NULL)")?
            .execute(params![person(number), format!("person-{number}@example.org")])?;
    }
    for number in 0..HOSTINGS {
        all.prepare_cached(
            "INSERT INTO hostings (id, system_user, uid, home, db_prefix, owners, adapters, state, php, web, log_paths)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, '[]', 'active', ?7, ?8, '[]')",
        )?
        .execute(params![
            format!("hosting-{number}"),
            format!("user{number}"),
            20_000 + number,
            format!("/home/user{number}"),
            format!("user{number}_"),
            json!([owner(number)]).to_string(),
            json!({"binary": "/usr/bin/php8.2"}).to_string(),
            json!({"kind": "nginx", "sso": "location"}).to_string(),
        ])?;
    }
    for number in 0..INSTANCES {
        let hosting = number % HOSTINGS;
        all.prepare_cached(
            "INSERT INTO instances (id, hosting, docroot, url, label, database_name, owners) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            instance_of(number),
            format!("hosting-{hosting}"),
            format!("/home/user{hosting}/sites/site-{number}"),
            format!("https://site-{number}.example"),
            format!("The site with number {number}"),
            format!("user{hosting}_wp{number}"),
            json!([owner(hosting)]).to_string(),
        ])?;
    }
    for number in 0..SHARES {
        insert_share(&all, number)?;
    }
    all.commit().context("commit")
}

fn insert_share(connection: &Connection, number: usize) -> Result<()> {
    // A person has two shares, five instances apart: never two of one instance.
    let role = ROLES.get(number % ROLES.len()).copied().unwrap_or(Role::ViewOnly);
    let privileges: PrivilegeSet = role.privileges();
    connection
        .prepare_cached(
            "INSERT INTO shares (id, person, instance, role, privileges, log_in_as, file_access, expires_at_ms, state, granted_by,
             apply_to_staging, follows, generation, note, created_at_ms, accepted_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'active', ?9, 0, 0, 2, ?10, ?11, ?11)",
        )?
        .execute(params![
            share(number),
            person((number + number / PERSONS * 5) % PERSONS),
            instance_of(number),
            role.id(),
            json!(privileges).to_string(),
            (role != Role::ViewOnly).then(|| json!({"id": 2, "login": "editor"}).to_string()),
            json!({"kind": "none", "path": "", "read_only": false}).to_string(),
            number.is_multiple_of(3).then_some(LONG_AGO_MS * 2),
            json!({"owner": owner(number % INSTANCES % HOSTINGS)}).to_string(),
            number.is_multiple_of(5).then_some("Please look at the front page."),
            LONG_AGO_MS,
        ])?;
    Ok(())
}
