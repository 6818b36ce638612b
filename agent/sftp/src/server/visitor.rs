//! One connection as the SSH layer tells of it: signing in, channels, and what is asked for on them.
//!
//! `subsystem sftp` is served. Everything else is refused, each with its reply, and what comes at the wrong time ends
//! the connection: replies to it would be queued without bound.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session as SshSession, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, MethodKind, MethodSet, Pty};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::algorithms;
use super::sources::Limits;
use crate::conn::{Gate, SessionHandle, Switch};
use crate::gatekeeper::{Entrance, FileEvent, Gatekeeper, Peer};
use crate::session::{Entered, Line, Notes, Session};

/// Requests that a client may send on a channel before it asks for the subsystem: variables of its environment.
const REQUESTS_BEFORE_START: u32 = 64;
/// Keys that a client may ask about on one connection.
pub(super) const OFFERS_MAX: u32 = 20;

/// Why a connection ended before its client wanted it to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The SSH layer says why.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// Signing in failed too often.
    #[error("signing in failed too often")]
    TooManyFailures,
    /// Nobody signed in in time.
    #[error("nobody signed in in time")]
    NoSignIn,
    /// There are too many connections.
    #[error("too many connections")]
    TooMany,
    /// Nothing of it moved any more.
    #[error("nothing moved any more")]
    Stuck,
    /// It was ended.
    #[error("it was ended")]
    Ended,
    /// Something came at a time at which it makes no sense.
    #[error("the client sent {0} at the wrong time")]
    OutOfPlace(&'static str),
}

/// What happened on a connection, for whoever watches over it.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Wrong passwords, and keys that would do and were not proven.
    failures: AtomicU32,
    has_signed_in: AtomicBool,
    signed_in: Notify,
    failed_too_often: Notify,
}

impl Record {
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Acquire)
    }

    pub(super) fn is_signed_in(&self) -> bool {
        self.has_signed_in.load(Ordering::Acquire)
    }

    pub(super) async fn signed_in(&self) {
        self.signed_in.notified().await;
    }

    /// Somebody goes on trying who has no attempts left.
    pub(super) async fn failed_too_often(&self) {
        self.failed_too_often.notified().await;
    }
}

/// The other end of one connection.
pub(super) struct Visitor<G: Gatekeeper> {
    gatekeeper: Arc<G>,
    limits: Limits,
    peer: Peer,
    gate: Arc<Gate>,
    switch: Switch,
    record: Arc<Record>,
    offers: u32,
    signed_in: Option<G::SignedIn>,
    entered: Option<Arc<Entered>>,
    channels: HashMap<ChannelId, Stage>,
}

/// How far a channel is.
enum Stage {
    /// Open, and nothing asked for that is served.
    Open { channel: Channel<Msg>, requests: u32 },
    /// Served by a session.
    Served(JoinHandle<()>),
}

/// The methods by which anybody signs in. The same list is told to everybody.
pub(super) fn methods() -> MethodSet {
    MethodSet::from([MethodKind::PublicKey, MethodKind::Password].as_slice())
}

impl<G: Gatekeeper> Visitor<G> {
    pub(super) fn new(
        gatekeeper: Arc<G>,
        limits: Limits,
        peer: Peer,
        (gate, switch): (Arc<Gate>, Switch),
        record: Arc<Record>,
    ) -> Self {
        Self {
            gatekeeper,
            limits,
            peer,
            gate,
            switch,
            record,
            offers: 0,
            signed_in: None,
            entered: None,
            channels: HashMap::new(),
        }
    }

    /// The client has named itself before anything is asked of the gatekeeper.
    fn peer(&mut self) -> &Peer {
        if self.peer.client.is_empty() {
            self.gate.identification().clone_into(&mut self.peer.client);
        }
        &self.peer
    }

    /// Whether there are attempts left. If not, the connection is ended from outside, with a sentence that cannot be said
    /// from here.
    fn may_try(&self) -> bool {
        let may_try = self.record.failures() < self.limits.attempts;
        if !may_try {
            self.record.failed_too_often.notify_one();
        }
        may_try
    }

    fn count_failure(&self) {
        self.record.failures.fetch_add(1, Ordering::AcqRel);
    }

    /// The answer to an attempt that began then: a refusal takes its time.
    async fn sign_in(&mut self, who: Option<G::SignedIn>, began: Instant) -> Auth {
        self.signed_in = who;
        if self.signed_in.is_some() {
            return Auth::Accept;
        }
        sleep_until(began + self.limits.rejection_time).await;
        refused()
    }

    /// Refuses a request on a channel that is not served yet; on one that is it makes no sense.
    fn refuse_request(
        &mut self,
        id: ChannelId,
        what: &'static str,
        session: &mut SshSession,
    ) -> Result<(), ConnectionError> {
        match self.channels.get_mut(&id) {
            Some(Stage::Open { requests, .. }) if *requests < REQUESTS_BEFORE_START => *requests += 1,
            _ => return Err(ConnectionError::OutOfPlace(what)),
        }
        Ok(session.channel_failure(id)?)
    }

    fn start(&mut self, id: ChannelId, session: &SshSession) -> Result<(), ConnectionError> {
        let Some(Stage::Open { channel, .. }) = self.channels.remove(&id) else {
            return Err(ConnectionError::OutOfPlace("subsystem"));
        };
        let entered = self.entered.as_ref().ok_or(ConnectionError::OutOfPlace("subsystem"))?;
        let (incoming, _) = channel.split();
        let line = Line {
            incoming,
            outgoing: session.handle(),
            channel: id,
            gate: Arc::clone(&self.gate),
            switch: self.switch.clone(),
        };
        let task = tokio::spawn(Session::new(Arc::clone(entered), line).run());
        self.channels.insert(id, Stage::Served(task));
        Ok(())
    }
}

