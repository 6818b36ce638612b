//! Where connections come from: how many there may be, and who has to wait outside.
//!
//! A source is an IPv4 address or an IPv6 network of 64 bits. Who has not signed in makes place for who comes later,
//! first at the same source, then at the one that has most of them; who has signed in never does.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::conn::Switch;

/// What is allowed before anybody is known, and after.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that have not signed in, in all.
    pub starting: usize,
    /// Connections that have not signed in, of one source.
    pub starting_of_one: usize,
    /// Connections that have signed in, in all.
    pub connections: usize,
    /// Connections that have signed in, of one source.
    pub connections_of_one: usize,
    /// How long signing in may take.
    pub login_grace: Duration,
    /// How often signing in may fail on one connection.
    pub attempts: u32,
    /// How long each refused attempt takes, whatever the reason.
    pub rejection_time: Duration,
    /// How long it takes to refuse a key that a client only asks about. It may have many of them to ask about.
    pub refused_key_time: Duration,
    /// A connection on which nothing comes in for so long ends.
    pub inactivity: Duration,
    /// After so many bytes in one direction the server exchanges keys anew.
    pub rekey_after_bytes: usize,
    /// A connection on which nothing moves for so long, although it is not the client that is waited for, ends.
    pub stuck_after: Duration,
    /// Sessions on one connection at a time.
    pub channels: usize,
    /// What each failed attempt adds to the time for which a source has to wait outside.
    pub penalty: Duration,
    /// A source whose time is shorter is not made to wait yet.
    pub penalty_from: Duration,
    /// The longest time.
    pub penalty_max: Duration,
    /// Sources whose time is remembered; beyond that somebody is forgotten for each that is new.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            starting: 100,
            starting_of_one: 10,
            connections: 2000,
            connections_of_one: 100,
            login_grace: Duration::from_secs(30),
            attempts: 6,
            rejection_time: Duration::from_millis(250),
            refused_key_time: Duration::from_millis(50),
            inactivity: Duration::from_secs(15 * 60),
            rekey_after_bytes: 1 << 30,
            stuck_after: Duration::from_secs(45),
            channels: 10,
            penalty: Duration::from_secs(5),
            penalty_from: Duration::from_secs(25),
            penalty_max: Duration::from_secs(600),
            remembered: 16_384,
        }
    }
}

/// How somebody behaved on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conduct {
    /// Signed in.
    Good,
    /// Failed so many times, and did not sign in.
    Failed(u32),
    /// Went away, or stayed, without an attempt. As scanners do, and load balancers: a fifth of a failure.
    NoSignIn,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The source failed too often.
    #[error("its source failed to sign in too often")]
    Penalty,
    /// There is no room for one that has not signed in.
    #[error("there is no room")]
    Full,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Sources {
    table: Arc<Mutex<Table>>,
    limits: Limits,
}

/// A connection's place; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Mutex<Table>>,
    source: Source,
    number: u64,
    limits: Limits,
    /// Changed under the lock of the table only.
    has_signed_in: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    starting: usize,
    signed_in: usize,
    present: HashMap<Source, Present>,
    waits_until: HashMap<Source, Instant>,
}

/// The connections of a source.
#[derive(Debug, Default)]
struct Present {
    /// In the order in which they came.
    starting: BTreeMap<u64, Switch>,
    signed_in: usize,
}

impl Sources {
    pub(super) fn new(limits: Limits) -> Self {
        Self { table: Arc::default(), limits }
    }

    /// Takes a place for a connection that `switch` ends.
    pub(super) fn admit(&self, address: IpAddr, switch: &Switch, now: Instant) -> Result<Place, Refusal> {
        let source = Source::of(address);
        let mut table = lock(&self.table);
        if table.wait(source, now) >= self.limits.penalty_from {
            return Err(Refusal::Penalty);
        }
        let of_one = table.present.get(&source).map_or(0, |present| present.starting.len());
        if of_one >= self.limits.starting_of_one {
            table.displace_oldest_of(source);
        } else if table.starting >= self.limits.starting {
            let crowd = table.present.iter().max_by_key(|(_, present)| present.starting.len());
            let crowd = crowd.map(|(source, _)| *source).ok_or(Refusal::Full)?;
            table.displace_oldest_of(crowd);
        }
        table.last += 1;
        let number = table.last;
        table.starting += 1;
        table.present.entry(source).or_default().starting.insert(number, switch.clone());
        Ok(Place {
            table: Arc::clone(&self.table),
            source,
            number,
            limits: self.limits.clone(),
            has_signed_in: AtomicBool::new(false),
        })
    }

    /// Remembers how somebody behaved.
    pub(super) fn note(&self, address: IpAddr, conduct: Conduct, now: Instant) {
        let penalty = match conduct {
            Conduct::Good => return,
            Conduct::Failed(times) => self.limits.penalty.saturating_mul(times),
            Conduct::NoSignIn => self.limits.penalty / 5,
        };
        let source = Source::of(address);
        let mut table = lock(&self.table);
        if table.waits_until.len() >= self.limits.remembered && !table.waits_until.contains_key(&source) {
            table.forget_somebody(now);
        }
        let wait = (table.wait(source, now) + penalty).min(self.limits.penalty_max);
        table.waits_until.insert(source, now + wait);
    }
}

impl Place {
    /// Its connection has signed in: from here on nobody displaces it. False if there are too many of them, or if
    /// somebody has displaced it already.
    pub(super) fn begin_work(&self) -> bool {
        let mut table = lock(&self.table);
        let has_room = table.signed_in < self.limits.connections;
        let Some(present) = table.present.get_mut(&self.source) else { return false };
        if !has_room
            || present.signed_in >= self.limits.connections_of_one
            || present.starting.remove(&self.number).is_none()
        {
            return false;
        }
        present.signed_in += 1;
        table.starting -= 1;
        table.signed_in += 1;
        self.has_signed_in.store(true, Ordering::Release);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        let table = &mut *table;
        let Some(present) = table.present.get_mut(&self.source) else { return };
        if self.has_signed_in.load(Ordering::Acquire) {
            present.signed_in -= 1;
            table.signed_in -= 1;
        } else if present.starting.remove(&self.number).is_some() {
            table.starting -= 1;
        }
        if present.starting.is_empty() && present.signed_in == 0 {
            table.present.remove(&self.source);
        }
    }
}

impl Table {
    /// How long a source still has to wait.
    fn wait(&self, source: Source, now: Instant) -> Duration {
        self.waits_until.get(&source).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn displace_oldest_of(&mut self, source: Source) {
        let Some(present) = self.present.get_mut(&source) else { return };
        if let Some((_, switch)) = present.starting.pop_first() {
            switch.throw();
            self.starting -= 1;
        }
    }

    fn forget_somebody(&mut self, now: Instant) {
        self.waits_until.retain(|_, until| *until > now);
        // Whoever fills the table fills it with themselves.
        if let Some(somebody) = self.waits_until.keys().next().copied() {
            self.waits_until.remove(&somebody);
        }
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
