//! A hosting account of the node and the WordPress instances on it, as the panel registers them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HostingId, InstanceId, PersonId};

/// Whether people get in (A4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostingState {
    /// Open.
    #[default]
    Active,
    /// Everybody but the panel is refused and every channel is closed.
    Suspended,
}

/// How PHP runs for a hosting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Php {
    /// Absolute path of the command-line PHP; the operator lists the allowed ones.
    pub binary: String,
    /// Absolute path of a php.ini; the binary's own default without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ini: Option<String>,
}

/// The web server of a hosting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebKind {
    /// nginx with php-fpm.
    Nginx,
    /// Apache with php-fpm.
    Apache,
}

/// What turns a hand-over into a WordPress session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SsoRedeemer {
    /// A root-owned script at an exact web-server location.
    Location,
    /// A one-use script in the docroot, for a web server that the operator cannot configure. Promises less.
    Script,
}

/// How the web server of a hosting is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Which server.
    pub kind: WebKind,
    /// Which redeemer.
    pub sso: SsoRedeemer,
}

/// One hosting account: a system user, a home, its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosting {
    /// Its name on this node.
    pub id: HostingId,
    /// The Unix account.
    pub system_user: String,
    /// Absolute path of its home.
    pub home: String,
    /// What its database names begin with; unique on the node.
    pub db_prefix: String,
    /// Whom it belongs to.
    pub owners: Vec<PersonId>,
    /// Names of the adapters that serve it, in order.
    pub adapters: Vec<String>,
    /// Whether people get in.
    pub state: HostingState,
    /// How PHP runs.
    pub php: Php,
    /// How the web server is set up.
    pub web: Web,
    /// Absolute paths of its logs, with places for an instance and its domain.
    pub log_paths: Vec<String>,
}

/// One WordPress installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name on this node.
    pub id: InstanceId,
    /// Where it runs.
    pub hosting: HostingId,
    /// Absolute path of the folder that holds wp-load.php, beneath the home.
    pub docroot: String,
    /// Where visitors find it, without a slash at the end.
    pub url: String,
    /// What people call it.
    pub label: String,
    /// The name of its database.
    pub database: String,
    /// Whom it belongs to.
    pub owners: Vec<PersonId>,
    /// The live instance it is a staging of.
    pub staging_of: Option<InstanceId>,
}
