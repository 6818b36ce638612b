//! FTP, as far as it is ours: `latchkey-ftpauth` asks here who may come in, and every session is a connection of its.
//!
//! What a session does to files comes over its connection, too, and goes into the audit as what SFTP sessions do.
//!
//! A session ends when we finish the connection; that it has ended is known when ftpauth says so, or has started anew
//! and so has ended all from before.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latchkey_access::FileProtocol;
use latchkey_protocol::{FtpAnswered, FtpAsked, FtpDeed, FtpDid, FtpSignIn, SitePath};
use tokio::sync::watch;

use crate::accounts::{self, Credential, Entrance, Entry, FileEvent, Peer, Refused};
use crate::channels::Switch;
use crate::frames::{Connection, Frames};
use crate::ftp_quota::{Counting, FtpQuotas};
use crate::problem::chain;
use crate::request;
use crate::serve::Serve;

/// It asks as soon as it is connected.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, so that the log does not fill.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers `latchkey-ftpauth` for ever.
pub(crate) async fn listen(serve: Arc<Serve>, frames: Frames) {
    let quotas = Arc::new(FtpQuotas::default());
    let starts = watch::Sender::new(0_u64);
    loop {
        let connection = match frames.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection of latchkey-ftpauth");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !matches!(connection.peer_uid(), Ok(0)) {
            tracing::warn!("somebody who is not root connected in place of latchkey-ftpauth");
            continue;
        }
        let (serve, starts, quotas) = (serve.clone(), starts.clone(), quotas.clone());
        tokio::spawn(async move {
            request::under(&request::new_id(), answer(&serve, &quotas, connection, &starts)).await;
        });
    }
}

async fn answer(serve: &Arc<Serve>, quotas: &Arc<FtpQuotas>, connection: Connection, starts: &watch::Sender<u64>) {
    // Those that are let in from here on are not from before the next start.
    let next_start = starts.subscribe();
    match tokio::time::timeout(PATIENCE, connection.receive::<FtpAsked>()).await {
        Ok(Ok(FtpAsked::Started)) => {
            starts.send_modify(|count| *count += 1);
            let _ = connection.send(&FtpAnswered::Noted);
        }
        Ok(Ok(FtpAsked::SignIn(sign_in))) => {
            let connection = Arc::new(connection);
            if let Err(Refused) = let_in(serve, quotas, &connection, &sign_in, next_start).await {
                // It may have given up by now.
                let _ = connection.send(&FtpAnswered::Refused);
            }
        }
        Ok(Ok(FtpAsked::Did(_) | FtpAsked::Ended)) | Err(_) => {}
        Ok(Err(error)) => tracing::warn!(error = %chain(&error), "latchkey-ftpauth asked nothing"),
    }
}

/// Lets somebody in and stays until the session is over.
async fn let_in(
    serve: &Arc<Serve>,
    quotas: &Arc<FtpQuotas>,
    connection: &Arc<Connection>,
    sign_in: &FtpSignIn,
    mut next_start: watch::Receiver<u64>,
) -> Result<(), Refused> {
    let address: IpAddr = sign_in.peer.parse().map_err(|_| Refused)?;
    let peer = Peer { address, client: String::new() };
    let password = Credential::Password(&sign_in.password.0);
    let who = accounts::sign_in(serve, &sign_in.login, password, FileProtocol::Ftp, &peer).await?;
    let session = Arc::new(FtpSession {
        connection: connection.clone(),
        is_killed: watch::Sender::new(false),
        is_over: watch::Sender::new(false),
    });
    let entrance = accounts::enter(serve, who, session.clone()).await?;
    let begun = tokio::select! {
        biased;
        () = session.killed() => Err(Refused),
        begun = begin(serve, quotas, connection, &entrance) => begun,
    };
    if begun.is_ok() {
        tokio::select! {
            () = says_that_it_ended(connection, &entrance.entry) => {}
            _ = next_start.changed() => {}
        }
    }
    session.is_over.send_replace(true);
    begun.map(drop)
}

/// Has an account's quota counted, if it has one, and tells ftpauth who comes in.
async fn begin(
    serve: &Arc<Serve>,
    quotas: &Arc<FtpQuotas>,
    connection: &Connection,
    Entrance { permit, quota, entry }: &Entrance,
) -> Result<Option<Counting>, Refused> {
    let path = SitePath::parse_strict(permit.root().as_bytes()).map_err(|_| Refused)?;
    let counted = match quota {
        Some(quota) => {
            let begun = quotas.begin(serve, entry.login(), (permit.hosting(), &path), *quota).await;
            Some(begun.map_err(|error| {
                tracing::warn!(error = %chain(&error), login = entry.login(), "an FTP account's quota is not counted");
                Refused
            })?)
        }
        None => None,
    };
    let (quota_bytes, counting) = counted.unzip();
    let welcome = FtpAnswered::Welcome { hosting: permit.hosting().to_string(), path, quota_bytes };
    connection.send(&welcome).map(|()| counting).map_err(|_| Refused)
}

/// Waits for ftpauth's word, and notes what it tells of the session until then. One that is gone has not given it: then
/// the session may be alive until it has started anew.
async fn says_that_it_ended(connection: &Connection, entry: &Entry) {
    loop {
        match connection.receive::<FtpAsked>().await {
            Ok(FtpAsked::Did(FtpDid { what, path })) => entry.noted(event(what), path.as_bytes()),
            Ok(FtpAsked::Ended) => return,
            _ => break,
        }
    }
    tracing::warn!("latchkey-ftpauth is gone, and has not said that a session ended");
    std::future::pending::<()>().await;
}

const fn event(what: FtpDeed) -> FileEvent {
    match what {
        FtpDeed::Downloaded => FileEvent::Download,
        FtpDeed::Uploaded => FileEvent::Upload,
        FtpDeed::Removed => FileEvent::Remove,
        FtpDeed::Renamed => FileEvent::Rename,
    }
}

/// How a session is ended.
struct FtpSession {
    connection: Arc<Connection>,
    is_killed: watch::Sender<bool>,
    is_over: watch::Sender<bool>,
}

impl FtpSession {
    async fn killed(&self) {
        // The sender lives as long as `self`.
        let _ = self.is_killed.subscribe().wait_for(|killed| *killed).await;
    }
}

impl Switch for FtpSession {
    fn kill(&self) {
        self.is_killed.send_replace(true);
        self.connection.finish();
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // The sender lives as long as `self`.
            let _ = self.is_over.subscribe().wait_for(|over| *over).await;
        })
    }
}
