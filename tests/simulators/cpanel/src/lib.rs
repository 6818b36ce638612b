//! Plays cPanel for tests of the adapter: the published API (UAPI, and API 2 for cron) over plain HTTP on loopback, its
//! vices, and faults on request.
//!
//! Written from the published documentation alone. Its vices: status 200 for what failed, changes by GET, lines of a
//! crontab that are named by their place, stale serials refused, a login page for a token that is not valid, an envelope
//! that the documentation shows and hosts are said not to send. It does not play what no adapter of ours calls.

mod account;
mod api2;
mod arguments;
mod faults;
mod http;
mod journal;
mod others;
mod uapi;
mod zone;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub use account::{Account, CronLine, Database, DatabaseUser, FtpAccount, Mailbox};
pub use faults::{Fault, Faults};
pub use journal::{Entry, Kind, Outcome, blind_repeat};
pub use others::Others;
pub use uapi::Envelope;
pub use zone::{Item, Record, Zone};

/// A cPanel of one account. Dropped, it is gone.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepts: Option<JoinHandle<()>>,
}

/// What its threads share.
#[derive(Debug)]
struct Shared {
    played: Mutex<Played>,
    is_over: AtomicBool,
}

/// What it plays, and what it was asked so far.
#[derive(Debug)]
pub struct Played {
    /// The account as it is.
    pub account: Account,
    /// What goes wrong.
    pub faults: Faults,
    /// What somebody else does meanwhile.
    pub others: Others,
    /// How answers are wrapped.
    pub envelope: Envelope,
    /// What was asked, in order.
    pub journal: Vec<Entry>,
}

impl Simulator {
    /// Starts on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(account: Account) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (faults, others) = (Faults::default(), Others::default());
        let played = Played { account, faults, others, envelope: Envelope::Bare, journal: Vec::new() };
        let shared = Arc::new(Shared { played: Mutex::new(played), is_over: AtomicBool::new(false) });
        let accepts = thread::Builder::new().name("cpanel".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        })?;
        Ok(Self { shared, address, accepts: Some(accepts) })
    }

    /// Where it is, as adapters are told: scheme, address and port.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it plays, to look at and to change. Requests wait meanwhile.
    pub fn played(&self) -> MutexGuard<'_, Played> {
        self.shared.played()
    }

    /// Blocks for as long as it runs, which is until the program ends.
    pub fn wait(mut self) {
        if let Some(accepts) = self.accepts.take() {
            drop(accepts.join());
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepts) = self.accepts.take() {
            drop(accepts.join());
        }
    }
}

impl Shared {
    fn played(&self) -> MutexGuard<'_, Played> {
        self.played.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_over.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // A client that went away in the middle is its own loss.
        thread::spawn(move || drop(http::serve(stream, &shared)));
    }
}
