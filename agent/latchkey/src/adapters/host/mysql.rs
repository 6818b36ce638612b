//! `mysql`: the hosting's databases and their users on the node's own MariaDB.

use latchkey_adapters::host::mysql::{Database, MysqlError, Privilege, User};

use super::Host;
use crate::adapters::rights::Use;
use crate::databases::{DatabaseError, DatabaseName, NameError, Server, UserName};
use crate::problem::chain;

impl Host {
    pub(super) async fn list_databases(&self) -> Result<Vec<Database>, MysqlError> {
        self.in_time(self.server()?.list_databases(&self.hosting.db_prefix)).await
    }

    pub(super) async fn create_database(&self, name: String) -> Result<(), MysqlError> {
        self.in_time(self.server()?.create_database(&self.database("name", &name)?)).await
    }

    pub(super) async fn rename_database(&self, name: String, new_name: String) -> Result<(), MysqlError> {
        let (old, new) = (self.database("name", &name)?, self.database("new-name", &new_name)?);
        self.in_time(self.server()?.rename_database(&old, &new)).await
    }

    pub(super) async fn drop_database(&self, name: String) -> Result<(), MysqlError> {
        self.in_time(self.server()?.drop_database(&self.database("name", &name)?)).await
    }

    pub(super) async fn list_database_users(&self) -> Result<Vec<User>, MysqlError> {
        self.in_time(self.server()?.list_users(&self.hosting.db_prefix)).await
    }

    pub(super) async fn create_database_user(&self, name: String, password: String) -> Result<(), MysqlError> {
        self.in_time(self.server()?.create_user(&self.user("name", &name)?, self.password(&password)?)).await
    }

    pub(super) async fn set_database_password(&self, name: String, password: String) -> Result<(), MysqlError> {
        self.in_time(self.server()?.set_password(&self.user("name", &name)?, self.password(&password)?)).await
    }

    pub(super) async fn drop_database_user(&self, name: String) -> Result<(), MysqlError> {
        self.in_time(self.server()?.drop_user(&self.user("name", &name)?)).await
    }

    pub(super) async fn set_database_grant(
        &self,
        user: String,
        database: String,
        privileges: Vec<Privilege>,
    ) -> Result<(), MysqlError> {
        let (user, database) = (self.user("user", &user)?, self.database("database", &database)?);
        self.in_time(self.server()?.set_grant(&user, &database, &privileges)).await
    }

    pub(super) async fn end_database_connections(&self, user: String) -> Result<u32, MysqlError> {
        self.in_time(self.server()?.end_connections(&self.user("user", &user)?)).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, MysqlError> {
        let done = tokio::time::timeout_at(self.last_moment(), work).await;
        Ok(done.unwrap_or(Err(DatabaseError::Silent))?)
    }

    fn server(&self) -> Result<&Server, MysqlError> {
        self.check(Use::Mysql).map_err(MysqlError::Denied)?;
        Ok(&self.serve.databases)
    }

    fn database(&self, parameter: &str, name: &str) -> Result<DatabaseName, MysqlError> {
        DatabaseName::new(&self.hosting.db_prefix, name).map_err(invalid(parameter))
    }

    fn user(&self, parameter: &str, name: &str) -> Result<UserName, MysqlError> {
        UserName::new(&self.hosting.db_prefix, name).map_err(invalid(parameter))
    }

    fn password(&self, name: &str) -> Result<&str, MysqlError> {
        let missing = || format!("password: {name:?}: expected the name of a secret of this call");
        self.secret(name).map(super::Secret::reveal).ok_or_else(|| MysqlError::Invalid(missing()))
    }
}

fn invalid(parameter: &str) -> impl FnOnce(NameError) -> MysqlError {
    move |error| MysqlError::Invalid(format!("{parameter}: {error}"))
}

impl From<DatabaseError> for MysqlError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::NotFound => Self::NotFound,
            DatabaseError::AlreadyExists => Self::AlreadyExists,
            DatabaseError::Refused(_) | DatabaseError::Server(_) => Self::Refused(error.to_string()),
            DatabaseError::NotSetUp | DatabaseError::Unreachable(_) | DatabaseError::Silent => {
                tracing::error!(error = %chain(&error), "the database server is out of reach");
                Self::Unavailable(error.to_string())
            }
        }
    }
}
