//! Database users, who come from this node, and what they may do.

use std::collections::BTreeMap;

use latchkey_adapters::host::mysql::{Grant, Privilege, User};
use mysql_async::Row;
use sha1::{Digest as _, Sha1};

use super::privilege::{self, listed};
use super::{DatabaseError, DatabaseName, Server, Session, UserName, number, unknown};

impl Server {
    /// All whose names begin so, by name, with what they may do with databases that do, too.
    pub(crate) async fn list_users(&self, prefix: &str) -> Result<Vec<User>, DatabaseError> {
        let query = "SELECT User FROM mysql.user WHERE Host = 'localhost' AND BINARY LEFT(User, CHAR_LENGTH(?)) = ? ORDER BY User";
        let of_databases = grants_where("BINARY LEFT(User, CHAR_LENGTH(?)) = ?");
        let (names, rows): (Vec<String>, Vec<Row>) = self
            .work(async |session| {
                let names = session.rows(query, (prefix, prefix)).await?;
                Ok((names, session.rows(&of_databases, (prefix, prefix)).await?))
            })
            .await?;
        let mut users: BTreeMap<String, Vec<Grant>> = names.into_iter().map(|name| (name, Vec::new())).collect();
        for row in rows {
            let (user, grant) = granted(&row);
            if grant.database.starts_with(prefix)
                && let Some(grants) = users.get_mut(&user)
            {
                grants.push(grant);
            }
        }
        Ok(users.into_iter().map(|(name, grants)| User { name, grants }).collect())
    }

    /// Makes one who may do nothing yet.
    pub(crate) async fn create_user(&self, name: &UserName, password: &str) -> Result<(), DatabaseError> {
        let statement = format!("CREATE USER {} {}", name.account(), identified_by(password));
        let exists = |error| (error == number::CANNOT_USER).then_some(DatabaseError::AlreadyExists);
        self.work(async |session| session.does(statement, exists).await).await
    }

    /// Sets a password. Open connections stay.
    pub(crate) async fn set_password(&self, name: &UserName, password: &str) -> Result<(), DatabaseError> {
        let statement = format!("ALTER USER {} {}", name.account(), identified_by(password));
        self.work(async |session| session.does(statement, missing).await).await
    }

    /// Drops one and ends their connections.
    pub(crate) async fn drop_user(&self, name: &UserName) -> Result<(), DatabaseError> {
        self.work(async |session| {
            let dropped = session.does(format!("DROP USER {}", name.account()), missing).await;
            if matches!(dropped, Ok(()) | Err(DatabaseError::NotFound)) {
                end_connections(session, name).await?;
            }
            dropped
        })
        .await
    }

    /// Says what a user may do with a database, in place of what they might before.
    pub(crate) async fn set_grant(
        &self,
        user: &UserName,
        database: &DatabaseName,
        privileges: &[Privilege],
    ) -> Result<(), DatabaseError> {
        let mut privileges = privileges.to_vec();
        privileges.sort_unstable();
        privileges.dedup();
        let is_user = "SELECT 1 FROM mysql.user WHERE User = ? AND Host = 'localhost'";
        let is_database = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
        self.work(async |session| {
            for (query, name) in [(is_user, user.as_str()), (is_database, database.as_str())] {
                if !session.has(query, (name,)).await? {
                    return Err(DatabaseError::NotFound);
                }
            }
            let account = user.account();
            if privileges.is_empty() {
                return revoke_all(session, &account, database).await;
            }
            // First what is new, so that what stays is never missing; then what goes.
            let others: Vec<Privilege> =
                privilege::ALL.iter().copied().filter(|one| !privileges.contains(one)).collect();
            grant(session, &account, &privileges, database).await?;
            if others.is_empty() {
                return Ok(());
            }
            let revoke = format!("REVOKE {} ON `{}`.* FROM {account}", listed(&others), database.pattern());
            session.does(revoke, unknown).await
        })
        .await
    }

