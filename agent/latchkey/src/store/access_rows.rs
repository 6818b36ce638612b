//! People, hostings, instances and shares as rows.

use std::collections::HashMap;

use latchkey_access::{
    AccessTable, FileAccess, Hosting, HostingId, HostingState, Instance, LogInAs, Person, PrivilegeSet, Role, Share,
    ShareState, Terms,
};
use rusqlite::{Connection, Row, params};

use super::{StoreError, from_json, json, moment, ms, parsed};

/// Loads everything that decisions are made from.
pub(crate) fn load(connection: &Connection) -> Result<AccessTable, StoreError> {
    let people = rows(connection, "SELECT id, email, name FROM people", person)?;
    let hostings = rows(connection, "SELECT * FROM hostings", hosting)?;
    let instances = rows(connection, "SELECT * FROM instances", instance)?;
    let shares = rows(connection, "SELECT * FROM shares", share)?;
    Ok(AccessTable::from_rows(people, hostings, instances, shares))
}

/// The uid that the broker found for each hosting.
pub(crate) fn load_uids(connection: &Connection) -> Result<Vec<(String, u32)>, StoreError> {
    rows(connection, "SELECT id, uid FROM hostings", |row| Ok((text(row, "id")?, column(row, "uid")?)))
}

fn rows<T>(
    connection: &Connection,
    query: &str,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection.prepare(query).map_err(failed("read the access table"))?;
    let mut found = statement.query([]).map_err(failed("read the access table"))?;
    let mut list = Vec::new();
    while let Some(row) = found.next().map_err(failed("read the access table"))? {
        list.push(read(row)?);
    }
    Ok(list)
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> Result<T, StoreError> {
    row.get(name).map_err(StoreError::at("read a column of the access table"))
}

fn text(row: &Row<'_>, name: &str) -> Result<String, StoreError> {
    column(row, name)
}

fn person(row: &Row<'_>) -> Result<Person, StoreError> {
    Ok(Person {
        id: parsed("person id", &text(row, "id")?)?,
        email: parsed("email", &text(row, "email")?)?,
        name: column(row, "name")?,
    })
}

fn hosting(row: &Row<'_>) -> Result<Hosting, StoreError> {
    let state = text(row, "state")?;
    Ok(Hosting {
        id: parsed("hosting id", &text(row, "id")?)?,
        system_user: column(row, "system_user")?,
        home: column(row, "home")?,
        db_prefix: column(row, "db_prefix")?,
        owners: from_json("list of owners", &text(row, "owners")?)?,
        adapters: from_json("list of adapters", &text(row, "adapters")?)?,
        state: match state.as_str() {
            "active" => HostingState::Active,
            "suspended" => HostingState::Suspended,
            _ => return Err(StoreError::Malformed { what: "hosting state", text: state }),
        },
        php: from_json("PHP setting", &text(row, "php")?)?,
        web: from_json("web setting", &text(row, "web")?)?,
        log_paths: from_json("list of logs", &text(row, "log_paths")?)?,
    })
}

fn instance(row: &Row<'_>) -> Result<Instance, StoreError> {
    let staging_of: Option<String> = column(row, "staging_of")?;
    Ok(Instance {
        id: parsed("instance id", &text(row, "id")?)?,
        hosting: parsed("hosting id", &text(row, "hosting")?)?,
        docroot: column(row, "docroot")?,
        url: column(row, "url")?,
        label: column(row, "label")?,
        database: column(row, "database_name")?,
        owners: from_json("list of owners", &text(row, "owners")?)?,
        staging_of: staging_of.map(|id| parsed("instance id", &id)).transpose()?,
    })
}

fn share(row: &Row<'_>) -> Result<Share, StoreError> {
    let (role, state) = (text(row, "role")?, text(row, "state")?);
    let log_in_as: Option<String> = column(row, "log_in_as")?;
    let privileges: PrivilegeSet = from_json("set of privileges", &text(row, "privileges")?)?;
    let file_access: FileAccess = from_json("file access", &text(row, "file_access")?)?;
    let linked_to: Option<String> = column(row, "linked_to")?;
    Ok(Share {
        id: parsed("share id", &text(row, "id")?)?,
        person: parsed("person id", &text(row, "person")?)?,
        instance: parsed("instance id", &text(row, "instance")?)?,
        terms: Terms {
            role: Role::from_id(&role).ok_or(StoreError::Malformed { what: "role", text: role })?,
            privileges,
            log_in_as: log_in_as.map(|text| from_json::<LogInAs>("log in as", &text)).transpose()?,
            file_access,
            expires_at: column::<Option<i64>>(row, "expires_at_ms")?.map(moment),
        },
        state: share_state(&state).ok_or(StoreError::Malformed { what: "share state", text: state })?,
        granted_by: from_json("grantor", &text(row, "granted_by")?)?,
        apply_to_staging: column(row, "apply_to_staging")?,
        linked_to: linked_to.map(|id| parsed("share id", &id)).transpose()?,
        follows: column(row, "follows")?,
        generation: column(row, "generation")?,
        note: column(row, "note")?,
        created_at: moment(column(row, "created_at_ms")?),
        accepted_at: column::<Option<i64>>(row, "accepted_at_ms")?.map(moment),
        pinned_is_administrator: column(row, "pinned_is_administrator")?,
        log_in_as_mismatch: column(row, "log_in_as_mismatch")?,
    })
}

fn share_state(text: &str) -> Option<ShareState> {
    use ShareState::{Active, Expired, Pending, Revoked, Suspended};
    [Pending, Active, Suspended, Expired, Revoked].into_iter().find(|state| state.as_str() == text)
}

/// Writes a person.
pub(crate) fn save_person(connection: &Connection, person: &Person) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO people (id, email, name) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET email = ?2, name = ?3",
            params![person.id.to_string(), person.email.as_str(), person.name],
        )
        .map(drop)
        .map_err(StoreError::at("write a person"))
}

