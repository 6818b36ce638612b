//! The catalogues: privileges, roles, operations. They come whole.

use latchkey_access::{Category, Effect, FileAccessKind, Privilege, PrivilegeEntry, PrivilegeSet, catalogue};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::reply::Reply;
use crate::problem::Problem;

/// The privileges.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Privileges {
    /// In the order of the share window.
    items: Vec<PrivilegeItem>,
    /// The groups that they stand in.
    categories: Vec<Category>,
}

/// A privilege.
#[derive(Debug, Serialize, JsonSchema)]
struct PrivilegeItem {
    #[serde(flatten)]
    entry: PrivilegeEntry,
    /// The group it stands in.
    category: String,
    /// The operations it gates.
    operations: Vec<&'static str>,
    /// Whether a hosting on this node can serve it; of a single one, its instances and shares say it (A14).
    available: bool,
}

pub(super) async fn privileges(call: Call) -> Result<Reply, Problem> {
    let item = |privilege: &Privilege| {
        let entry = privilege.entry();
        let gated = latchkey_access::operations().iter().filter(|spec| spec.privilege == *privilege);
        PrivilegeItem {
            entry: entry.clone(),
            category: entry.category().to_owned(),
            operations: gated.map(|spec| spec.name).collect(),
            available: call.serve.can_serve(*privilege),
        }
    };
    let items = Privilege::ALL.iter().map(item).collect();
    Reply::json(&Privileges { items, categories: catalogue().categories.clone() })
}

/// The roles.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Roles {
    /// In the order of the share window.
    items: Vec<RoleItem>,
}

/// A role.
#[derive(Debug, Serialize, JsonSchema)]
struct RoleItem {
    /// The key that panels use.
    id: String,
    /// What the share window calls it.
    title: String,
    /// What it allows, in a sentence.
    tooltip: String,
    /// The privileges that a share with it gets today.
    #[schemars(with = "Vec<String>")]
    privileges: PrivilegeSet,
    /// The file account that comes with it.
    file_access: FileAccessKind,
}

pub(super) async fn roles(_call: Call) -> Result<Reply, Problem> {
    let item = |role: &latchkey_access::RoleEntry| RoleItem {
        id: role.id.clone(),
        title: role.title.clone(),
        tooltip: role.tooltip.clone(),
        privileges: latchkey_access::Role::from_id(&role.id)
            .map_or(PrivilegeSet::EMPTY, latchkey_access::Role::privileges),
        file_access: role.file_access.unwrap_or(FileAccessKind::None),
    };
    Reply::json(&Roles { items: catalogue().roles.iter().map(item).collect() })
}

/// The operations.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Operations {
    /// In the order of the table.
    items: Vec<OperationItem>,
}

/// An operation.
#[derive(Debug, Serialize, JsonSchema)]
struct OperationItem {
    /// `noun.verb`.
    name: &'static str,
    /// What it does.
    summary: &'static str,
    /// The privilege that it takes.
    privilege: &'static str,
    /// What it does to the node.
    effect: Effect,
    /// The JSON schema of what it takes.
    input: Value,
    /// The JSON schema of what it answers.
    output: Value,
}

pub(super) async fn operations(_call: Call) -> Result<Reply, Problem> {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut taken: SchemaGenerator = settings.clone().for_deserialize().into_generator();
    let mut given: SchemaGenerator = settings.for_serialize().into_generator();
    let item = |shapes: crate::operations::Shapes| OperationItem {
        name: shapes.spec.name,
        summary: shapes.spec.summary,
        privilege: shapes.spec.privilege.id(),
        effect: shapes.spec.effect,
        input: shapes.input.to_value(),
        output: shapes.output.to_value(),
    };
    Reply::json(&Operations {
        items: crate::operations::shapes(&mut taken, &mut given).into_iter().map(item).collect(),
    })
}
