//! Channels that end by a switch: whoever serves one hands it in, and nobody else has to be asked.
//!
//! Nothing here knows what the channel is. They are not kept in the state, because a restart ends them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use latchkey_access::{HostingId, ShareId};

use super::sync::{Mutex, locked};
use super::{Closed, Unconfirmed};
use crate::problem::chain;
use crate::request;
use crate::serve::Serve;

/// What a channel can be ended with.
pub(crate) trait Switch: Send + Sync {
    /// Ends it: returns at once, and may be called again. Nothing can be begun with it after that.
    fn kill(&self);

    /// Returns when nothing of it is open any more, not a file either.
    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// How many ways in were closed with it, once it has ended.
    fn closed(&self) -> u32 {
        1
    }
}

/// A switch, as channels hold it.
#[derive(Clone)]
pub(crate) struct KillSwitch(pub(crate) Arc<dyn Switch>);

impl fmt::Debug for KillSwitch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KillSwitch")
    }
}

/// A channel of this sort that has been told to end.
#[derive(Debug, Clone)]
pub(super) struct Killed {
    pub(super) id: String,
    /// The kind of channel, as replies name it.
    pub(super) kind: &'static str,
    /// Which one, in words.
    pub(super) what: String,
    pub(super) share: Option<ShareId>,
    /// Whose files worker it may be waiting for.
    pub(super) hosting: HostingId,
    pub(super) count: fn(&mut Closed, u32),
    pub(super) switch: KillSwitch,
}

impl Unconfirmed {
    fn of_killed(killed: &Killed) -> Self {
        Self { channel: killed.kind, what: killed.what.clone() }
    }
}

/// Channels that were killed and have something open still.
#[derive(Default)]
pub(super) struct Lingering(Mutex<BTreeMap<String, Killed>>);

impl Lingering {
    /// Those of a share.
    pub(super) fn of_share(&self, share: ShareId) -> Vec<Unconfirmed> {
        locked(&self.0).values().filter(|one| one.share == Some(share)).map(Unconfirmed::of_killed).collect()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        locked(&self.0).len()
    }
}

/// Waits until channels that were killed have nothing open any more. What has not by then is unconfirmed until it is.
pub(super) async fn close(serve: &Arc<Serve>, killed: Vec<Killed>, patience: Duration) -> (Closed, Vec<Unconfirmed>) {
    locked(&serve.state.channels.lingering.0).extend(killed.iter().map(|one| (one.id.clone(), one.clone())));
    let hostings: BTreeSet<HostingId> = killed.iter().map(|one| one.hosting.clone()).collect();
    let waiting: Vec<_> = killed
        .into_iter()
        .map(|one| {
            let (serve, waited_for) = (serve.clone(), one.clone());
            let ended = request::spawn(async move {
                waited_for.switch.0.ended().await;
                locked(&serve.state.channels.lingering.0).remove(&waited_for.id);
            });
            (one, ended)
        })
        .collect();
    for hosting in hostings {
        let serve = serve.clone();
        request::spawn(async move {
            // Whatever a channel waits for at a worker that hangs, it waits for no longer.
            if let Err(error) = serve.files.settle(&hosting).await {
                tracing::warn!(error = %chain(&error), %hosting, "a files worker could not be asked for a word");
            }
        });
    }
    let until = tokio::time::Instant::now() + patience;
    let (mut closed, mut unconfirmed) = (Closed::default(), Vec::new());
    for (one, ended) in waiting {
        match tokio::time::timeout_at(until, ended).await {
            Ok(Ok(())) => (one.count)(&mut closed, one.switch.0.closed()),
            _ => unconfirmed.push(Unconfirmed::of_killed(&one)),
        }
    }
    (closed, unconfirmed)
}
