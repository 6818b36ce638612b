//! `database_user.*` and `database_grant.set`: the hosting's database users, through the adapter that serves them.

use latchkey_access::Permit;
use latchkey_access::rows::{
    DatabaseGrantSet, DatabaseUserCreate, DatabaseUserDelete, DatabaseUserList, DatabaseUserSetPassword,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::{whole, without_prefix};
use super::{Context, Nothing, Run};
use crate::adapters::secret::{Secret, Secrets};
use crate::database_passwords;
use crate::databases::{DatabaseName, UserName, instances_on, refuse_accident};
use crate::problem::Problem;
use crate::store::shown_passwords::ShownPassword;

/// What may be done with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabasePrivilege {
    Select,
    Insert,
    Update,
    Delete,
    Create,
    Drop,
    Alter,
    Index,
    References,
    CreateTemporaryTables,
    LockTables,
    CreateView,
    ShowView,
    Trigger,
    Event,
    CreateRoutine,
    AlterRoutine,
    Execute,
}

/// What a user may do with one database.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GrantView {
    /// Its whole name.
    database: String,
    /// What.
    privileges: Vec<DatabasePrivilege>,
}

/// A database user.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DatabaseUserView {
    /// The whole name.
    name: String,
    /// What it may do, by database.
    grants: Vec<GrantView>,
    /// The instances on whose databases it may do anything: one of them may sign in as it.
    instances: Vec<String>,
}

/// Database users.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DatabaseUserItems {
    /// By name.
    items: Vec<DatabaseUserView>,
}

/// A user to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDatabaseUser {
    /// Of a-z, 0-9 and `_`, without the hosting's prefix, which the agent puts before it; 32 characters together.
    name: String,
}

/// A user with its password.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DatabasePassword {
    /// The whole name.
    name: String,
    /// The password, told this once.
    password: String,
}

/// A user that is to be changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichDatabaseUser {
    /// The whole name.
    name: String,
    /// The instances on whose databases it may do anything: they stop working if they sign in as it.
    #[serde(default)]
    instances: Vec<String>,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeletedDatabaseUser {}

/// What a user shall be able to do with a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrant {
    /// The user's whole name.
    user: String,
    /// The database's whole name.
    database: String,
    /// In place of what it might before; nothing if it is empty.
    privileges: Vec<DatabasePrivilege>,
    /// The instances that live on the database, if the user loses something on it: they stop working if they need it.
    #[serde(default)]
    instances: Vec<String>,
}

/// What a user can do with a database now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SetGrant {
    /// The user's whole name.
    user: String,
    /// What it may do with that database.
    grant: GrantView,
}

/// A user as an adapter lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    grants: Vec<ListedGrant>,
}

#[derive(Deserialize)]
struct ListedGrant {
    database: String,
    /// As the WIT writes them: `create-view`.
    privileges: Vec<String>,
}

impl Listed {
    fn databases(&self) -> impl Iterator<Item = &str> {
        self.grants.iter().map(|grant| grant.database.as_str())
    }
}

impl ListedGrant {
    /// What this version knows of it.
    fn privileges(&self) -> Vec<DatabasePrivilege> {
        let known = |word: &String| serde_json::from_value(Value::from(word.replace('-', "_"))).ok();
        self.privileges.iter().filter_map(known).collect()
    }
}

impl DatabasePrivilege {
    /// As the WIT writes it.
    fn for_adapter(self) -> Value {
        serde_json::to_value(self)
            .ok()
            .and_then(|word| Some(word.as_str()?.replace('_', "-").into()))
            .unwrap_or_default()
    }
}

impl Run for DatabaseUserList {
    type Input = Nothing;
    type Output = DatabaseUserItems;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<DatabaseUserItems, Problem> {
        let Nothing {} = input;
        let listed = context.list_users(&permit).await?;
        let table = context.serve.state.table();
        let grant =
            |grant: &ListedGrant| GrantView { database: grant.database.clone(), privileges: grant.privileges() };
        let view = |user: &Listed| DatabaseUserView {
            name: user.name.clone(),
            grants: user.grants.iter().map(grant).collect(),
            instances: instances_on(&table, user.databases()).iter().map(ToString::to_string).collect(),
        };
        Ok(DatabaseUserItems { items: listed.iter().map(view).collect() })
    }
}

impl Run for DatabaseUserCreate {
    type Input = NewDatabaseUser;
    type Output = DatabasePassword;
    const ANSWER_IS_SECRET: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: NewDatabaseUser) -> Result<DatabasePassword, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        let name = UserName::with_prefix(prefix, &input.name).map_err(without_prefix("name"))?;
        context.give_password(&permit, "create-user", &name).await
    }
}

impl Run for DatabaseUserSetPassword {
    type Input = WhichDatabaseUser;
    type Output = DatabasePassword;
    const ANSWER_IS_SECRET: bool = true;

    async fn run(
        context: &Context,
        permit: Permit<Self>,
        input: WhichDatabaseUser,
    ) -> Result<DatabasePassword, Problem> {
        let name = context.existing(&permit, &input).await?;
        context.give_password(&permit, "set-password", &name).await
    }
}

