//! The small node that unit tests and fuzz targets begin with: one hosting with one site, and shares of it, as values.

use std::path::Path;

use jiff::Timestamp;
use latchkey_access::{
    FileAccess, GrantedBy, Hosting, HostingState, Instance, InstanceId, PersonId, Php, PrivilegeSet, Role, Share,
    ShareId, ShareState, SsoRedeemer, Terms, Web, WebKind,
};

use crate::config::Config;
#[cfg(test)]
use crate::config::ConfigFault;
#[cfg(test)]
use crate::store::jobs::{Job, JobState};

/// The uid of the hosting's system user.
pub(crate) const UID: u32 = 1001;

const CONFIG: &str = r#"
state_dir = "/nonexistent"
broker = { socket = "/nonexistent/broker.sock" }
panel = { listen = "127.0.0.1:1", certificate = "/nonexistent", key = "/nonexistent", client_ca = "/nonexistent" }
gateway = { listen = "127.0.0.1:2", url = "https://gateway.example", certificate = "/nonexistent", key = "/nonexistent" }
cli = { socket = "/nonexistent/cli.sock" }
redeemer = { socket = "/nonexistent/redeem.sock" }
mail = { from = "Latchkey <latchkey@node.example>", directory = "/nonexistent" }
"#;

/// A configuration of an agent without SFTP and FTP. Nothing that it names exists.
pub(crate) fn config() -> Config {
    Config::parse(Path::new("latchkey.toml"), CONFIG).expect("a configuration")
}

/// The same with more in it.
#[cfg(test)]
pub(crate) fn config_with(more: &str) -> Result<Config, ConfigFault> {
    Config::parse(Path::new("latchkey.toml"), &format!("{CONFIG}{more}"))
}

/// The id of the one instance.
pub(crate) fn live() -> InstanceId {
    "live".parse().expect("an id")
}

/// The hosting `demo`.
pub(crate) fn hosting(owners: Vec<PersonId>) -> Hosting {
    Hosting {
        id: "demo".parse().expect("an id"),
        system_user: "demo".into(),
        home: "/home/demo".into(),
        db_prefix: "demo_".into(),
        owners,
        adapters: vec![],
        state: HostingState::Active,
        php: Php { binary: "/usr/bin/php".into(), ini: None },
        web: Web { kind: WebKind::Nginx, sso: SsoRedeemer::Location },
        log_paths: vec![],
    }
}

/// The instance `live` on it.
pub(crate) fn instance(owner: PersonId) -> Instance {
    Instance {
        id: live(),
        hosting: "demo".parse().expect("an id"),
        docroot: "/home/demo/live".into(),
        url: "http://127.0.0.1".into(),
        label: "Live".into(),
        database: "demo_live".into(),
        owners: vec![owner],
        staging_of: None,
    }
}

/// Terms that allow nothing yet.
pub(crate) const fn no_terms() -> Terms {
    Terms {
        role: Role::Custom,
        privileges: PrivilegeSet::EMPTY,
        log_in_as: None,
        file_access: FileAccess::NONE,
        expires_at: None,
    }
}

/// A share of the instance from the panel, active since `now`.
pub(crate) fn share(id: ShareId, person: PersonId, terms: Terms, now: Timestamp) -> Share {
    Share {
        id,
        person,
        instance: live(),
        terms,
        state: ShareState::Active,
        granted_by: GrantedBy::Panel,
        apply_to_staging: false,
        linked_to: None,
        follows: false,
        generation: 0,
        note: None,
        created_at: now,
        accepted_at: Some(now),
        pinned_is_administrator: None,
        log_in_as_mismatch: None,
    }
}

/// A job under way, for the panel.
#[cfg(test)]
pub(crate) fn job(created_at: Timestamp) -> Job {
    Job {
        id: "j1".into(),
        operation: "cron.run".into(),
        hosting: "demo".parse().unwrap(),
        instance: live(),
        actor: latchkey_access::Actor::Panel,
        share: None,
        state: JobState::Running,
        percent: 0,
        steps: Vec::new(),
        output: None,
        output_dropped: false,
        error: None,
        created_at,
        ended_at: None,
    }
}
