//! A small node to ask: people by name, hostings, instances, shares, and a clock that stands still.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Actor, Denial, DenialKind, Effect, FileAccess, GrantedBy, Hosting, HostingState, Instance, InstanceId,
    LogInAs, Operation, OperationSpec, Person, PersonId, Php, Privilege, PrivilegeSet, Role, Runs, Share, ShareId,
    ShareState, SsoRedeemer, Terms, Web, WebKind, WpUser, decide, explain,
};

/// When everything happens, unless a test moves the clock.
pub(crate) const NOON: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// An operation of the hosting: none is built yet, and the rules about them hold already.
#[derive(Debug)]
pub(crate) enum CronList {}

impl Operation for CronList {
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "cron.list",
        summary: "List the cron jobs",
        privilege: Privilege::ManageCron,
        effect: Effect::Read,
        runs: Runs::Now,
    };
}

/// The node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) table: AccessTable,
    pub(crate) now: Timestamp,
    pub(crate) shares: u64,
}

impl Node {
    /// One hosting, `acme`, that nobody owns, with the sites `live` and `shop`, which belong to `olga` and `sam`.
    pub(crate) fn new() -> Self {
        let mut node = Self { table: AccessTable::default(), now: NOON, shares: 0 };
        node.put_hosting("acme", &[]);
        node.put_instance("live", "acme", &["olga"]);
        node.put_instance("shop", "acme", &["sam"]);
        node
    }

    /// The person with this name, made known if need be.
    pub(crate) fn person(&mut self, name: &str) -> PersonId {
        let person = person(name);
        let email = format!("{name}@example.org").parse().unwrap();
        self.table.put_person(Person { id: person, email, name: None });
        person
    }

    pub(crate) fn put_hosting(&mut self, id: &str, owners: &[&str]) {
        let owners = owners.iter().map(|name| self.person(name)).collect();
        self.table.put_hosting(Hosting {
            id: id.parse().unwrap(),
            system_user: id.to_owned(),
            home: format!("/home/{id}"),
            db_prefix: format!("{id}_"),
            owners,
            adapters: Vec::new(),
            state: HostingState::Active,
            php: Php { binary: "/usr/bin/php8.2".to_owned(), ini: None },
            web: Web { kind: WebKind::Nginx, sso: SsoRedeemer::Location },
            log_paths: Vec::new(),
        });
    }

    pub(crate) fn set_hosting(&mut self, id: &str, state: HostingState) {
        let hosting = self.table.hosting(&id.parse().unwrap()).unwrap();
        let hosting = Hosting { state, ..(**hosting).clone() };
        self.table.put_hosting(hosting);
    }

    pub(crate) fn put_instance(&mut self, id: &str, hosting: &str, owners: &[&str]) {
        let owners = owners.iter().map(|name| self.person(name)).collect();
        self.table.put_instance(Instance {
            id: id.parse().unwrap(),
            hosting: hosting.parse().unwrap(),
            docroot: format!("/home/{hosting}/{id}"),
            url: format!("https://{id}.example"),
            label: id.to_owned(),
            database: format!("{hosting}_{id}"),
            owners,
            staging_of: None,
        });
    }

    /// Gives somebody an active share.
    pub(crate) fn share(&mut self, name: &str, instance: &str, terms: Terms, granted_by: GrantedBy) -> ShareId {
        self.shares += 1;
        let id = ShareId::from_number(self.shares);
        let person = self.person(name);
        self.table.put_share(Share {
            id,
            person,
            instance: instance.parse().unwrap(),
            terms,
            state: ShareState::Active,
            granted_by,
            apply_to_staging: false,
            linked_to: None,
            follows: false,
            generation: 1,
            note: None,
            created_at: NOON,
            accepted_at: Some(NOON),
            pinned_is_administrator: None,
            log_in_as_mismatch: None,
        });
        id
    }

    /// Changes a share behind the back of the rules.
    pub(crate) fn alter(&mut self, id: ShareId, alter: impl FnOnce(&mut Share)) {
        let mut share = self.row(id).clone();
        alter(&mut share);
        self.table.put_share(share);
    }

