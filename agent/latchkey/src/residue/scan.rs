//! Scanning a hosting for what a person left there when their access ended, until it is done.
//!
//! PHP scans, as the hosting's system user, and it is not waited for: sessions end first, the reply has three seconds,
//! and a large site takes longer. What is not known yet is said to be looked at, and stands on the share later.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latchkey_access::ShareId;
use latchkey_protocol::RefusalCode;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::first_use::crontab;
use super::left_behind::{self, Left};
use crate::broker::BrokerError;
use crate::clock::{Pauses, later};
use crate::problem::chain;
use crate::request;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::residue::{self, FirstUse, Residue};
use crate::store::wordpress_sessions::Site;
use crate::wordpress::bridge::BridgeError;

/// So much is looked at of one hosting. Beyond it that is said.
const MOST_ENTRIES: u32 = 400_000;
const LONGEST_WALK: Duration = Duration::from_secs(20);
/// The walk, PHP's start and the answer.
const DEADLINE: Duration = Duration::from_secs(25);
/// Disks of a node are shared by all of its sites.
const MOST_AT_ONCE: usize = 2;
/// When the usual time for a request of PHP is over: one that was under way at the end may have written something.
const LOOKED_AT_AGAIN_AFTER: Duration = Duration::from_secs(35);
/// How long until looks are made that have become due, or that could not be made: those then after twice as long each time.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The scans that are under way.
pub(crate) struct Scans {
    room: Semaphore,
    underway: Mutex<HashSet<ShareId>>,
    put_off: Mutex<HashMap<ShareId, PutOff>>,
}

/// A look that could not be made.
struct PutOff {
    until: Instant,
    pauses: Pauses,
}

impl Default for Scans {
    fn default() -> Self {
        Self { room: Semaphore::new(MOST_AT_ONCE), underway: Mutex::default(), put_off: Mutex::default() }
    }
}

impl Scans {
    /// Whether a share's hosting is not to be looked at yet, because it could not be before.
    fn is_put_off(&self, share: ShareId) -> bool {
        lock(&self.put_off).get(&share).is_some_and(|put_off| put_off.until > Instant::now())
    }