/// Writes a hosting and the uid that the broker found for it.
pub(crate) fn save_hosting(connection: &Connection, hosting: &Hosting, uid: u32) -> Result<(), StoreError> {
    let state = match hosting.state {
        HostingState::Active => "active",
        HostingState::Suspended => "suspended",
    };
    connection
        .execute(
            "INSERT INTO hostings (id, system_user, uid, home, db_prefix, owners, adapters, state, php, web, log_paths)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET system_user = ?2, uid = ?3, home = ?4, db_prefix = ?5, owners = ?6,
             adapters = ?7, state = ?8, php = ?9, web = ?10, log_paths = ?11",
            params![
                hosting.id.as_str(),
                hosting.system_user,
                uid,
                hosting.home,
                hosting.db_prefix,
                json(&hosting.owners)?,
                json(&hosting.adapters)?,
                state,
                json(&hosting.php)?,
                json(&hosting.web)?,
                json(&hosting.log_paths)?,
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a hosting"))
}

/// Removes a hosting.
pub(crate) fn delete_hosting(connection: &Connection, id: &str) -> Result<(), StoreError> {
    super::adapter_state::forget_hosting(connection, id)?;
    super::cron_entries::forget_hosting(connection, id)?;
    connection.execute("DELETE FROM hostings WHERE id = ?1", [id]).map(drop).map_err(StoreError::at("remove a hosting"))
}

/// Writes an instance.
pub(crate) fn save_instance(connection: &Connection, instance: &Instance) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO instances (id, hosting, docroot, url, label, database_name, owners, staging_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET hosting = ?2, docroot = ?3, url = ?4, label = ?5, database_name = ?6,
             owners = ?7, staging_of = ?8",
            params![
                instance.id.as_str(),
                instance.hosting.as_str(),
                instance.docroot,
                instance.url,
                instance.label,
                instance.database,
                json(&instance.owners)?,
                instance.staging_of.as_ref().map(latchkey_access::InstanceId::as_str),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write an instance"))
}

/// Removes an instance.
pub(crate) fn delete_instance(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM instances WHERE id = ?1", [id])
        .map(drop)
        .map_err(StoreError::at("remove an instance"))
}

/// Puts other people, hostings and instances in the place of those that are there.
pub(crate) fn replace_registrations(
    connection: &Connection,
    table: &AccessTable,
    uids: &HashMap<HostingId, u32>,
) -> Result<(), StoreError> {
    // Shares name people: whether each is there is looked at when all are.
    connection
        .execute_batch(
            "PRAGMA defer_foreign_keys = ON; DELETE FROM instances; DELETE FROM hostings; DELETE FROM people;",
        )
        .map_err(StoreError::at("replace people, hostings and instances"))?;
    table.people().try_for_each(|person| save_person(connection, person))?;
    for hosting in table.hostings() {
        let uid = uids.get(&hosting.id).ok_or(StoreError::Malformed { what: "uid", text: String::new() })?;
        save_hosting(connection, hosting, *uid)?;
    }
    table.instances().try_for_each(|instance| save_instance(connection, instance))
}

/// Writes a share.
pub(crate) fn save_share(connection: &Connection, share: &Share) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached(
            "INSERT INTO shares (id, person, instance, role, privileges, log_in_as, file_access, expires_at_ms, state,
             granted_by, apply_to_staging, linked_to, follows, generation, note, created_at_ms, accepted_at_ms,
             pinned_is_administrator, log_in_as_mismatch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
             ON CONFLICT (id) DO UPDATE SET role = ?4, privileges = ?5, log_in_as = ?6, file_access = ?7,
             expires_at_ms = ?8, state = ?9, granted_by = ?10, apply_to_staging = ?11, linked_to = ?12, follows = ?13,
             generation = ?14, note = ?15, accepted_at_ms = ?17, pinned_is_administrator = ?18, log_in_as_mismatch = ?19,
             expiry_announced = expiry_announced AND expires_at_ms IS ?8",
        )
        .map_err(StoreError::at("write a share"))?;
    let terms = &share.terms;
    statement
        .execute(params![
            share.id.to_string(),
            share.person.to_string(),
            share.instance.as_str(),
            terms.role.id(),
            json(&terms.privileges)?,
            terms.log_in_as.as_ref().map(json).transpose()?,
            json(&terms.file_access)?,
            terms.expires_at.map(ms),
            share.state.as_str(),
            json(&share.granted_by)?,
            share.apply_to_staging,
            share.linked_to.map(|id| id.to_string()),
            share.follows,
            share.generation,
            share.note,
            ms(share.created_at),
            share.accepted_at.map(ms),
            share.pinned_is_administrator,
            share.log_in_as_mismatch,
        ])
        .map(drop)
        .map_err(StoreError::at("write a share"))
}

/// Shares whose end was announced already.
pub(crate) fn mark_expiry_announced(connection: &Connection, share: &str) -> Result<bool, StoreError> {
    connection
        .execute("UPDATE shares SET expiry_announced = 1 WHERE id = ?1 AND expiry_announced = 0", [share])
        .map(|changed| changed == 1)
        .map_err(StoreError::at("note that an end was announced"))
}
