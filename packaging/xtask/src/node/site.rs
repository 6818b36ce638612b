//! Hostings and instances as a node has them: what the agent is told of them, and what only their owner knows.

use std::path::PathBuf;

use anyhow::Result;

use super::system_user::SystemUser;
use super::{OWNER, ready, wordpress};
use crate::random;

/// A hosting to be added.
#[derive(Clone, Debug)]
pub struct NewHosting {
    /// Its id.
    pub id: String,
    /// What the names of its databases begin with.
    pub db_prefix: String,
    /// Emails of its owners.
    pub owners: Vec<String>,
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
    /// Where its PHP pool listens.
    pub php_socket: PathBuf,
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
        Self { id: id.into(), db_prefix: format!("{}_", id.replace('-', "_")), owners: vec![OWNER.into()] }
    }
}

impl NewInstance {
    /// An instance of [`OWNER`], on a free port.
    #[must_use]
    pub fn named(id: &str, hosting: &str, label: &str) -> Self {
        let owners = vec![OWNER.into()];
        Self { id: id.into(), hosting: hosting.into(), label: label.into(), owners, staging_of: None, port: None }
    }

    /// Decides where everything of it will be.
    pub(crate) fn place(self, hosting: &Hosting, port: u16) -> Result<Instance> {
        let name = format!("{}{}", hosting.db_prefix, self.id.replace('-', "_"));
        Ok(Instance {
            docroot: hosting.user.home.join("sites").join(&self.id),
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

impl Instance {
    /// The WordPress user with this login.
    ///
    /// # Errors
    /// When it did not begin with such a user.
    pub fn user(&self, login: &str) -> Result<&SiteUser> {
        let found = self.users.iter().find(|user| user.login == login);
        anyhow::Context::with_context(found, || format!("{} has no WordPress user {login}", self.id))
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
