//! Closing channels that were taken out of the registry, and saying truthfully what was closed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{HostingId, ShareId};

use super::at_site::End;
use super::endings::Begun;
use super::{Channel, Ended, Taken, Unconfirmed, looks, switched};
use crate::clock::{Stopwatch, later};
use crate::counted::COUNTED;
use crate::cron;
use crate::request;
use crate::residue::scan;
use crate::serve::Serve;
use crate::store::residue::{self, Residue};
use crate::store::wordpress_sessions::{self, Look, Site, WordpressSession};
use crate::store::{StoreError, gateway_rows};
use crate::wordpress::sessions;

/// A reply comes within three seconds, whatever hangs; this much of it is for the sites.
pub(crate) const TIME_FOR_SITES: Duration = Duration::from_millis(2_400);
/// A reply waits until then for what was left behind on the hosting.
const TIME_FOR_LOOKS: Duration = Duration::from_millis(2_700);
/// A site is asked to end no more sessions than these at once.
pub(super) const MOST_IN_ONE_CALL: usize = 20;
/// WordPress keeps nobody signed in for longer than two weeks.
const LONGEST_LOGIN: Duration = Duration::from_secs(14 * 24 * 3600);

type BegunSession = Begun<WordpressSession, Look>;

/// Closes channels that were taken out of the registry. Answers within three seconds.
///
/// Once begun it is carried through, whether the caller waits for it or not.
pub(crate) async fn close(serve: &Arc<Serve>, taken: Taken) -> Ended {
    if taken.is_empty() {
        return Ended::default();
    }
    let stopwatch = Stopwatch::start();
    let closed = request::spawn(close_all(serve.clone(), taken)).await;
    COUNTED.ends.count(stopwatch.elapsed());
    closed.unwrap_or_else(|error| {
        tracing::error!(%error, "closing channels failed; what is left of them is tried again");
        Ended::default()
    })
}

async fn close_all(serve: Arc<Serve>, taken: Taken) -> Ended {
    let mut ended = Ended::default();
    let Taken { wordpress, gateway, killed, cron, used, residue } = taken;
    ended.residue = residue;
    if !gateway.is_empty() {
        ended.closed.gateway = u32::try_from(gateway.len()).unwrap_or(u32::MAX);
        let removed = serve
            .write(move |connection| gateway.iter().try_for_each(|id| gateway_rows::delete_session(connection, id)));
        log_failure(removed.await);
    }
    let until = tokio::time::Instant::now() + TIME_FOR_LOOKS;
    let shares = &shares_that_ended(&serve, &wordpress) | &used;
    // Side by side: neither has to wait for the other.
    let ((closed, unconfirmed), (still_there, kept), ()) = tokio::join!(
        switched::close(&serve, killed, TIME_FOR_SITES),
        cron::close(&serve, cron, TIME_FOR_SITES),
        close_wordpress(&serve, wordpress, TIME_FOR_SITES, &mut ended)
    );
    ended.closed = ended.closed.and(&closed);
    ended.unconfirmed.extend(unconfirmed.into_iter().chain(still_there));
    ended.disabled.extend(kept);
    // After the sessions: they come first, and what somebody did until then is to be found.
    ended.residue.extend(scan::at_shares(&serve, shares, until).await);
    ended
}

/// The shares that no longer allow what these sessions were opened for.
fn shares_that_ended(serve: &Serve, begun: &[BegunSession]) -> BTreeSet<ShareId> {
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let is_allowed = |session: &WordpressSession| Channel::Wordpress(session.clone()).is_allowed(&table, now);
    begun
        .iter()
        .map(Begun::session)
        .filter(|session| !is_allowed(session))
        .filter_map(|session| session.share)
        .collect()
}

/// Tries once more to end what could not be reached. Sites have this long to answer.
pub(crate) async fn retry_unconfirmed(serve: &Arc<Serve>, time: Duration) {
    let now = serve.state.clock.now();
    let waiting = serve.state.channels.endings.begin_unconfirmed();
    let (over, waiting) = waiting.into_iter().partition(|begun| is_over(begun.session(), now));
    forget(serve, over).await;
    let mut untold = Ended::default();
    tokio::join!(close_wordpress(serve, waiting, time, &mut untold), cron::retry(serve, time));
}

/// Whether WordPress itself lets nobody in any more, with a session that a share left.
pub(super) fn is_over(session: &WordpressSession, now: Timestamp) -> bool {
    match session.share {
        None => session.expires_at <= now,
        Some(_) => later(session.expires_at, LONGEST_LOGIN) <= now,
    }
}

async fn close_wordpress(serve: &Arc<Serve>, begun: Vec<BegunSession>, time: Duration, ended: &mut Ended) {
    if begun.is_empty() {
        return;
    }
    // Written down as unconfirmed first: a crash from here on is made good at the next start.
    let marks: Vec<String> = begun.iter().map(|begun| begun.session().mark.clone()).collect();
    let noted = serve
        .write(move |connection| marks.iter().try_for_each(|mark| wordpress_sessions::mark_ending(connection, mark)));
    log_failure(noted.await);
    // One call for all sessions of a site: there is room for a few calls to a hosting at a time only.
    let mut sites: HashMap<Site, Vec<BegunSession>> = HashMap::new();
    for begun in begun {
        sites.entry(begun.session().site.clone()).or_default().push(begun);
    }
    let mut running = tokio::task::JoinSet::new();
    for (site, mut begun) in sites {
        while !begun.is_empty() {
            let group = begun.split_off(begun.len().saturating_sub(MOST_IN_ONE_CALL));
            let sessions: Vec<WordpressSession> = group.iter().map(|begun| begun.session().clone()).collect();
            let (serve, site) = (serve.clone(), site.clone());
            running.spawn(request::carried(async move {
                let ended = tokio::time::timeout(time, end_at_site(&serve, &site, group, time)).await;
                (sessions, ended)
            }));
        }
    }
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok((_, Ok(Ok((count, residue))))) => {
                ended.closed.wordpress = ended.closed.wordpress.saturating_add(count);
                ended.residue.extend(residue);
            }
            Ok((sessions, Ok(Err(error)))) => {
                tracing::warn!(error = %crate::problem::chain(&*error), "WordPress sessions could not be ended yet");
                ended.unconfirmed.extend(sessions.iter().map(Unconfirmed::of));
            }
            Ok((sessions, Err(_))) => {
                tracing::warn!("WordPress sessions could not be ended in time yet");
                ended.unconfirmed.extend(sessions.iter().map(Unconfirmed::of));
            }
            Err(error) => tracing::error!(%error, "ending WordPress sessions failed"),
        }
    }
}

