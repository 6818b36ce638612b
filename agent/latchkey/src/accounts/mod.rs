//! File accounts: with which login, keys and password people reach files by SFTP and FTP.
//!
//! One for each share with file access, which follows the share; and those that `sftp_account.*` and `ftp_account.*` make
//! for a whole hosting. What an account opens is not kept here: `latchkey_access` judges it at each sign-in and change.

mod doors;
pub(crate) mod events;
mod follow;
mod hosting;
mod keys;
mod login;
mod own;
mod passwords;
mod quota;
pub(crate) mod sign_in;
#[cfg(test)]
mod tests;
mod view;

use jiff::Timestamp;
use latchkey_access::{Actor, FileAccess, FileProtocol, HostingId, ShareId};

pub(crate) use doors::{Fact, FileDoors, Opens};
pub(crate) use events::FileEvent;
pub(crate) use follow::{follow, forget_hosting, make_missing};
pub(crate) use hosting::{
    Created, Deleted, HostingAccountView, NewHostingAccount, Updated, Wanted, WantedHostingAccount, create, delete,
    list, update,
};
pub(crate) use keys::AuthorizedKey;
pub(crate) use own::{Credentials, new_password, set_keys};
pub(crate) use quota::QuotaMib;
pub(crate) use sign_in::{Credential, Entrance, Entry, Peer, Refused, SignedIn, enter, knows_key, sign_in};
pub(crate) use view::{FileAccountView, view};

/// A file account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Unique on the node.
    pub(crate) login: String,
    pub(crate) of: AccountOf,
    pub(crate) keys: Vec<AuthorizedKey>,
    pub(crate) password_hash: Option<String>,
    /// Grows when a key or the password changes.
    pub(crate) generation: u64,
    pub(crate) made_at: Timestamp,
}

/// What an account belongs to, and with which it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountOf {
    /// A share: the person's own.
    Share(ShareId),
    /// A whole hosting, whoever made it.
    Hosting(OfHosting),
}

/// An account of a whole hosting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfHosting {
    pub(crate) hosting: HostingId,
    pub(crate) protocol: FileProtocol,
    /// Relative to the home; empty for the home itself.
    pub(crate) directory: String,
    pub(crate) read_only: bool,
    /// How much its folder may hold; none: as much as the hosting.
    pub(crate) quota: Option<QuotaMib>,
    pub(crate) made_by: Actor,
    /// The share that allowed to make it.
    pub(crate) through: Option<ShareId>,
}

impl OfHosting {
    /// What it allows, relative to the home.
    pub(crate) fn access(&self) -> FileAccess {
        FileAccess { kind: self.protocol.into(), path: self.directory.clone(), read_only: self.read_only }
    }
}
