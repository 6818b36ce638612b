//! The runners: each under a user id of its own.
//!
//! What one may do is confined in `latchkey-runner`. It ends by itself when serve closes its end of the socket.

use std::{
    collections::BTreeSet,
    fs::File,
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use latchkey_protocol::FrameSocket;

use super::{AdapterError, config::AdaptersConfig, system};
use crate::{
    slots::Full,
    spawn,
    system_users::Accounts,
    workers::{StillThere, Workers},
};

/// One adapter may have two: one may still be ending while the next begins.
const PER_ADAPTER: usize = 2;

/// All that run.
#[derive(Debug)]
pub(super) struct Runners {
    program: PathBuf,
    workers: Workers,
    uids: Uids,
}

impl Runners {
    /// None yet.
    pub(super) fn new(config: &AdaptersConfig) -> Self {
        Self {
            program: config.runner.clone(),
            workers: Workers::new("runner", config.runners, PER_ADAPTER),
            // One more for the compiler.
            uids: Uids { first: config.first_uid, count: config.runners + 1, in_use: Arc::default() },
        }
    }

    /// The user ids of runners.
    pub(super) fn uids(&self) -> &Uids {
        &self.uids
    }

    /// Starts one with a compiled component. It dies with the broker.
    pub(super) fn start(&self, name: &str, compiled: File) -> Result<OwnedFd, AdapterError> {
        let place = self.workers.place(name).map_err(AdapterError::Full)?;
        let uid = self.uids.take().ok_or(AdapterError::Full(Full::Total))?;
        let (serves, runners) = FrameSocket::pair()?;
        let mut command = spawn::worker(&self.program);
        command
            .args(uid.arguments())
            .stdin(Stdio::from(OwnedFd::from(runners)))
            // Read, not written: see the runner's header.
            .stdout(Stdio::from(compiled));
        self.workers.start(name, command, (place, uid)).map_err(system("start", &self.program))?;
        Ok(serves.into())
    }

    /// Kills those of an adapter and waits until they are gone.
    pub(super) fn stop(&self, name: &str) -> Result<(), StillThere> {
        self.workers.stop(name)
    }
}

/// User ids that no account has.
#[derive(Debug, Clone)]
pub(super) struct Uids {
    first: u32,
    count: usize,
    in_use: Arc<Mutex<BTreeSet<u32>>>,
}

/// One in use; given back on drop.
#[derive(Debug)]
pub(super) struct TakenUid {
    uid: u32,
    in_use: Arc<Mutex<BTreeSet<u32>>>,
}

impl Uids {
    /// The first one that nobody uses; `None` when all are in use or belong to accounts.
    pub(super) fn take(&self) -> Option<TakenUid> {
        let accounts = Accounts::read().ok()?;
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = (self.first..).take(self.count).filter(|uid| !in_use.contains(uid));
        let uid = free.find(|uid| !accounts.has_uid(*uid))?;
        in_use.insert(uid);
        Some(TakenUid { uid, in_use: Arc::clone(&self.in_use) })
    }
}

impl TakenUid {
    /// What a program that becomes this user is told.
    pub(super) fn arguments(&self) -> [String; 3] {
        [
            format!("--broker-pid={}", std::process::id()),
            format!("--uid={}", self.uid),
            // The group of the same number is nobody's either, as far as files go.
            format!("--gid={}", self.uid),
        ]
    }
}

impl Drop for TakenUid {
    fn drop(&mut self) {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uid);
    }
}
