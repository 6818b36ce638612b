//! What the agent does by itself: sweeping at the start, ending shares by the clock, trying again, writing the audit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{Share, ShareState};
use tokio::sync::mpsc;

use crate::accounts;
use crate::caller::Caller;
use crate::channels;
use crate::clock::{Pauses, later, until};
use crate::problem::chain;
use crate::serve::{Record, Serve};
use crate::shares;
use crate::store::access_rows;
use crate::store::audit::Head;

/// The clock may jump: no pause is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// People hear of an end this long before it.
const ANNOUNCED_BEFORE: Duration = Duration::from_secs(3 * 24 * 3600);
const HEADS_TOGETHER: Duration = Duration::from_millis(200);
const HEAD_OFFERED_AGAIN: Duration = Duration::from_secs(2);

/// Ends what has died while the agent was down, before anything listens.
pub(crate) async fn sweep_at_start(serve: &Arc<Serve>) {
    match serve.change(Caller::agent(), shares::end_by_clock).await {
        Ok((count, ended)) => tracing::info!(count, ?ended, "shares that had expired were ended"),
        Err(problem) => tracing::error!(detail = %problem.detail, "expired shares could not be ended in the state"),
    }
    if let Err(problem) = serve.change(Caller::agent(), accounts::make_missing).await {
        tracing::error!(detail = %problem.detail, "file accounts that shares should have could not be made");
    }
    let dead = serve.state.channels.sweep(serve.state.clock.now());
    let ended = channels::close(serve, dead).await;
    if ended != channels::Ended::default() {
        tracing::info!(?ended, "channels of shares that ended were closed");
    }
}

/// Ends shares when their time is over.
pub(crate) async fn expire_shares(serve: Arc<Serve>) {
    let mut changes = serve.state.changes();
    let mut announced = HashSet::new();
    loop {
        let (table, now) = (serve.state.table(), serve.state.clock.now());
        let open = || table.shares().filter(|share| !share.state.is_final());
        let next = open().filter_map(|share| share.terms.expires_at).min();
        if next.is_some_and(|next| next <= now) {
            end_by_clock(&serve).await;
        }
        for share in open().filter(|share| ends_soon(share, now)) {
            if announced.insert((share.id, share.terms.expires_at)) {
                announce(&serve, Share::clone(share)).await;
            }
        }
        let pause = next.map_or(LONGEST_PAUSE, |next| until(next, now)).min(LONGEST_PAUSE);
        let _ = tokio::time::timeout(pause.max(Duration::from_millis(5)), changes.changed()).await;
    }
}

/// Ends what is over now. Whose sites hang does not delay the next.
async fn end_by_clock(serve: &Arc<Serve>) {
    match serve.change_at_once(Caller::agent(), shares::end_by_clock).await {
        Ok(count) => tracing::info!(count, "shares expired"),
        Err(problem) => {
            tracing::error!(detail = %problem.detail, "expired shares could not be ended in the state");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Access for a few days only needs no reminder.
fn ends_soon(share: &Share, now: Timestamp) -> bool {
    share.state == ShareState::Active
        && share.terms.expires_at.is_some_and(|end| {
            end <= later(now, ANNOUNCED_BEFORE) && end > later(share.created_at, ANNOUNCED_BEFORE * 2)
        })
}

/// Tells a person that their access ends soon; once, also across restarts.
async fn announce(serve: &Arc<Serve>, share: Share) {
    let gateway_url = serve.config.gateway.url.clone();
    let announced = serve.change(Caller::agent(), move |change| {
        if access_rows::mark_expiry_announced(change.connection(), &share.id.to_string())? {
            shares::announce_expiry(change, &share, &gateway_url)?;
        }
        Ok(())
    });
    if let Err(problem) = announced.await {
        tracing::warn!(detail = %problem.detail, "an end could not be announced");
    }
}

/// Tries again to end what could not be reached, until it is done.
pub(crate) async fn retry_unconfirmed(serve: Arc<Serve>) {
    let mut pauses = Pauses::between(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        let pause = pauses.next();
        tokio::time::sleep(pause).await;
        let before = serve.state.channels.unconfirmed();
        if before == 0 {
            pauses.begin_again();
            continue;
        }
        // Nobody waits for this any more: a site that is slow, not gone, gets longer each time until it is done.
        channels::retry_unconfirmed(&serve, channels::TIME_FOR_SITES + pause).await;
        if serve.state.channels.unconfirmed() < before {
            pauses.begin_again();
        }
    }
}

/// Looks at sites again after sessions were ended there.
pub(crate) async fn look_again(serve: Arc<Serve>) {
    loop {
        tokio::time::sleep(LONGEST_PAUSE).await;
        channels::look_again(&serve);
    }
}

/// Writes down what ended while the state could not be written, as soon as it can be.
pub(crate) async fn catch_up(serve: Arc<Serve>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if serve.state.is_behind() && serve.change(Caller::agent(), |_| Ok(())).await.is_ok() {
            tracing::info!("what ended while the state could not be written is written down");
        }
    }
}

/// Writes what is noted outside of a change into the audit.
pub(crate) fn write_records(serve: Arc<Serve>, mut records: mpsc::Receiver<Record>) {
    tokio::spawn(async move {
        while let Some(Record { caller, note, outcome, written: told }) = records.recv().await {
            let serve = serve.clone();
            let written = tokio::task::spawn_blocking(move || serve.state.record(&caller, note, outcome)).await;
            // Whoever noted it may have gone.
            let _ = told.send(());
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(error = %chain(&error), "the audit cannot be written"),
                Err(error) => tracing::error!(%error, "the audit cannot be written"),
            }
        }
    });
}

/// Gives each end of the audit's chain to the broker, where serve cannot rewrite it; the one found at the start too.
pub(crate) async fn hand_over_audit_heads(serve: Arc<Serve>) {
    let mut heads = serve.state.audit_heads();
    loop {
        let head = heads.borrow_and_update().clone();
        let pause = match head {
            Some(head) if head.seq != serve.state.recorded_head() => hand_over(&serve, head).await,
            _ => Duration::ZERO,
        };
        // Heads that follow each other quickly are handed over together; one that was not taken is offered again.
        tokio::time::sleep(pause).await;
        if pause != HEAD_OFFERED_AGAIN && heads.changed().await.is_err() {
            return;
        }
    }
}

/// Answers with how long to wait before the next one.
async fn hand_over(serve: &Arc<Serve>, head: Head) -> Duration {
    let (broker, seq) = (serve.broker.clone(), head.seq);
    match tokio::task::spawn_blocking(move || broker.record_audit_head(head.seq, head.hash)).await {
        Ok(Ok(())) => {
            serve.state.head_is_recorded(seq);
            return HEADS_TOGETHER;
        }
        Ok(Err(error)) => tracing::warn!(error = %chain(&error), seq, "the broker did not take the head of the audit"),
        Err(error) => tracing::error!(%error, "the head of the audit was not handed over"),
    }
    HEAD_OFFERED_AGAIN
}
