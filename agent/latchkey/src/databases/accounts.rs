//! Temporary accounts: for one database, and without what would live on when they are dropped.

use latchkey_adapters::host::mysql::Privilege;

use super::name::TEMPORARY;
use super::users::{grant, identified_by};
use super::{DatabaseError, DatabaseName, Server, UserName, number};

/// So many connections at a time.
const MOST_CONNECTIONS: u32 = 10;

/// No views, triggers, events and routines: they would be defined by an account that is gone, and run on as it.
const MAY: [Privilege; 11] = [
    Privilege::Select,
    Privilege::Insert,
    Privilege::Update,
    Privilege::Delete,
    Privilege::Create,
    Privilege::Drop,
    Privilege::Alter,
    Privilege::Index,
    Privilege::References,
    Privilege::CreateTemporaryTables,
    Privilege::LockTables,
];

impl Server {
    /// Makes an account for one database, which has to be there. Where it fails the account may be there, too.
    pub(crate) async fn open_account(
        &self,
        name: &UserName,
        password: &str,
        database: &DatabaseName,
    ) -> Result<(), DatabaseError> {
        let account = name.account();
        let create =
            format!("CREATE USER {account} {} WITH MAX_USER_CONNECTIONS {MOST_CONNECTIONS}", identified_by(password));
        let exists = |error| (error == number::CANNOT_USER).then_some(DatabaseError::AlreadyExists);
        self.work(async |session| {
            let is_database = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
            if !session.has(is_database, (database.as_str(),)).await? {
                return Err(DatabaseError::NotFound);
            }
            session.does(create, exists).await?;
            grant(session, &account, &MAY, database).await
        })
        .await
    }

    /// All temporary accounts that there are, whoever knows them.
    pub(crate) async fn temporary_accounts(&self) -> Result<Vec<UserName>, DatabaseError> {
        let query = "SELECT User FROM mysql.user WHERE Host = 'localhost' AND BINARY LEFT(User, CHAR_LENGTH(?)) = ?";
        let found: Vec<String> = self.work(async |session| session.rows(query, (TEMPORARY, TEMPORARY)).await).await?;
        Ok(found.iter().filter_map(|name| UserName::of_temporary(name)).collect())
    }
}
