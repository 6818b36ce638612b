//! File accounts as rows.

use latchkey_access::{FileProtocol, HostingId, ShareId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::hand_overs::{actor_from, actor_text};
use super::{StoreError, from_json, json, moment, ms, parsed};
use crate::accounts::{Account, AccountOf, AuthorizedKey, OfHosting, QuotaMib};

const COLUMNS: &str = "SELECT login, share, of_hosting, keys, password_hash, generation, made_at_ms FROM file_accounts";

/// An account of a hosting as it is kept.
#[derive(Serialize, Deserialize)]
struct OfHostingColumn {
    hosting: String,
    protocol: String,
    directory: String,
    read_only: bool,
    #[serde(default)]
    quota_mib: Option<QuotaMib>,
    made_by: String,
    through: Option<String>,
}

type Columns = (String, Option<String>, Option<String>, String, Option<String>, u64, i64);

fn account(columns: Columns) -> Result<Account, StoreError> {
    let (login, share, of_hosting, keys, password_hash, generation, made_at) = columns;
    let of = match (share, of_hosting) {
        (Some(share), _) => AccountOf::Share(parsed("share id", &share)?),
        (None, of_hosting) => AccountOf::Hosting(of_hosting_from(&of_hosting.unwrap_or_default())?),
    };
    let keys: Vec<AuthorizedKey> = from_json("list of keys", &keys)?;
    Ok(Account { login, of, keys, password_hash, generation, made_at: moment(made_at) })
}

fn of_hosting_from(text: &str) -> Result<OfHosting, StoreError> {
    let column: OfHostingColumn = from_json("account of a hosting", text)?;
    let malformed = || StoreError::Malformed { what: "protocol", text: column.protocol.clone() };
    Ok(OfHosting {
        hosting: parsed("hosting id", &column.hosting)?,
        protocol: [FileProtocol::Sftp, FileProtocol::Ftp]
            .into_iter()
            .find(|protocol| protocol.as_str() == column.protocol)
            .ok_or_else(malformed)?,
        directory: column.directory,
        read_only: column.read_only,
        quota: column.quota_mib,
        made_by: actor_from(&column.made_by)?,
        through: column.through.map(|share| parsed("share id", &share)).transpose()?,
    })
}

fn of_hosting_text(of: &OfHosting) -> Result<String, StoreError> {
    json(&OfHostingColumn {
        hosting: of.hosting.to_string(),
        protocol: of.protocol.as_str().to_owned(),
        directory: of.directory.clone(),
        read_only: of.read_only,
        quota_mib: of.quota,
        made_by: actor_text(&of.made_by),
        through: of.through.map(|share| share.to_string()),
    })
}

fn one(connection: &Connection, condition: &str, value: &str) -> Result<Option<Account>, StoreError> {
    let read = |row: &Row<'_>| Columns::try_from(row);
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE {condition} = ?1"))
        .and_then(|mut statement| statement.query_row([value], read).optional())
        .map_err(StoreError::at("look a file account up"))?
        .map(account)
        .transpose()
}

/// The account with this login.
pub(crate) fn find(connection: &Connection, login: &str) -> Result<Option<Account>, StoreError> {
    one(connection, "login", login)
}

/// The account of a share.
pub(crate) fn of_share(connection: &Connection, share: ShareId) -> Result<Option<Account>, StoreError> {
    one(connection, "share", &share.to_string())
}

/// The accounts of whole hostings, by login.
pub(crate) fn of_hostings(connection: &Connection) -> Result<Vec<(Account, OfHosting)>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare_cached(&format!("{COLUMNS} WHERE of_hosting IS NOT NULL ORDER BY login"))
        .map_err(failed("read the accounts of hostings"))?;
    let rows =
        statement.query_map([], |row| Columns::try_from(row)).map_err(failed("read the accounts of hostings"))?;
    let mut list = Vec::new();
    for row in rows {
        let account = account(row.map_err(StoreError::at("read the accounts of hostings"))?)?;
        if let AccountOf::Hosting(of) = account.of.clone() {
            list.push((account, of));
        }
    }
    Ok(list)
}

/// Writes an account, or what has changed of it.
pub(crate) fn save(connection: &Connection, account: &Account) -> Result<(), StoreError> {
    let (share, of_hosting) = match &account.of {
        AccountOf::Share(share) => (Some(share.to_string()), None),
        AccountOf::Hosting(of) => (None, Some(of_hosting_text(of)?)),
    };
    connection
        .execute(
            "INSERT INTO file_accounts (login, share, of_hosting, keys, password_hash, generation, made_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (login) DO UPDATE SET of_hosting = ?3, keys = ?4, password_hash = ?5, generation = ?6",
            params![
                account.login,
                share,
                of_hosting,
                json(&account.keys)?,
                account.password_hash,
                account.generation,
                ms(account.made_at),
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a file account"))
}

/// Removes an account.
pub(crate) fn delete(connection: &Connection, login: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM file_accounts WHERE login = ?1", [login])
        .map(drop)
        .map_err(StoreError::at("remove a file account"))
}

/// Removes the account of a share, if it has one.
pub(crate) fn delete_of_share(connection: &Connection, share: ShareId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM file_accounts WHERE share = ?1", [share.to_string()])
        .map(drop)
        .map_err(StoreError::at("remove the file account of a share"))
}

/// Removes the accounts of a hosting as a whole.
pub(crate) fn delete_of_hosting(connection: &Connection, hosting: &HostingId) -> Result<(), StoreError> {
    let gone = of_hostings(connection)?.into_iter().filter(|(_, of)| of.hosting == *hosting);
    gone.map(|(account, _)| account.login).try_for_each(|login| delete(connection, &login))
}

/// Takes every key and password away: what was replaced since a backup must not be good again.
pub(crate) fn forget_credentials(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute("UPDATE file_accounts SET keys = '[]', password_hash = NULL, generation = generation + 1", [])
        .map(drop)
        .map_err(StoreError::at("forget keys and passwords"))
}

/// Removes the accounts of shares that have ended.
pub(crate) fn forget_ended(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM file_accounts WHERE share IS NOT NULL
             AND share NOT IN (SELECT id FROM shares WHERE state IN ('active', 'suspended'))",
            [],
        )
        .map(drop)
        .map_err(StoreError::at("remove the accounts of shares that have ended"))
}
