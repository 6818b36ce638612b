//! What a reply says of an end: what was closed, what could not be reached, what is left behind.

use schemars::JsonSchema;
use serde::Serialize;

use crate::store::residue::Residue;
use crate::store::wordpress_sessions::WordpressSession;

/// What ended with a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Ended {
    /// How many channels of each kind were closed.
    pub(crate) closed: Closed,
    /// What could not be reached; it is tried again until it is done.
    pub(crate) unconfirmed: Vec<Unconfirmed>,
    /// What does not run any more, and is kept until somebody takes it in hand.
    pub(crate) disabled: Vec<Disabled>,
    /// What the person can still use because they made or learnt it.
    pub(crate) residue: Vec<Residue>,
}

impl Ended {
    /// What ended with this and with another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.closed = self.closed.and(&other.closed);
        self.unconfirmed.extend(other.unconfirmed);
        self.disabled.extend(other.disabled);
        self.residue.extend(other.residue);
        self
    }
}

/// Closed channels, counted by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Closed {
    /// SFTP sessions.
    pub(crate) sftp: u32,
    /// FTP sessions.
    pub(crate) ftp: u32,
    /// Sessions in WP Admin.
    pub(crate) wordpress: u32,
    /// phpMyAdmin sessions.
    pub(crate) phpmyadmin: u32,
    /// Database connections.
    pub(crate) database: u32,
    /// Browsers signed in to the gateway.
    pub(crate) gateway: u32,
    /// Uploads and downloads.
    pub(crate) transfer: u32,
    /// Event streams.
    pub(crate) stream: u32,
    /// Jobs.
    pub(crate) job: u32,
}

impl Closed {
    pub(super) const fn and(&self, other: &Self) -> Self {
        Self {
            sftp: self.sftp + other.sftp,
            ftp: self.ftp + other.ftp,
            wordpress: self.wordpress + other.wordpress,
            phpmyadmin: self.phpmyadmin + other.phpmyadmin,
            database: self.database + other.database,
            gateway: self.gateway + other.gateway,
            transfer: self.transfer + other.transfer,
            stream: self.stream + other.stream,
            job: self.job + other.job,
        }
    }
}

/// Kinds of what does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisabledKind {
    /// A cron entry that is out of the crontab.
    CronEntry,
}

/// Something that does not run any more, because the share has ended with which it was said to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Disabled {
    /// What sort of thing.
    pub(crate) kind: DisabledKind,
    /// By which it is changed.
    pub(crate) id: String,
    /// A sentence.
    pub(crate) what: String,
    /// How to have it run again, or forget it.
    pub(crate) undo: String,
}

/// Something whose end could not be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Unconfirmed {
    /// The kind of channel, as in `/v1/sessions`; `cron_entry` of one that is not known to be out of the crontab.
    pub(crate) channel: &'static str,
    /// Which one, in words.
    pub(crate) what: String,
}

impl Unconfirmed {
    pub(crate) fn of(session: &WordpressSession) -> Self {
        let what = format!("the session as {} on {}", session.user.login, session.instance);
        Self { channel: "wordpress", what }
    }
}
