//! Sessions of file accounts: what is known of each, and whether the table still allows it.
//!
//! Nothing here knows SSH or FTP: whoever serves a session hands in a switch.

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Actor, Denial, FileAccess, FilePermit, FileProtocol, HostingId, ShareId, decide_files,
    decide_hosting_files,
};

use super::switched::{KillSwitch, Killed};

/// What an account rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RestsOn {
    /// A share.
    Share(ShareId),
    /// A hosting, with what the account allows on it.
    Hosting(HostingId, FileAccess),
}

impl RestsOn {
    /// What it opens now.
    pub(crate) fn decide(
        &self,
        table: &AccessTable,
        protocol: FileProtocol,
        now: Timestamp,
    ) -> Result<FilePermit, Denial> {
        match self {
            Self::Share(share) => decide_files(table, *share, protocol, now),
            Self::Hosting(hosting, access) => decide_hosting_files(table, hosting, access, protocol),
        }
    }
}

/// A live session of a file account.
#[derive(Debug, Clone)]
pub(crate) struct FileSession {
    pub(crate) id: String,
    pub(crate) protocol: FileProtocol,
    pub(crate) login: String,
    /// The share's person; for an account of a hosting nobody in particular.
    pub(crate) actor: Actor,
    pub(crate) rests_on: RestsOn,
    /// What it was let in with.
    pub(crate) permit: FilePermit,
    pub(crate) address: String,
    /// What the client says that it is.
    pub(crate) client: String,
    pub(crate) opened_at: Timestamp,
    pub(crate) switch: KillSwitch,
}

impl FileSession {
    /// Whether the table still allows all that it was let in with.
    pub(super) fn is_allowed(&self, table: &AccessTable, now: Timestamp) -> bool {
        let permit = self.rests_on.decide(table, self.protocol, now);
        permit.is_ok_and(|permit| permit.still_covers(&self.permit))
    }

    /// Kills it at once: nobody has to be asked.
    pub(super) fn killed(self) -> Killed {
        self.switch.0.kill();
        Killed {
            id: self.id,
            kind: self.protocol.as_str(),
            what: format!("the session of {}", self.login),
            share: self.permit.share(),
            hosting: self.permit.hosting().clone(),
            count: match self.protocol {
                FileProtocol::Sftp => |closed, count| closed.sftp += count,
                FileProtocol::Ftp => |closed, count| closed.ftp += count,
            },
            switch: self.switch,
        }
    }
}
