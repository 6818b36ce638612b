//! What the server asks of whoever knows the accounts.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use latchkey_files::tree::Tree;
use latchkey_protocol::SitePath;
use russh::keys::PublicKey;

use crate::conn::SessionHandle;
use crate::quota::Quota;

/// Who is at the other end, as far as nobody has proven anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection comes from.
    pub address: IpAddr,
    /// What the client calls itself, printable ASCII and at most 253 characters; empty if it has not said.
    pub client: String,
}

/// What an account may do with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    ReadWrite,
    /// Whatever changes nothing.
    ReadOnly,
}

/// What a session works with once it is let in.
#[derive(Debug)]
pub struct Entrance<E> {
    /// The files it sees.
    pub tree: Tree,
    /// What it may do with them.
    pub access: Access,
    /// How much there may be beneath the tree's root, if that has an end; one for all sessions of the account.
    pub quota: Option<Arc<Quota>>,
    /// Held while the session lives and dropped at its end, after its last handle.
    pub entry: E,
}

/// A session is not let in although its sign-in was good: the account ended in between, or its files cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// What the client is told.
    pub reason: &'static str,
}

/// Something that a session did, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEvent {
    /// A file was written and is there under its name.
    Uploaded {
        /// Which.
        path: SitePath,
        /// How many bytes were written.
        bytes: u64,
    },
    /// A file was read, whole or in part.
    Downloaded {
        /// Which.
        path: SitePath,
        /// How many bytes were sent.
        bytes: u64,
    },
    /// A file or a link was removed.
    Removed {
        /// Which.
        path: SitePath,
    },
    /// Something got another name.
    Renamed {
        /// The old one.
        from: SitePath,
        /// The new one.
        to: SitePath,
    },
    /// A directory was made.
    DirectoryMade {
        /// Which.
        path: SitePath,
    },
    /// A directory was removed.
    DirectoryRemoved {
        /// Which.
        path: SitePath,
    },
    /// A hard or symbolic link was made.
    Linked {
        /// Where.
        path: SitePath,
    },
    /// Mode, length or times were changed.
    AttributesChanged {
        /// Of what.
        path: SitePath,
    },
}

/// Knows the accounts. Its answers alone decide who gets in; the server adds limits, and time that tells nothing.
pub trait Gatekeeper: Send + Sync + 'static {
    /// Whose sign-in was found good.
    type SignedIn: Send + 'static;
    /// What is held while a session lives.
    type Entry: Send + Sync + 'static;

    /// Whether `key` would do for `login`. The client has proven nothing yet: this only decides whether it is asked to,
    /// and is to be noted nowhere as a sign-in.
    fn knows_key(&self, login: &str, key: &PublicKey, peer: &Peer) -> impl Future<Output = bool> + Send;

    /// Signs in with a key whose possession was proven.
    fn by_key(&self, login: &str, key: &PublicKey, peer: &Peer) -> impl Future<Output = Option<Self::SignedIn>> + Send;

    /// Signs in with a password. Has to take as long for a login that does not exist as for a wrong password.
    fn by_password(
        &self,
        login: &str,
        password: &str,
        peer: &Peer,
    ) -> impl Future<Output = Option<Self::SignedIn>> + Send;

    /// Lets a session in, or does not. Whoever is let in has been registered with `session` before the decision, so that
    /// no end of access can miss it.
    fn enter(
        &self,
        who: Self::SignedIn,
        session: SessionHandle,
    ) -> impl Future<Output = Result<Entrance<Self::Entry>, Refused>> + Send;

    /// Takes note of what a session did. Must be cheap, and must not block.
    fn noted(&self, entry: &Self::Entry, event: FileEvent);
}