    pub(crate) fn row(&self, id: ShareId) -> &Share {
        self.table.share(id).unwrap()
    }

    /// What the rules say, as `allow A7`, `403 A1`, `404 A2` or `422 A9 field`.
    pub(crate) fn verdict<O: Operation>(&self, actor: &Actor, instance: &str) -> String {
        let instance: InstanceId = instance.parse().unwrap();
        let decision = decide::<O>(&self.table, actor, &instance, self.now);
        let explained = explain(&self.table, actor, &instance, O::SPEC, self.now);
        match decision {
            Ok(permit) => {
                assert_eq!((None, permit.rule(), permit.share()), (explained.denial, explained.rule, explained.share));
                format!("allow {}", permit.rule())
            }
            Err(denial) => {
                assert_eq!(Some(&denial), explained.denial.as_ref());
                assert_eq!(denial.rule, explained.rule);
                refusal(&denial)
            }
        }
    }
}

/// A denial as `403 A1`, `404 A2` or `422 A9 field`.
pub(crate) fn refusal(denial: &Denial) -> String {
    match denial.kind {
        DenialKind::NotFound => format!("404 {}", denial.rule),
        DenialKind::Forbidden => format!("403 {}", denial.rule),
        DenialKind::Invalid { field } => format!("422 {} {field}", denial.rule),
    }
}

/// The id of the person with this name.
pub(crate) fn person(name: &str) -> PersonId {
    PersonId::from_number(name.bytes().fold(0, |number, byte| number << 8 | u64::from(byte)))
}

/// Somebody as an actor; `panel` is the panel.
pub(crate) fn actor(name: &str) -> Actor {
    match name {
        "panel" => Actor::Panel,
        _ => Actor::Person(person(name)),
    }
}

/// What a role gives when nothing is narrowed.
pub(crate) fn role(role: Role) -> Terms {
    let file_access = role.entry().and_then(|entry| entry.file_access);
    Terms { role, ..custom(role.privileges()) }.with_files(file_access.map_or(FileAccess::NONE, |_| FileAccess::ALL))
}

/// These privileges, with *Log In As: all* where they include WP Admin SSO.
pub(crate) fn custom(privileges: impl Into<Privileges>) -> Terms {
    let Privileges(privileges) = privileges.into();
    Terms {
        role: Role::Custom,
        privileges,
        log_in_as: privileges.contains(Privilege::WpAdminSso).then_some(LogInAs::ALL),
        file_access: FileAccess::NONE,
        expires_at: None,
    }
}

/// A set of privileges, or a list of them.
pub(crate) struct Privileges(PrivilegeSet);

impl From<PrivilegeSet> for Privileges {
    fn from(set: PrivilegeSet) -> Self {
        Self(set)
    }
}

impl<const N: usize> From<[Privilege; N]> for Privileges {
    fn from(list: [Privilege; N]) -> Self {
        Self(list.into_iter().collect())
    }
}

/// Terms with one thing changed.
pub(crate) trait With {
    fn with_files(self, file_access: FileAccess) -> Self;
    fn with_log_in_as(self, log_in_as: Option<LogInAs>) -> Self;
    fn with_end(self, expires_at: Timestamp) -> Self;
}

impl With for Terms {
    fn with_files(self, file_access: FileAccess) -> Self {
        Self { file_access, ..self }
    }

    fn with_log_in_as(self, log_in_as: Option<LogInAs>) -> Self {
        Self { log_in_as, ..self }
    }

    fn with_end(self, expires_at: Timestamp) -> Self {
        Self { expires_at: Some(expires_at), ..self }
    }
}

/// Pinned to this WordPress user.
pub(crate) fn pinned(id: u64, login: &str) -> LogInAs {
    LogInAs::Pinned(WpUser { id, login: login.to_owned() })
}

/// That many seconds after noon.
pub(crate) fn later(seconds: u64) -> Timestamp {
    NOON + Duration::from_secs(seconds)
}
