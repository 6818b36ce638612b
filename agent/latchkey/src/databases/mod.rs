//! The node's own MariaDB: databases and users of hostings, in statements that are written here and nowhere else.
//!
//! Each piece of work has a connection of its own, as the account that the operator made for the agent. Names are checked
//! before they get here ([`DatabaseName`], [`UserName`]); passwords go there as hashes. All of it may be repeated.

mod accounts;
mod name;
mod privilege;
mod schemas;
mod users;
mod uses;

use std::path::PathBuf;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, OptsBuilder, Params};
use serde::Deserialize;

pub(crate) use name::{DatabaseName, NameError, TEMPORARY, UserName};
pub(crate) use uses::{instances_on, refuse_accident};

/// One piece of work, its connection included, has so long.
const WITHIN: Duration = Duration::from_secs(20);

/// The end of a connection has so long.
const GOODBYE: Duration = Duration::from_millis(200);

/// Where the server is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its socket.
    pub(crate) socket: PathBuf,
    /// The account of the agent, which signs in by its user id.
    #[serde(default = "user")]
    pub(crate) user: String,
}

fn user() -> String {
    "latchkey".to_owned()
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    settings: Option<Settings>,
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// What is to be changed is not there.
    #[error("it is not there")]
    NotFound,
    /// What is to be made is there.
    #[error("it is there already")]
    AlreadyExists,
    /// It is not done, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The server says no.
    #[error("the database server refuses: {0}")]
    Server(String),
    /// The operator has named none.
    #[error("no database server is set up for the agent: latchkey.toml has no [mysql]")]
    NotSetUp,
    /// It cannot be reached, or the connection broke.
    #[error("the database server cannot be reached")]
    Unreachable(#[source] mysql_async::Error),
    /// It did not answer in time.
    #[error("the database server did not answer in time")]
    Silent,
}

/// Errors of the server that mean something here, by their numbers.
mod number {
    /// Database exists.
    pub(super) const DB_CREATE_EXISTS: u16 = 1007;
    /// Database is not there.
    pub(super) const DB_DROP_EXISTS: u16 = 1008;
    /// Unknown database.
    pub(super) const BAD_DB: u16 = 1049;
    /// There is no such grant.
    pub(super) const NONEXISTING_GRANT: u16 = 1141;
    /// There is no such connection (any more).
    pub(super) const NO_SUCH_THREAD: u16 = 1094;
    /// A user is there, or is not.
    pub(super) const CANNOT_USER: u16 = 1396;
}

impl Server {
    /// The one that the operator has set up, if any.
    pub(crate) fn new(settings: Option<Settings>) -> Self {
        Self { settings }
    }

    /// Does a piece of work over a connection of its own.
    async fn work<T>(
        &self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let settings = self.settings.as_ref().ok_or(DatabaseError::NotSetUp)?;
        let options = OptsBuilder::default().socket(settings.socket.to_str()).user(Some(&settings.user));
        let connected = async {
            let mut session = Session(Conn::new(options).await?);
            let done = work(&mut session).await;
            Ok::<_, DatabaseError>((session, done))
        };
        let (session, done) = tokio::time::timeout(WITHIN, connected).await.unwrap_or(Err(DatabaseError::Silent))?;
        // What was done is done, however the goodbye ends.
        drop(tokio::time::timeout(GOODBYE, session.0.disconnect()).await);
        done
    }
}

/// A connection.
struct Session(Conn);

impl Session {
    /// Rows of a query; values are bound, never written into it.
    async fn rows<T: FromRow + Send + 'static>(
        &mut self,
        query: &str,
        values: impl Into<Params> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        Ok(self.0.exec(query, values).await?)
    }

    /// Whether a query has rows.
    async fn has(&mut self, query: &str, values: impl Into<Params> + Send) -> Result<bool, DatabaseError> {
        let rows: Vec<mysql_async::Row> = self.rows(query, values).await?;
        Ok(!rows.is_empty())
    }

    /// Does a statement that has only checked names in it; `known` says what errors mean.
    async fn does(
        &mut self,
        statement: String,
        known: impl Fn(u16) -> Option<DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let done = self.0.query_drop(statement).await;
        done.map_err(|error| match &error {
            mysql_async::Error::Server(refused) => known(refused.code).unwrap_or_else(|| error.into()),
            _ => error.into(),
        })
    }
}

/// No error means anything here.
fn unknown(_number: u16) -> Option<DatabaseError> {
    None
}

impl From<mysql_async::Error> for DatabaseError {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(refused) => Self::Server(refused.message),
            error => Self::Unreachable(error),
        }
    }
}