    /// What came of a look.
    fn note(&self, share: ShareId, is_done: bool) {
        let mut all = lock(&self.put_off);
        if is_done {
            all.remove(&share);
            return;
        }
        let pauses = Pauses::between(PAUSE, LONGEST_PAUSE);
        let put_off = all.entry(share).or_insert_with(|| PutOff { until: Instant::now(), pauses });
        put_off.until = Instant::now() + put_off.pauses.next();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A share that is being looked at; on drop it no longer is.
struct Underway<'l> {
    scans: &'l Scans,
    share: ShareId,
}

impl<'l> Underway<'l> {
    /// `None` if somebody is looking at it already.
    fn begin(scans: &'l Scans, share: ShareId) -> Option<Self> {
        let new = lock(&scans.underway).insert(share);
        new.then_some(Self { scans, share })
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        lock(&self.scans.underway).remove(&self.share);
    }
}

/// Why a scan did not come to an end.
#[derive(Debug, thiserror::Error)]
enum ScanError {
    #[error("the hosting cannot be looked at")]
    Bridge(#[from] BridgeError),
    #[error("the scan cannot be read or written down")]
    Store(#[from] StoreError),
}

/// Scans for what shares left whose access has ended; answers at `until` at the latest with what is known by then.
pub(crate) async fn at_shares(serve: &Arc<Serve>, shares: BTreeSet<ShareId>, until: Instant) -> Vec<Residue> {
    let asked = serve.write(move |connection| {
        let mut used = Vec::new();
        for share in shares {
            if residue::ask_for_scan(connection, share)? {
                used.push(share);
            }
        }
        Ok(used)
    });
    let used = match asked.await {
        Ok(used) => used,
        Err(error) => {
            tracing::error!(error = %chain(&error), "it could not be written down what is to be looked at");
            return Vec::new();
        }
    };
    let mut scans = tokio::task::JoinSet::new();
    for share in used {
        let serve = serve.clone();
        scans.spawn(request::carried(async move { scan(&serve, share).await }));
    }
    let mut found = Vec::new();
    let mut all_done = true;
    while let Ok(Some(scan)) = tokio::time::timeout_at(until, scans.join_next()).await {
        match scan {
            Ok(Some(residue)) => found.extend(residue),
            _ => all_done = false,
        }
    }
    all_done &= scans.is_empty();
    scans.detach_all();
    if !all_done {
        found.push(Residue::being_looked_at());
    }
    found
}

/// Makes the looks that are due, for ever: the second ones, and those that failed or that a stop of the agent cut off.
pub(crate) async fn look_when_due(serve: Arc<Serve>) {
    loop {
        let now = serve.state.clock.now();
        // Twice, because one may be put off between this moment and when it is read.
        let latest = later(now, 2 * LOOKED_AT_AGAIN_AFTER);
        match serve.read(move |connection| residue::to_be_scanned(connection, now, latest)).await {
            Ok(shares) => {
                for share in shares.into_iter().filter(|share| !serve.scans.is_put_off(*share)) {
                    scan(&serve, share).await;
                }
            }
            Err(error) => tracing::error!(error = %chain(&error), "what is to be looked at cannot be read"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Scans one share's hosting. `None`: not done.
async fn scan(serve: &Arc<Serve>, share: ShareId) -> Option<Vec<Residue>> {
    let _underway = Underway::begin(&serve.scans, share)?;
    let _room = serve.scans.room.acquire().await.ok()?;
    let scanned = scan_and_save(serve, share).await;
    serve.scans.note(share, scanned.is_ok());
    match scanned {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(error = %chain(&error), %share, "what a share left behind is not known yet");
            None
        }
    }
}

async fn scan_and_save(serve: &Arc<Serve>, share: ShareId) -> Result<Vec<Residue>, ScanError> {
    let first = serve.read(move |connection| residue::first_use(connection, share)).await?;
    let Some(first) = first else { return Ok(Vec::new()) };
    // Where the site is now: its files moved with it.
    let site = serve.site(&first.instance).unwrap_or_else(|_| first.site.clone());
    let left = match ask(serve, &site, &first).await {
        Err(BridgeError::Broker(BrokerError::Refused { code: RefusalCode::NotFound, .. })) => None,
        answer => Some(answer?),
    };
    let found = match left {
        Some(left) => left_behind::in_words(&first, left, crontab(serve, &site.hosting).await),
        None => vec![left_behind::hosting_is_gone(&site.hosting)],
    };
    let kept = found.clone();
    let again_at = later(serve.state.clock.now(), LOOKED_AT_AGAIN_AFTER);
    serve.write(move |connection| residue::save_scan(connection, share, &kept, again_at)).await?;
    Ok(found)
}

#[derive(Serialize)]
struct LeftArgs<'a> {
    since: i64,
    entries: u32,
    ms: u64,
    keys: std::collections::BTreeMap<&'a str, &'a [String]>,
    folders: &'a [String],
}

async fn ask(serve: &Serve, site: &Site, first: &FirstUse) -> Result<Left, BridgeError> {
    let known = first.before.keys.iter().filter_map(|(file, lines)| Some((file.as_str(), lines.as_deref()?)));
    let args = LeftArgs {
        // PHP knows full seconds only. What changed within the second of the first use is told rather than missed.
        since: first.at.as_second(),
        entries: MOST_ENTRIES,
        ms: u64::try_from(LONGEST_WALK.as_millis()).unwrap_or(u64::MAX),
        keys: known.collect(),
        folders: &first.before.folders,
    };
    serve.bridge.examine(site, "residue.left", &args, DEADLINE).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_cannot_be_made_is_tried_less_and_less_often_until_it_is_made() {
        let (scans, share) = (Scans::default(), ShareId::from_number(1));
        for seconds in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            assert!(!scans.is_put_off(share));
            scans.note(share, false);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(scans.is_put_off(share) && !scans.is_put_off(ShareId::from_number(2)), "{seconds}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        scans.note(share, true);
        scans.note(share, false);
        tokio::time::advance(PAUSE).await;
        assert!(!scans.is_put_off(share));
    }
}