    /// Ends all connections of a user and says how many there were.
    pub(crate) async fn end_connections(&self, name: &UserName) -> Result<u32, DatabaseError> {
        self.work(async |session| end_connections(session, name).await).await
    }
}

/// Accounts with a grant on a database, as statements have them, with what they may do.
pub(super) async fn grants_on(
    session: &mut Session,
    database: &DatabaseName,
) -> Result<Vec<(String, Vec<Privilege>)>, DatabaseError> {
    let rows: Vec<Row> = session.rows(&grants_where("BINARY Db = ?"), (database.pattern(),)).await?;
    let of_account = |row: &Row| {
        let (user, grant) = granted(row);
        // A user that was made elsewhere may have any name; it stays inside of its quotes.
        let quoted = user.replace('\\', "\\\\").replace('\'', "''");
        (format!("'{quoted}'@'localhost'"), grant.privileges)
    };
    Ok(rows.iter().map(of_account).collect())
}

/// Adds to what an account may do with a database.
pub(super) async fn grant(
    session: &mut Session,
    account: &str,
    privileges: &[Privilege],
    database: &DatabaseName,
) -> Result<(), DatabaseError> {
    if privileges.is_empty() {
        return Ok(());
    }
    let statement = format!("GRANT {} ON `{}`.* TO {account}", listed(privileges), database.pattern());
    session.does(statement, unknown).await
}

/// Takes away all that an account may do with a database.
pub(super) async fn revoke_all(
    session: &mut Session,
    account: &str,
    database: &DatabaseName,
) -> Result<(), DatabaseError> {
    let statement = format!("REVOKE ALL PRIVILEGES ON `{}`.* FROM {account}", database.pattern());
    let nothing_there = |error| (error == number::NONEXISTING_GRANT).then_some(DatabaseError::NotFound);
    match session.does(statement, nothing_there).await {
        Err(DatabaseError::NotFound) => Ok(()),
        revoked => revoked,
    }
}

async fn end_connections(session: &mut Session, name: &UserName) -> Result<u32, DatabaseError> {
    let query = "SELECT ID FROM information_schema.PROCESSLIST WHERE BINARY USER = ?";
    let open: Vec<u64> = session.rows(query, (name.as_str(),)).await?;
    let gone = |error| (error == number::NO_SUCH_THREAD).then_some(DatabaseError::NotFound);
    let mut ended = 0;
    for id in open {
        match session.does(format!("KILL CONNECTION {id}"), gone).await {
            Ok(()) => ended += 1,
            Err(DatabaseError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ended)
}

/// Reads grants on databases of users who come from this node.
fn grants_where(condition: &str) -> String {
    let columns = privilege::ALL.iter().copied().map(privilege::column).collect::<Vec<_>>().join(", ");
    format!("SELECT User, Db, {columns} FROM mysql.db WHERE Host = 'localhost' AND {condition} ORDER BY Db")
}

fn granted(row: &Row) -> (String, Grant) {
    let text = |column: &str| row.get::<String, _>(column).unwrap_or_default();
    let privileges = privilege::ALL.iter().copied().filter(|one| text(privilege::column(*one)) == "Y").collect();
    (text("User"), Grant { database: text("Db").replace("\\_", "_"), privileges })
}

/// How a password is told: as the hash that the server keeps, so that no log of statements has it.
pub(super) fn identified_by(password: &str) -> String {
    let hash = Sha1::digest(Sha1::digest(password));
    let hash: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("IDENTIFIED WITH mysql_native_password AS '*{hash}'")
}

fn missing(error: u16) -> Option<DatabaseError> {
    (error == number::CANNOT_USER).then_some(DatabaseError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_as_its_hash() {
        // SELECT PASSWORD('it''s a "secret"') of MariaDB says the same; the trials sign in with one.
        let told = identified_by("password");
        assert_eq!(told, "IDENTIFIED WITH mysql_native_password AS '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'");
    }
}
