//! What a cPanel account consists of, as far as the simulator plays it.

use std::collections::{BTreeMap, BTreeSet};

use crate::zone::Zone;

/// An account and all that is in it. Trials look at it and change it as somebody at cPanel's own pages would.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its token.
    pub token: String,
    /// What names of databases and database users begin with.
    pub prefix: String,
    /// The domain that it was made for.
    pub main_domain: String,
    /// Further domains, each with a zone of its own.
    pub addon_domains: BTreeSet<String>,
    /// Databases by name.
    pub databases: BTreeMap<String, Database>,
    /// Database users by name.
    pub database_users: BTreeMap<String, DatabaseUser>,
    /// FTP accounts by what is typed to sign in.
    pub ftp_accounts: BTreeMap<String, FtpAccount>,
    /// FTP sessions: the login of each, by process.
    pub ftp_sessions: BTreeMap<u32, String>,
    /// Mailboxes by address.
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// Zones by name.
    pub zones: BTreeMap<String, Zone>,
    /// The crontab, line by line.
    pub crontab: Vec<CronLine>,
}

/// A database.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Bytes in use.
    pub size: u64,
    /// How often a database of this name was made: 1 unless it was deleted and made again.
    pub made: u32,
}

/// A database user.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseUser {
    /// The password.
    pub password: String,
    /// Rights by database, in the words of SQL.
    pub grants: BTreeMap<String, BTreeSet<String>>,
}

/// An FTP account.
#[derive(Clone, Debug, PartialEq)]
pub struct FtpAccount {
    /// The password.
    pub password: String,
    /// Its folder, relative to the home.
    pub folder: String,
    /// Megabytes; 0: no limit.
    pub quota: u64,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Mailbox {
    /// The password.
    pub password: String,
    /// Megabytes; 0: no limit.
    pub quota: u64,
    /// Bytes in use.
    pub used: u64,
}

/// A line of the crontab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronLine {
    /// `MAILTO=…` and the like.
    Variable(String, String),
    /// Five fields and a command.
    Command([String; 5], String),
}

impl CronLine {
    /// A command, its five fields with one space between them.
    #[must_use]
    pub fn command(schedule: &str, command: &str) -> Self {
        let mut fields = schedule.split(' ').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_else(|| "*".to_owned());
        Self::Command([next(), next(), next(), next(), next()], command.to_owned())
    }
}

impl Account {
    /// An account with one domain, nothing in it, and a crontab that begins with a variable.
    #[must_use]
    pub fn new(user: &str, token: &str, prefix: &str, domain: &str) -> Self {
        Self {
            user: user.to_owned(),
            token: token.to_owned(),
            prefix: prefix.to_owned(),
            main_domain: domain.to_owned(),
            addon_domains: BTreeSet::new(),
            databases: BTreeMap::new(),
            database_users: BTreeMap::new(),
            ftp_accounts: BTreeMap::new(),
            ftp_sessions: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            zones: BTreeMap::from([(domain.to_owned(), Zone::new(domain))]),
            crontab: vec![CronLine::Variable("MAILTO".to_owned(), format!("admin@{domain}"))],
        }
    }

    /// The absolute path of its home.
    #[must_use]
    pub fn home(&self) -> String {
        format!("/home/{}", self.user)
    }

    pub(crate) fn owns(&self, domain: &str) -> bool {
        self.main_domain == domain || self.addon_domains.contains(domain)
    }
}