type GroupError = Box<dyn std::error::Error + Send + Sync>;

/// Ends sessions of one site; answers with how many there were, and what is left behind.
async fn end_at_site(
    serve: &Arc<Serve>,
    site: &Site,
    begun: Vec<BegunSession>,
    time: Duration,
) -> Result<(u32, Vec<Residue>), GroupError> {
    let sessions: Vec<WordpressSession> = begun.iter().map(|begun| begun.session().clone()).collect();
    let shares: BTreeSet<ShareId> = sessions.iter().filter_map(|session| session.share).collect();
    let found = serve.read(move |connection| {
        let of_share = |share| Ok((share, wordpress_sessions::baselines(connection, share)?));
        shares.into_iter().map(of_share).collect::<Result<_, StoreError>>()
    });
    let end = End { sessions, baselines: found.await? }.without_allowed(serve);
    let report = end.carry_out(serve, site, time).await?;
    let mut residue = Vec::new();
    for (share, baselines) in &end.baselines {
        residue.extend(sessions::residue(&report, baselines).into_iter().map(|one| (*share, one)));
    }
    let told = residue.iter().map(|(_, one)| one.clone()).collect();
    confirm(serve, &end, begun, residue).await;
    Ok((report.ended, told))
}

/// Writes down that all of it has ended, what was left behind, and when the site is looked at again.
///
/// Where the share may still become the user, because only the session was closed, a session stays as a trace: what was
/// opened with a password changed in it must end with the share.
async fn confirm(serve: &Arc<Serve>, end: &End, begun: Vec<BegunSession>, residue: Vec<(ShareId, Residue)>) {
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let look_at = |begun: &BegunSession| looks::first(now, end.baseline_of(begun.session()).cloned());
    let looks: Vec<Look> = begun.iter().map(look_at).collect();
    let traces: Vec<WordpressSession> = end
        .sessions
        .iter()
        .filter(|session| session.share.is_some() && Channel::Wordpress((*session).clone()).is_allowed(&table, now))
        .map(|session| WordpressSession { expires_at: session.expires_at.min(now), ..session.clone() })
        .collect();
    let marks = begun.iter().map(|begun| begun.session().mark.clone());
    let watched: Vec<(String, Look)> = marks.zip(looks.iter().cloned()).collect();
    let (rows, baselines) = (traces.clone(), end.baselines.clone());
    let written = serve.write(move |connection| {
        for (share, of) in &baselines {
            of.iter().try_for_each(|of| wordpress_sessions::delete_baseline(connection, *share, of.user.id))?;
        }
        residue.iter().try_for_each(|(share, one)| residue::save(connection, *share, one))?;
        rows.iter().try_for_each(|session| wordpress_sessions::save(connection, session))?;
        watched.iter().try_for_each(|(mark, look)| wordpress_sessions::watch(connection, mark, look))
    });
    log_failure(written.await);
    begun.into_iter().zip(looks).for_each(|(begun, look)| begun.confirm(Some(look)));
    for trace in traces {
        // Registered, then decided on: a share that ended in between is seen here.
        let channel = Channel::Wordpress(trace.clone());
        let is_allowed = |table: &_| if channel.is_allowed(table, serve.state.clock.now()) { Ok(()) } else { Err(()) };
        if serve.state.channels.open(trace.clone(), is_allowed).is_err() {
            // Nobody waits for this end; it is tried again.
            drop(serve.state.channels.take_begun(trace));
        }
    }
}

async fn forget(serve: &Arc<Serve>, begun: Vec<BegunSession>) {
    if begun.is_empty() {
        return;
    }
    let marks: Vec<String> = begun.iter().map(|begun| begun.session().mark.clone()).collect();
    begun.into_iter().for_each(|begun| begun.confirm(None));
    let written =
        serve.write(move |connection| marks.iter().try_for_each(|mark| wordpress_sessions::delete(connection, mark)));
    log_failure(written.await);
}

/// Gives up on the sessions of a hosting: it is forgotten, and its sites cannot be asked any more.
pub(crate) async fn forget_hosting(serve: &Arc<Serve>, hosting: &HostingId) {
    let of_hosting = |session: &WordpressSession| session.site.hosting == hosting.as_str();
    serve.state.channels.cron.forget_hosting(hosting);
    let forgotten = serve.state.channels.endings.forget_where(of_hosting);
    let written = serve.write(move |connection| {
        forgotten.iter().try_for_each(|session| wordpress_sessions::delete(connection, &session.mark))
    });
    log_failure(written.await);
}

pub(super) fn log_failure(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::error!(error = %crate::problem::chain(&error), "the end of a channel could not be written down");
    }
}