impl<G: Gatekeeper> Handler for Visitor<G> {
    type Error = ConnectionError;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(refused())
    }

    async fn auth_password(&mut self, login: &str, password: &str) -> Result<Auth, Self::Error> {
        if !self.may_try() {
            return Ok(refused());
        }
        let began = Instant::now();
        self.peer();
        let who = self.gatekeeper.by_password(login, password, &self.peer).await;
        if who.is_none() {
            self.count_failure();
        }
        Ok(self.sign_in(who, began).await)
    }

    async fn auth_publickey_offered(&mut self, login: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        if !self.may_try() {
            return Ok(refused());
        }
        self.offers += 1;
        if self.offers > OFFERS_MAX {
            return Err(ConnectionError::OutOfPlace("more keys than anybody has"));
        }
        self.peer();
        let is_known = algorithms::is_accepted(offer.algorithm)
            && self.gatekeeper.knows_key(login, offer.public_key, &self.peer).await;
        if !is_known {
            // No failure of the one who asks: a client asks about all it has.
            return Ok(refused());
        }
        // A failure unless a signature follows that lets in: the SSH layer does not tell of a wrong one.
        self.count_failure();
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, login: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let began = Instant::now();
        if !algorithms::is_accepted(key.algorithm) {
            return Ok(self.sign_in(None, began).await);
        }
        self.peer();
        let key: &PublicKey = key.public_key;
        let who = self.gatekeeper.by_key(login, key, &self.peer).await;
        Ok(self.sign_in(who, began).await)
    }

    async fn auth_succeeded(&mut self, session: &mut SshSession) -> Result<(), Self::Error> {
        let who = self.signed_in.take().ok_or(ConnectionError::OutOfPlace("a sign-in"))?;
        self.record.has_signed_in.store(true, Ordering::Release);
        self.record.signed_in.notify_one();
        let (handle, alive) = SessionHandle::new(self.switch.clone());
        match self.gatekeeper.enter(who, handle).await {
            Ok(Entrance { tree, access, quota, entry }) => {
                let notes = Box::new(EntryNotes { gatekeeper: Arc::clone(&self.gatekeeper), entry });
                self.entered = Some(Arc::new(Entered { tree, access, quota, notes, alive }));
                Ok(())
            }
            Err(refused) => Ok(session.disconnect(Disconnect::ByApplication, refused.reason, "en")?),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.channels.retain(|_, stage| !matches!(stage, Stage::Served(task) if task.is_finished()));
        if self.entered.is_none() || self.channels.len() >= self.limits.channels {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.channels.insert(channel.id(), Stage::Open { channel, requests: 0 });
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut SshSession) -> Result<(), Self::Error> {
        // A session notices by itself, and may still be writing; until then it counts.
        if matches!(self.channels.get(&id), Some(Stage::Open { .. })) {
            self.channels.remove(&id);
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut SshSession) -> Result<(), Self::Error> {
        match self.channels.get(&id) {
            Some(Stage::Served(task)) if !task.is_finished() => {
                self.gate.add(data.len());
                Ok(())
            }
            _ => Err(ConnectionError::OutOfPlace("data")),
        }
    }

    async fn extended_data(&mut self, _: ChannelId, _: u32, _: &[u8], _: &mut SshSession) -> Result<(), Self::Error> {
        Err(ConnectionError::OutOfPlace("extended data"))
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        if name != "sftp" {
            return self.refuse_request(id, "subsystem", session);
        }
        self.start(id, session)?;
        Ok(session.channel_success(id)?)
    }

    async fn exec_request(&mut self, id: ChannelId, _: &[u8], session: &mut SshSession) -> Result<(), Self::Error> {
        self.refuse_request(id, "exec", session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut SshSession) -> Result<(), Self::Error> {
        self.refuse_request(id, "shell", session)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.refuse_request(id, "pty-req", session)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.refuse_request(id, "x11-req", session)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: &str,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.refuse_request(id, "env", session)
    }

    async fn agent_request(&mut self, id: ChannelId, _: &mut SshSession) -> Result<bool, Self::Error> {
        match self.channels.get_mut(&id) {
            Some(Stage::Open { requests, .. }) if *requests < REQUESTS_BEFORE_START => *requests += 1,
            _ => return Err(ConnectionError::OutOfPlace("auth-agent-req")),
        }
        // The SSH layer sends the reply.
        Ok(false)
    }

    async fn window_change_request(
        &mut self,
        _: ChannelId,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        Err(ConnectionError::OutOfPlace("window-change"))
    }

    async fn signal(&mut self, _: ChannelId, _: russh::Sig, _: &mut SshSession) -> Result<(), Self::Error> {
        Err(ConnectionError::OutOfPlace("signal"))
    }
}

/// Passes on what a session did, with what its gatekeeper knows it by.
struct EntryNotes<G: Gatekeeper> {
    gatekeeper: Arc<G>,
    entry: G::Entry,
}

impl<G: Gatekeeper> Notes for EntryNotes<G> {
    fn note(&self, event: FileEvent) {
        self.gatekeeper.noted(&self.entry, event);
    }
}

/// Refused, with the same methods as ever.
fn refused() -> Auth {
    Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
}
