//! Sessions of file accounts: what is known of each, and how it is killed.
//!
//! Nothing here knows SSH or FTP: whoever serves a session hands in a switch. They are not kept in the state, because a
//! restart closes their sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Actor, Denial, FileAccess, FilePermit, FileProtocol, HostingId, ShareId, decide_files,
    decide_hosting_files,
};

use super::sync::{Mutex, locked};
use super::{Closed, Unconfirmed};
use crate::problem::chain;
use crate::request;
use crate::serve::Serve;

/// What a session can be ended with.
pub(crate) trait Switch: Send + Sync {
    /// Ends the session: returns at once, and may be called again. Nothing can be begun with it after that.
    fn kill(&self);

    /// Returns when nothing of the session is open any more, not a file either.
    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A switch, as channels hold it.
#[derive(Clone)]
pub(crate) struct KillSwitch(pub(crate) Arc<dyn Switch>);

impl fmt::Debug for KillSwitch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KillSwitch")
    }
}

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
}

impl Unconfirmed {
    fn of_files(session: &FileSession) -> Self {
        Self { channel: session.protocol.as_str(), what: format!("the session of {}", session.login) }
    }
}

/// Sessions that were killed and have something open still.
#[derive(Default)]
pub(super) struct Lingering(Mutex<BTreeMap<String, FileSession>>);

impl Lingering {
    /// Those of a share.
    pub(super) fn of_share(&self, share: ShareId) -> Vec<Unconfirmed> {
        let all = locked(&self.0);
        all.values().filter(|one| one.rests_on == RestsOn::Share(share)).map(Unconfirmed::of_files).collect()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        locked(&self.0).len()
    }
}

/// Waits until sessions that were killed have nothing open any more. What has not by then is unconfirmed until it is.
pub(super) async fn close(
    serve: &Arc<Serve>,
    killed: Vec<FileSession>,
    patience: Duration,
) -> (Closed, Vec<Unconfirmed>) {
    locked(&serve.state.channels.lingering.0)
        .extend(killed.iter().map(|session| (session.id.clone(), session.clone())));
    let hostings: BTreeSet<HostingId> = killed.iter().map(|session| session.permit.hosting().clone()).collect();
    let waiting: Vec<_> = killed
        .into_iter()
        .map(|session| {
            let (serve, waited_for) = (serve.clone(), session.clone());
            let ended = request::spawn(async move {
                waited_for.switch.0.ended().await;
                locked(&serve.state.channels.lingering.0).remove(&waited_for.id);
            });
            (session, ended)
        })
        .collect();
    for hosting in hostings {
        let serve = serve.clone();
        request::spawn(async move {
            // Whatever a session waits for at a worker that hangs, it waits for no longer.
            if let Err(error) = serve.files.settle(&hosting).await {
                tracing::warn!(error = %chain(&error), %hosting, "a files worker could not be asked for a word");
            }
        });
    }
    let until = tokio::time::Instant::now() + patience;
    let (mut closed, mut unconfirmed) = (Closed::default(), Vec::new());
    for (session, ended) in waiting {
        match tokio::time::timeout_at(until, ended).await {
            Ok(Ok(())) => match session.protocol {
                FileProtocol::Sftp => closed.sftp += 1,
                FileProtocol::Ftp => closed.ftp += 1,
            },
            _ => unconfirmed.push(Unconfirmed::of_files(&session)),
        }
    }
    (closed, unconfirmed)
}
