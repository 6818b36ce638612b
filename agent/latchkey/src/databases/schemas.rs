//! Databases.

use latchkey_adapters::host::mysql::Database;

use super::{DatabaseError, DatabaseName, Server, Session, number, unknown, users};

/// What keeps a database from being renamed: it cannot be moved, or would go on speaking of the old name.
const UNMOVABLE: [(&str, &str); 4] = [
    ("views", "SELECT 1 FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? LIMIT 1"),
    ("triggers", "SELECT 1 FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? LIMIT 1"),
    ("events", "SELECT 1 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? LIMIT 1"),
    ("routines", "SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? LIMIT 1"),
];

impl Server {
    /// All whose names begin so, by name.
    pub(crate) async fn list_databases(&self, prefix: &str) -> Result<Vec<Database>, DatabaseError> {
        let query = "SELECT s.SCHEMA_NAME, CAST(COALESCE(SUM(t.DATA_LENGTH + t.INDEX_LENGTH), 0) AS UNSIGNED), COUNT(t.TABLE_NAME)
            FROM information_schema.SCHEMATA s LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME
            WHERE BINARY LEFT(s.SCHEMA_NAME, CHAR_LENGTH(?)) = ? GROUP BY s.SCHEMA_NAME ORDER BY s.SCHEMA_NAME";
        let found: Vec<(String, u64, u32)> =
            self.work(async |session| session.rows(query, (prefix, prefix)).await).await?;
        Ok(found.into_iter().map(|(name, size, tables)| Database { name, size, tables }).collect())
    }

    /// Makes an empty one.
    pub(crate) async fn create_database(&self, name: &DatabaseName) -> Result<(), DatabaseError> {
        let statement = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", name.quoted());
        self.work(async |session| session.does(statement, exists).await).await
    }

    /// Drops one with all that is in it, and what users might do with it.
    pub(crate) async fn drop_database(&self, name: &DatabaseName) -> Result<(), DatabaseError> {
        let statement = format!("DROP DATABASE {}", name.quoted());
        self.work(async |session| {
            let dropped = session.does(statement, missing).await;
            if matches!(dropped, Ok(()) | Err(DatabaseError::NotFound)) {
                // Who had a grant would have it again on the next database of this name.
                for (account, _) in users::grants_on(session, name).await? {
                    users::revoke_all(session, &account, name).await?;
                }
            }
            dropped
        })
        .await
    }

    /// Moves all tables into a new one and drops the old one; grants go along. One that was cut off goes on.
    pub(crate) async fn rename_database(&self, old: &DatabaseName, new: &DatabaseName) -> Result<(), DatabaseError> {
        // What a half-done one is known by.
        let mark = format!("latchkey: renamed from {old}");
        self.work(async |session| {
            let is_begun = is_marked(session, new, &mark).await?;
            let Some((characters, collation)) = defaults(session, old).await? else {
                return if is_begun { unmark(session, new).await } else { Err(DatabaseError::NotFound) };
            };
            for (what, query) in UNMOVABLE {
                if session.has(query, (old.as_str(),)).await? {
                    return Err(DatabaseError::Refused(format!("{old} has {what}, which cannot be moved")));
                }
            }
            if !is_begun {
                let name = new.quoted();
                let create =
                    format!("CREATE DATABASE {name} CHARACTER SET {characters} COLLATE {collation} COMMENT '{mark}'");
                session.does(create, exists).await?;
            }
            move_all(session, (old, new)).await?;
            for (account, privileges) in users::grants_on(session, old).await? {
                users::grant(session, &account, &privileges, new).await?;
                users::revoke_all(session, &account, old).await?;
            }
            session.does(format!("DROP DATABASE {}", old.quoted()), unknown).await?;
            unmark(session, new).await
        })
        .await
    }
}

async fn is_marked(session: &mut Session, name: &DatabaseName, mark: &str) -> Result<bool, DatabaseError> {
    let query = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ? AND SCHEMA_COMMENT = ?";
    session.has(query, (name.as_str(), mark)).await
}

async fn unmark(session: &mut Session, name: &DatabaseName) -> Result<(), DatabaseError> {
    session.does(format!("ALTER DATABASE {} COMMENT ''", name.quoted()), unknown).await
}

/// The character set and the collation of tables made in it; `None` if it is not there.
async fn defaults(session: &mut Session, name: &DatabaseName) -> Result<Option<(String, String)>, DatabaseError> {
    let query = "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
    Ok(session.rows(query, (name.as_str(),)).await?.pop())
}

/// All in one statement, which the server does as a whole.
async fn move_all(session: &mut Session, (from, to): (&DatabaseName, &DatabaseName)) -> Result<(), DatabaseError> {
    let query = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?";
    let tables: Vec<String> = session.rows(query, (from.as_str(),)).await?;
    if tables.is_empty() {
        return Ok(());
    }
    // Tables are named by the site: whatever their names hold stays inside of them.
    let moves = tables.iter().map(|table| {
        let table = table.replace('`', "``");
        format!("{}.`{table}` TO {}.`{table}`", from.quoted(), to.quoted())
    });
    let statement = format!("RENAME TABLE {}", moves.collect::<Vec<_>>().join(", "));
    session.does(statement, unknown).await
}

fn exists(error: u16) -> Option<DatabaseError> {
    (error == number::DB_CREATE_EXISTS).then_some(DatabaseError::AlreadyExists)
}

fn missing(error: u16) -> Option<DatabaseError> {
    matches!(error, number::DB_DROP_EXISTS | number::BAD_DB).then_some(DatabaseError::NotFound)
}
