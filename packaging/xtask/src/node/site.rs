//! Hostings and instances as a node has them: what the agent is told of them, and what only their owner knows.

use std::path::PathBuf;

use anyhow::Result;

use super::layout::Layout;
use super::php::PhpVersion;
use super::system_user::SystemUser;
use super::wordpress::WordPress;
use super::{OWNER, ready, wordpress};
use crate::random;

/// What turns a hand-over into a WordPress session on a hosting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sso {
    /// The web server's exact location.
    Location,
    /// A one-use script in the docroot; its web server has no such location.
    Script,
}

impl Sso {
    /// As a registration names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::Script => "script",
        }
    }
}

/// A hosting to be added.
#[derive(Clone, Debug)]
pub struct NewHosting {
    /// Its id.
    pub id: String,
    /// What the names of its databases begin with.
    pub db_prefix: String,
    /// Emails of its owners.
    pub owners: Vec<String>,
    /// The PHP of its pool and of the agent's calls.
    pub php: PhpVersion,
    /// Its redeemer.
    pub sso: Sso,
    /// Functions that its PHP pool forbids, separated by commas.
    pub disabled_functions: String,
}

/// A hosting on this node.
#[derive(Clone, Debug)]
pub struct Hosting {
    /// Its id.
    pub id: String,
    /// Its system user, whose home is its home.
    pub user: SystemUser,
    /// What the names of its databases begin with.
    pub db_prefix: String,
    /// Emails of its owners.
    pub owners: Vec<String>,
    /// The PHP of its pool and of the agent's calls.
    pub php: PhpVersion,
    /// That PHP's program of the command line.
    pub php_binary: PathBuf,
    /// The configuration file that it needs to be told of.
    pub php_ini: Option<PathBuf>,
    /// Its redeemer.
    pub sso: Sso,
    /// Functions that its PHP pool forbids, separated by commas.
    pub disabled_functions: String,
    /// Where its PHP pool listens.
    pub php_socket: PathBuf,
    /// Root's directory with the logs of its sites, `{instance}.access.log` and `{instance}.error.log`.
    pub logs: PathBuf,
}

/// An instance to be added.
#[derive(Clone, Debug)]
pub struct NewInstance {
    /// Its id.
    pub id: String,
    /// The id of its hosting.
    pub hosting: String,
    /// Its label and WordPress title.
    pub label: String,
    /// Emails of its owners.
    pub owners: Vec<String>,
    /// The instance that it is the staging copy of.
    pub staging_of: Option<String>,
    /// Its port; a free one unless given.
    pub port: Option<u16>,
    /// Where its parts lie.
    pub layout: Layout,
    /// Its WordPress.
    pub wordpress: WordPress,
}

/// A WordPress instance on this node.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The id of its hosting.
    pub hosting: String,
    /// Its label and WordPress title.
    pub label: String,
    /// Emails of its owners.
    pub owners: Vec<String>,
    /// The instance that it is the staging copy of.
    pub staging_of: Option<String>,
    /// Where its `wp-load.php` is.
    pub docroot: PathBuf,
    /// What the web server serves: the docroot, unless WordPress has a folder of its own in it.
    pub web_root: PathBuf,
    /// Where its parts lie.
    pub layout: Layout,
    /// Its WordPress.
    pub wordpress: WordPress,
    /// Its port of 127.0.0.1.
    pub port: u16,
    /// Its origin, without a slash at the end.
    pub url: String,
    /// Its database.
    pub database: Database,
    /// Its WordPress users: `admin`, `editor`, `author`.
    pub users: Vec<SiteUser>,
}

/// An instance's database with its account.
#[derive(Clone, Debug)]
pub struct Database {
    /// The database's name.
    pub name: String,
    /// The account's name, at localhost.
    pub user: String,
    /// The account's password.
    pub password: String,
}

/// A WordPress user that an instance began with.
#[derive(Clone, Debug)]
pub struct SiteUser {
    /// Its id.
    pub id: u64,
    /// Its login.
    pub login: String,
    /// Its password.
    pub password: String,
    /// Its display name.
    pub display_name: String,
    /// Its WordPress role.
    pub role: String,
    /// Its email.
    pub email: String,
}

impl NewHosting {
    /// A hosting with this id, whose databases begin with `<id>_`, of [`OWNER`].
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self {
            id: id.into(),
            db_prefix: format!("{}_", id.replace('-', "_")),
            owners: vec![OWNER.into()],
            php: PhpVersion::default(),
            sso: Sso::Location,
            disabled_functions: String::new(),
        }
    }
}

impl NewInstance {
    /// An instance of [`OWNER`], on a free port.
    #[must_use]
    pub fn named(id: &str, hosting: &str, label: &str) -> Self {
        let owners = vec![OWNER.into()];
        let (layout, wordpress) = (Layout::default(), WordPress::default());
        let (id, hosting, label) = (id.into(), hosting.into(), label.into());
        Self { id, hosting, label, owners, staging_of: None, port: None, layout, wordpress }
    }

    /// Decides where everything of it will be.
    pub(crate) fn place(self, hosting: &Hosting, port: u16) -> Result<Instance> {
        let name = format!("{}{}", hosting.db_prefix, self.id.replace('-', "_"));
        let web_root = hosting.user.home.join("sites").join(&self.id);
        Ok(Instance {
            docroot: self.layout.docroot(&web_root),
            web_root,
            layout: self.layout,
            wordpress: self.wordpress,
            port,
            url: format!("http://127.0.0.1:{port}"),
            database: Database { user: name.clone(), name, password: random::word(24)? },
            users: wordpress::new_users()?,
            id: self.id,
            hosting: self.hosting,
            label: self.label,
            owners: self.owners,
            staging_of: self.staging_of,
        })
    }
}

impl Hosting {
    /// Its PHP as the panel registers it.
    #[must_use]
    pub fn php_for_panel(&self) -> serde_json::Value {
        let mut php = serde_json::json!({ "binary": self.php_binary });
        if let (Some(ini), Some(fields)) = (&self.php_ini, php.as_object_mut()) {
            fields.insert("ini".into(), serde_json::json!(ini));
        }
        php
    }

    /// Its logs as the panel registers them.
    #[must_use]
    pub fn logs_for_panel(&self) -> [PathBuf; 2] {
        ["{instance}.access.log", "{instance}.error.log"].map(|name| self.logs.join(name))
    }
}

impl Instance {
    /// The WordPress user with this login.
    ///
    /// # Errors
    /// When it did not begin with such a user.
    pub fn user(&self, login: &str) -> Result<&SiteUser> {
        let found = self.users.iter().find(|user| user.login == login);
        anyhow::Context::with_context(found, || format!("{} has no WordPress user {login}", self.id))
    }

    /// The URL of its WordPress (`siteurl`), without a slash at the end.
    #[must_use]
    pub fn wordpress_url(&self) -> String {
        format!("{}{}", self.url, self.layout.folder())
    }

    pub(crate) fn for_ready_file(&self) -> Option<ready::ReadyInstance> {
        let admin = self.users.first()?;
        Some(ready::ReadyInstance {
            id: self.id.clone(),
            url: self.url.clone(),
            docroot: self.docroot.clone(),
            hosting: self.hosting.clone(),
            database: self.database.name.clone(),
            admin: ready::Login { login: admin.login.clone(), password: admin.password.clone() },
        })
    }
}
