//! `database.*`: the hosting's databases, through the adapter that serves them.

use latchkey_access::Permit;
use latchkey_access::rows::{DatabaseCreate, DatabaseDelete, DatabaseList, DatabaseRename};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Nothing, Run};
use crate::adapters::secret::Secrets;
use crate::databases::{DatabaseName, NameError, instances_on, refuse_accident};
use crate::problem::Problem;

/// A database.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DatabaseView {
    /// Its whole name.
    name: String,
    /// Bytes of data and indexes, as the server estimates them; absent if the platform does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// Tables and views; absent if the platform does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<u32>,
    /// The instances that live on it.
    instances: Vec<String>,
}

/// Databases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DatabaseItems {
    /// By name.
    items: Vec<DatabaseView>,
}

/// A database to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDatabase {
    /// Of a-z, 0-9 and `_`, without the hosting's prefix, which the agent puts before it; 64 characters together.
    name: String,
}

/// A database by its name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NamedDatabase {
    /// Its whole name.
    name: String,
}

/// Another name for a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDatabaseName {
    /// Its whole name.
    name: String,
    /// The new one, without the hosting's prefix.
    new_name: String,
    /// The instances that live on it: they stop working until their wp-config.php has the new name.
    #[serde(default)]
    instances: Vec<String>,
}

/// A database to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichDatabase {
    /// Its whole name.
    name: String,
    /// The instances that live on it: they stop working.
    #[serde(default)]
    instances: Vec<String>,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeletedDatabase {}

/// A database as an adapter lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    size: Option<u64>,
    tables: Option<u32>,
}

impl Run for DatabaseList {
    type Input = Nothing;
    type Output = DatabaseItems;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<DatabaseItems, Problem> {
        let Nothing {} = input;
        let asked = context.ask_adapter(&permit, ("databases", "list-databases"), json!({}), Secrets::default());
        let listed: Vec<Listed> = asked.await?;
        let table = context.serve.state.table();
        let view = |Listed { name, size, tables }: Listed| DatabaseView {
            instances: instances_on(&table, [name.as_str()]).iter().map(ToString::to_string).collect(),
            name,
            size_bytes: size,
            tables,
        };
        Ok(DatabaseItems { items: listed.into_iter().map(view).collect() })
    }
}

impl Run for DatabaseCreate {
    type Input = NewDatabase;
    type Output = NamedDatabase;

    async fn run(context: &Context, permit: Permit<Self>, input: NewDatabase) -> Result<NamedDatabase, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        let name = DatabaseName::with_prefix(prefix, &input.name).map_err(without_prefix("name"))?;
        let name = name.as_str();
        let made = context.change_databases(&permit, "create-database", json!({ "name": name }), Secrets::default());
        made.await.map(|()| NamedDatabase { name: name.to_owned() })
    }
}

impl Run for DatabaseRename {
    type Input = NewDatabaseName;
    type Output = NamedDatabase;

    async fn run(context: &Context, permit: Permit<Self>, input: NewDatabaseName) -> Result<NamedDatabase, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        let name = DatabaseName::new(prefix, &input.name).map_err(whole("name"))?;
        let new_name = DatabaseName::with_prefix(prefix, &input.new_name).map_err(without_prefix("new_name"))?;
        context.refuse_accident_with(&name, &input.instances)?;
        let names = json!({ "name": name.as_str(), "new-name": new_name.as_str() });
        let renamed = context.change_databases(&permit, "rename-database", names, Secrets::default());
        renamed.await.map(|()| NamedDatabase { name: new_name.to_string() })
    }
}

impl Run for DatabaseDelete {
    type Input = WhichDatabase;
    type Output = DeletedDatabase;

    async fn run(context: &Context, permit: Permit<Self>, input: WhichDatabase) -> Result<DeletedDatabase, Problem> {
        let prefix = &context.hosting(&permit)?.db_prefix;
        let name = DatabaseName::new(prefix, &input.name).map_err(whole("name"))?;
        context.refuse_accident_with(&name, &input.instances)?;
        let which = json!({ "name": name.as_str() });
        let deleted = context.change_databases(&permit, "delete-database", which, Secrets::default());
        deleted.await.map(|()| DeletedDatabase {})
    }
}

impl Context {
    /// Has an adapter change databases or their users, with nothing to return.
    pub(super) async fn change_databases<O: Run>(
        &self,
        permit: &Permit<O>,
        function: &str,
        arguments: Value,
        secrets: Secrets,
    ) -> Result<(), Problem> {
        // What it finds wrong is named as the WIT writes it: `new-name`.
        let named = |problem: Problem| Problem { field: problem.field.map(|field| field.replace('-', "_")), ..problem };
        self.ask_adapter(permit, ("databases", function), arguments, secrets).await.map_err(named)
    }

    fn refuse_accident_with(&self, database: &DatabaseName, named: &[String]) -> Result<(), Problem> {
        refuse_accident(database.as_str(), &instances_on(&self.serve.state.table(), [database.as_str()]), named)
    }
}

/// A name that was to be whole.
pub(super) fn whole(field: &str) -> impl FnOnce(NameError) -> Problem {
    move |error| Problem::invalid(field, error.to_string())
}

/// A name that was to be given without its prefix.
pub(super) fn without_prefix(field: &str) -> impl FnOnce(NameError) -> Problem {
    move |error| Problem::invalid(field, error.without_prefix())
}