impl Run for DatabaseUserDelete {
    type Input = WhichDatabaseUser;
    type Output = DeletedDatabaseUser;

    async fn run(
        context: &Context,
        permit: Permit<Self>,
        input: WhichDatabaseUser,
    ) -> Result<DeletedDatabaseUser, Problem> {
        let hosting = &context.hosting(&permit)?.id;
        let _turn = context.serve.shown_passwords.turn(hosting).await;
        let name = context.existing(&permit, &input).await?;
        context.change_databases(&permit, "delete-user", json!({ "name": name.as_str() }), Secrets::default()).await?;
        database_passwords::forget(&context.serve, hosting, name.as_str()).await?;
        Ok(DeletedDatabaseUser {})
    }
}

impl Run for DatabaseGrantSet {
    type Input = NewGrant;
    type Output = SetGrant;

    async fn run(context: &Context, permit: Permit<Self>, input: NewGrant) -> Result<SetGrant, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        let user = UserName::new(prefix, &input.user).map_err(whole("user"))?;
        let database = DatabaseName::new(prefix, &input.database).map_err(whole("database"))?;
        let mut privileges = input.privileges;
        privileges.sort_unstable();
        privileges.dedup();
        let listed = context.list_users(&permit).await?;
        let grants = listed.iter().filter(|listed| listed.name == user.as_str()).flat_map(|listed| &listed.grants);
        let mut now = grants.filter(|grant| grant.database == database.as_str()).flat_map(ListedGrant::privileges);
        if now.any(|privilege| !privileges.contains(&privilege)) {
            let instances = instances_on(&context.serve.state.table(), [database.as_str()]);
            refuse_accident(database.as_str(), &instances, &input.instances)?;
        }
        let words: Vec<Value> = privileges.iter().map(|privilege| privilege.for_adapter()).collect();
        let grant = json!({ "user": user.as_str(), "database": database.as_str(), "privileges": words });
        context.change_databases(&permit, "set-grant", grant, Secrets::default()).await?;
        Ok(SetGrant { user: user.to_string(), grant: GrantView { database: database.to_string(), privileges } })
    }
}

/// What an adapter calls the one secret that it is handed.
const PASSWORD: &str = "password";

impl Context {
    async fn list_users<O: Run>(&self, permit: &Permit<O>) -> Result<Vec<Listed>, Problem> {
        self.ask_adapter(permit, ("databases", "list-users"), json!({}), Secrets::default()).await
    }

    /// The user that an input means, unless an instance would lose it by accident.
    async fn existing<O: Run>(&self, permit: &Permit<O>, input: &WhichDatabaseUser) -> Result<UserName, Problem> {
        let prefix = &self.hosting(permit)?.db_prefix;
        let name = UserName::new(prefix, &input.name).map_err(whole("name"))?;
        let listed = self.list_users(permit).await?;
        let user = listed.iter().find(|user| user.name == name.as_str());
        let user = user.ok_or_else(|| Problem::not_found("database user"))?;
        let instances = instances_on(&self.serve.state.table(), user.databases());
        refuse_accident(name.as_str(), &instances, &input.instances)?;
        Ok(name)
    }

    /// Has an adapter give a user a new password.
    async fn give_password<O: Run>(
        &self,
        permit: &Permit<O>,
        function: &str,
        name: &UserName,
    ) -> Result<DatabasePassword, Problem> {
        let hosting = self.hosting(permit)?.id.clone();
        let _turn = self.serve.shown_passwords.turn(&hosting).await;
        let password = Secret::new_password()?;
        let secrets = Secrets::from([(PASSWORD.to_owned(), password.clone())]);
        let arguments = json!({ "name": name.as_str(), "password": PASSWORD });
        self.change_databases(permit, function, arguments, secrets).await?;
        match permit.share() {
            // Whoever lost access meanwhile is not told.
            Some(share) => {
                let (instance, actor) = (permit.instance().clone(), permit.actor().clone());
                let shown = ShownPassword { hosting, user: name.to_string(), share, instance, actor };
                database_passwords::show(&self.serve, shown).await?;
            }
            None => database_passwords::forget(&self.serve, &hosting, name.as_str()).await?,
        }
        Ok(DatabasePassword { name: name.to_string(), password: password.reveal().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use latchkey_adapters::host::mysql::Privilege;

    use super::*;

    #[test]
    fn privileges_are_called_as_the_interface_calls_them() {
        let ours = ["select", "create_temporary_tables", "show_view", "execute"];
        let theirs = ["select", "create-temporary-tables", "show-view", "execute"];
        let grant = ListedGrant { database: "s1_wp".into(), privileges: theirs.map(str::to_owned).to_vec() };
        assert_eq!(json!(grant.privileges()), json!(ours));
        let back: Vec<Value> = grant.privileges().into_iter().map(DatabasePrivilege::for_adapter).collect();
        assert_eq!(json!(back), json!(theirs));
        assert_eq!(DatabasePrivilege::Execute as usize, Privilege::Execute as usize);
    }
}
