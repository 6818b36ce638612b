//! The server: takes connections, as many as there is room for, and sees each through to its end.

mod algorithms;
mod sources;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Config, RunningSession, run_stream};
use russh::{Disconnect, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::conn::{Conn, EndsWithConnection, Gate, Switch};
use crate::gatekeeper::{Gatekeeper, Peer};
use crate::host_key::HostKey;
pub use sources::Limits;
use sources::{Conduct, Place, Sources};
use visitor::{ConnectionError, Record, Visitor};

/// How many looks at a connection may find that nothing has moved.
const LOOKS_WITHOUT_PROGRESS: u32 = 3;
/// After a failed accept, which is for want of descriptors or memory.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// An SFTP server on the accounts that a gatekeeper knows.
pub struct Server<G> {
    shared: Arc<Shared<G>>,
}

struct Shared<G> {
    gatekeeper: Arc<G>,
    config: Arc<Config>,
    sources: Sources,
    limits: Limits,
}

impl<G: Gatekeeper> Server<G> {
    /// A server that proves itself with `key`.
    pub fn new(gatekeeper: Arc<G>, key: &HostKey, limits: Limits) -> Self {
        let config = Arc::new(config(key, &limits));
        let sources = Sources::new(limits.clone());
        Self { shared: Arc::new(Shared { gatekeeper, config, sources, limits }) }
    }

    /// Serves whoever connects, until it is dropped; connections that it took go on. Needs a runtime with several
    /// threads: a slow disk takes one of them at a time.
    pub async fn serve(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.take(stream, address),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept SFTP connections");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Takes a connection, if there is room for it.
    fn take(&self, stream: TcpStream, address: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        let gate = Arc::new(Gate::default());
        let Ok((conn, switch)) = Conn::over(stream, Arc::clone(&gate)) else { return };
        match shared.sources.admit(address.ip(), &switch, Instant::now()) {
            Ok(place) => {
                let connection = Connection { shared, gate, switch, place, address };
                tokio::spawn(connection.run(conn));
            }
            Err(refusal) => tracing::debug!(%address, %refusal, "an SFTP connection was not taken"),
        }
    }
}

/// One connection.
struct Connection<G: Gatekeeper> {
    shared: Arc<Shared<G>>,
    gate: Arc<Gate>,
    switch: Switch,
    place: Place,
    address: SocketAddr,
}

impl<G: Gatekeeper> Connection<G> {
    async fn run(self, conn: Conn) {
        let _ends = EndsWithConnection(self.switch.clone());
        let record = Arc::new(Record::default());
        let ended = self.serve(conn, &record).await;
        let conduct = conduct(&record);
        self.shared.sources.note(self.address.ip(), conduct, Instant::now());
        let client = self.gate.identification();
        match ended {
            Ok(()) => tracing::debug!(address = %self.address, client, "an SFTP connection ended"),
            Err(error) => tracing::debug!(address = %self.address, client, %error, "an SFTP connection broke off"),
        }
    }

    async fn serve(&self, conn: Conn, record: &Arc<Record>) -> Result<(), ConnectionError> {
        let grace = sleep_until(Instant::now() + self.shared.limits.login_grace);
        tokio::pin!(grace);
        let visitor = Visitor::new(
            Arc::clone(&self.shared.gatekeeper),
            self.shared.limits.clone(),
            Peer { address: self.address.ip(), client: String::new() },
            (Arc::clone(&self.gate), self.switch.clone()),
            Arc::clone(record),
        );
        let mut running = tokio::select! {
            running = run_stream(Arc::clone(&self.shared.config), conn, visitor) => running?,
            () = &mut grace => return Err(ConnectionError::NoSignIn),
            () = self.switch.thrown() => return Err(ConnectionError::Ended),
        };
        // Dropping a session that runs does not end it: throwing the switch does, which all ways out of here do.
        tokio::select! {
            ended = &mut running => return ended,
            () = &mut grace => return Err(ConnectionError::NoSignIn),
            () = record.signed_in() => {}
            () = record.failed_too_often() => {
                tokio::select! {
                    () = turn_away(&mut running) => {}
                    () = &mut grace => {}
                }
                return Err(ConnectionError::TooManyFailures);
            }
        }
        if !self.place.begin_work() {
            return Err(ConnectionError::TooMany);
        }
        self.see_through(&mut running).await
    }

    /// Waits for the end of a session, and brings it about when nothing of it moves.
    async fn see_through(&self, running: &mut RunningSession<Visitor<G>>) -> Result<(), ConnectionError> {
        let mut looks = interval(self.shared.limits.stuck_after / LOOKS_WITHOUT_PROGRESS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        let mut without_progress = 0;
        loop {
            tokio::select! {
                ended = &mut *running => return ended,
                _ = looks.tick() => {
                    let progress = self.gate.progress();
                    without_progress = if progress.is_some() && progress == last { without_progress + 1 } else { 0 };
                    last = progress;
                    if without_progress == LOOKS_WITHOUT_PROGRESS {
                        return Err(ConnectionError::Stuck);
                    }
                }
            }
        }
    }
}

/// Tells a client that it has no attempts left, and waits until it has left.
async fn turn_away<G: Gatekeeper>(running: &mut RunningSession<Visitor<G>>) {
    let words = ConnectionError::TooManyFailures.to_string();
    // Refused only where the client is gone already.
    let _ = running.handle().disconnect(Disconnect::NoMoreAuthMethodsAvailable, words, "en".into()).await;
    let _ = running.await;
}

/// What a connection says of where it came from.
fn conduct(record: &Record) -> Conduct {
    if record.is_signed_in() {
        Conduct::Good
    } else if record.failures() > 0 {
        Conduct::Failed(record.failures())
    } else {
        Conduct::NoSignIn
    }
}

fn config(key: &HostKey, limits: &Limits) -> Config {
    Config {
        // No version: whoever looks for one with a known flaw need not find it.
        server_id: SshId::Standard("SSH-2.0-Latchkey".into()),
        methods: visitor::methods(),
        // Passwords and proofs take longer, which the visitor sees to.
        auth_rejection_time: limits.refused_key_time,
        // Each client asks first which methods there are. That is no attempt.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key.private()],
        // Refilled when half of it is used up. The other half is what OpenSSH's client has on the way at most, so that a
        // long way does not make it wait.
        window_size: 4 * 1024 * 1024,
        maximum_packet_size: 32 * 1024,
        // Never full: the gate closes long before, and the SSH layer must not wait for a session that waits for it.
        channel_buffer_size: 100_000,
        event_buffer_size: 4,
        limits: russh::Limits {
            rekey_write_limit: limits.rekey_after_bytes,
            rekey_read_limit: limits.rekey_after_bytes,
            rekey_time_limit: Duration::from_secs(3600),
        },
        preferred: algorithms::preferred(),
        // The SSH layer counts whatever it refuses: the first question, and each key that a client only asks about. What
        // is a failure the visitor counts.
        max_auth_attempts: (1 + visitor::OFFERS_MAX + limits.attempts) as usize,
        inactivity_timeout: Some(limits.inactivity),
        ..Config::default()
    }
}
