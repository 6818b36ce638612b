//! Closing channels that were taken out of the registry, and saying truthfully what was closed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{AccessTable, HostingState, InstanceId, LogInAs, Privilege, ShareId, share_holdings};
use schemars::JsonSchema;
use serde::Serialize;

use super::Channel;
use crate::caller::{Caller, Note};
use crate::clock::{Stopwatch, later};
use crate::counted::COUNTED;
use crate::request;
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::wordpress_sessions::{self, BaselineOf, Residue, Site, WordpressSession};
use crate::store::{StoreError, gateway_rows};
use crate::wordpress::bridge::BridgeError;
use crate::wordpress::sessions::{self, EndSessions, Report};

/// A reply comes within three seconds, whatever hangs; this much of it is for the sites.
const TIME_FOR_SITES: Duration = Duration::from_millis(2_400);
/// A site is asked to end no more sessions than these at once.
const MOST_IN_ONE_CALL: usize = 20;
/// WordPress keeps nobody signed in for longer than two weeks.
const LONGEST_LOGIN: Duration = Duration::from_secs(14 * 24 * 3600);
/// Not more often, whatever comes back: the WordPress user's own holder may be the one who signs in by now.
const MOST_LOOKS: usize = 6;
/// How long after the end of sessions the site is looked at again: soon, and when PHP's usual time for a request is over.
const LOOKED_AT_AGAIN: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// What ended with a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Ended {
    /// How many channels of each kind were closed.
    pub(crate) closed: Closed,
    /// What could not be reached; it is tried again until it is done.
    pub(crate) unconfirmed: Vec<Unconfirmed>,
    /// What the person can still use because they made or learnt it.
    pub(crate) residue: Vec<Residue>,
}

/// Closed channels, counted by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Closed {
    /// SFTP sessions.
    pub(crate) sftp: u32,
    /// FTP sessions.
    pub(crate) ftp: u32,
    /// Sessions in WP Admin.
    pub(crate) wordpress: u32,
    /// phpMyAdmin sessions.
    pub(crate) phpmyadmin: u32,
    /// Database connections.
    pub(crate) database: u32,
    /// Browsers signed in to the gateway.
    pub(crate) gateway: u32,
    /// Uploads and downloads.
    pub(crate) transfer: u32,
    /// Event streams.
    pub(crate) stream: u32,
    /// Jobs.
    pub(crate) job: u32,
}

/// Something whose end could not be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Unconfirmed {
    /// The kind of channel.
    pub(crate) channel: &'static str,
    /// Which one, in words.
    pub(crate) what: String,
}

impl Unconfirmed {
    pub(crate) fn of(session: &WordpressSession) -> Self {
        let what = format!("the session as {} on {}", session.user.login, session.instance);
        Self { channel: "wordpress", what }
    }
}

/// Closes channels that were taken out of the registry. Answers within three seconds.
///
/// Once begun it is carried through, whether the caller waits for it or not.
pub(crate) async fn close(serve: &Arc<Serve>, dead: Vec<Channel>) -> Ended {
    if dead.is_empty() {
        return Ended::default();
    }
    let stopwatch = Stopwatch::start();
    let closed = request::spawn(close_all(serve.clone(), dead)).await;
    COUNTED.ends.count(stopwatch.elapsed());
    closed.unwrap_or_else(|error| {
        tracing::error!(%error, "closing channels failed; what is left of them is tried again");
        Ended::default()
    })
}

async fn close_all(serve: Arc<Serve>, dead: Vec<Channel>) -> Ended {
    let mut ended = Ended::default();
    let (mut wordpress, mut gateway) = (Vec::new(), Vec::new());
    for channel in dead {
        match channel {
            Channel::Wordpress(session) => wordpress.push(session),
            Channel::Gateway(_, session) => gateway.push(session.id),
        }
    }
    if !gateway.is_empty() {
        ended.closed.gateway = u32::try_from(gateway.len()).unwrap_or(u32::MAX);
        let removed = serve
            .write(move |connection| gateway.iter().try_for_each(|id| gateway_rows::delete_session(connection, id)));
        log_failure(removed.await);
    }
    let closed = close_wordpress(&serve, wordpress).await;
    ended.closed.wordpress = closed.ended;
    ended.unconfirmed = closed.unconfirmed.iter().map(Unconfirmed::of).collect();
    ended.residue = closed.residue;
    ended
}

/// Tries once more to end what could not be reached.
pub(crate) async fn retry_unconfirmed(serve: &Arc<Serve>) {
    let now = serve.state.clock.now();
    let is_over = |session: &WordpressSession| match session.share {
        None => session.expires_at <= now,
        Some(_) => later(session.expires_at, LONGEST_LOGIN) <= now,
    };
    let channels = &serve.state.channels;
    let waiting = channels.unconfirmed().into_iter().filter(|session| !channels.is_being_ended(&session.mark));
    let (over, waiting) = waiting.partition(is_over);
    forget(serve, over).await;
    close_wordpress(serve, waiting).await;
}

struct ClosedSessions {
    ended: u32,
    unconfirmed: Vec<WordpressSession>,
    residue: Vec<Residue>,
}

/// Sessions that are being ended; on drop they no longer are.
struct Underway {
    serve: Arc<Serve>,
    marks: Vec<String>,
}

impl Underway {
    fn begin(serve: &Arc<Serve>, marks: &[String]) -> Self {
        serve.state.channels.ending_begins(marks);
        Self { serve: serve.clone(), marks: marks.to_vec() }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.serve.state.channels.ending_is_over(&self.marks);
    }
}

async fn close_wordpress(serve: &Arc<Serve>, sessions: Vec<WordpressSession>) -> ClosedSessions {
    let mut all = ClosedSessions { ended: 0, unconfirmed: Vec::new(), residue: Vec::new() };
    if sessions.is_empty() {
        return all;
    }
    // Kept as unconfirmed first: a crash from here on is made good at the next start.
    let marks: Vec<String> = sessions.iter().map(|session| session.mark.clone()).collect();
    let _underway = Underway::begin(serve, &marks);
    let noted = serve
        .write(move |connection| marks.iter().try_for_each(|mark| wordpress_sessions::mark_ending(connection, mark)));
    sessions.iter().for_each(|session| serve.state.channels.keep_unconfirmed(session.clone()));
    log_failure(noted.await);
    // One call for all sessions of a site: there is room for a few calls to a hosting at a time only.
    let mut sites: HashMap<Site, Vec<WordpressSession>> = HashMap::new();
    for session in sessions {
        sites.entry(session.site.clone()).or_default().push(session);
    }
    let mut running = tokio::task::JoinSet::new();
    for (site, sessions) in sites {
        for sessions in sessions.chunks(MOST_IN_ONE_CALL).map(<[_]>::to_vec) {
            let (serve, site) = (serve.clone(), site.clone());
            running.spawn(request::carried(async move {
                let ended = tokio::time::timeout(TIME_FOR_SITES, end_on_site(&serve, &site, &sessions)).await;
                (sessions, ended)
            }));
        }
    }
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok((_, Ok(Ok((ended, residue))))) => {
                all.ended = all.ended.saturating_add(ended);
                all.residue.extend(residue);
            }
            Ok((sessions, Ok(Err(error)))) => {
                tracing::warn!(error = %crate::problem::chain(&*error), "WordPress sessions could not be ended yet");
                all.unconfirmed.extend(sessions);
            }
            Ok((sessions, Err(_))) => {
                tracing::warn!("WordPress sessions could not be ended in time yet");
                all.unconfirmed.extend(sessions);
            }
            Err(error) => tracing::error!(%error, "ending WordPress sessions failed"),
        }
    }
    all
}

type GroupError = Box<dyn std::error::Error + Send + Sync>;

async fn end_on_site(
    serve: &Arc<Serve>,
    site: &Site,
    sessions: &[WordpressSession],
) -> Result<(u32, Vec<Residue>), GroupError> {
    let shares: BTreeSet<ShareId> = sessions.iter().filter_map(|session| session.share).collect();
    let found = serve.read(move |connection| {
        let of_share = |share| Ok((share, wordpress_sessions::baselines(connection, share)?));
        shares.into_iter().map(of_share).collect::<Result<Vec<_>, StoreError>>()
    });
    let end = End { sessions: sessions.to_vec(), baselines: found.await? }.without_allowed(serve);
    let report = end.carry_out(serve, site).await?;
    let mut residue = Vec::new();
    for (share, baselines) in &end.baselines {
        residue.extend(sessions::residue(&report, baselines).into_iter().map(|one| (*share, one)));
    }
    let told = residue.iter().map(|(_, one)| one.clone()).collect();
    look_again(serve, site, end.clone());
    end.confirm(serve, residue).await;
    Ok((report.ended, told))
}

/// What is to end on a site, or has.
#[derive(Clone, Default)]
struct End {
    sessions: Vec<WordpressSession>,
    /// By share: the users that it must not become any more, with what they had before.
    baselines: Vec<(ShareId, Vec<BaselineOf>)>,
}

impl End {
    /// The same without the users whom a share may become now.
    fn without_allowed(mut self, serve: &Serve) -> Self {
        let (table, now) = (serve.state.table(), serve.state.clock.now());
        for (share, baselines) in &mut self.baselines {
            let still = log_in_as_now(&table, *share, now);
            baselines.retain(|of| !still.as_ref().is_some_and(|who| who.allows(&of.user)));
        }
        self
    }

    fn instance(&self) -> Option<&InstanceId> {
        self.sessions.first().map(|session| &session.instance)
    }

    async fn carry_out(&self, serve: &Serve, site: &Site) -> Result<Report, BridgeError> {
        let baselines: Vec<_> = self.baselines.iter().flat_map(|(_, of)| of.iter().cloned()).collect();
        let marks = self.sessions.iter().map(|session| session.mark.clone()).collect();
        let users = self.sessions.iter().map(|session| session.user.clone()).collect();
        let wanted = EndSessions { marks, users, baselines: &baselines };
        let there = sessions::end(&serve.bridge, site, &wanted).await;
        match self.instance().and_then(|instance| serve.site(instance).ok()) {
            // The site has moved since then, and its sessions moved with its database.
            Some(now) if (&now.hosting, &now.docroot) != (&site.hosting, &site.docroot) => {
                let here = sessions::end(&serve.bridge, &now, &wanted).await?;
                let before = there.map_or(0, |report| report.ended);
                Ok(here.after(before))
            }
            _ => there,
        }
    }

    /// Writes down that all of it has ended, and what was left behind.
    ///
    /// Where the share may still become the user, because only the session was closed, a session stays as a trace: what
    /// was opened with a password changed in it must end with the share.
    async fn confirm(self, serve: &Arc<Serve>, residue: Vec<(ShareId, Residue)>) {
        let (table, now) = (serve.state.table(), serve.state.clock.now());
        let leaves_a_trace = |session: &WordpressSession| {
            session.share.is_some() && Channel::Wordpress(session.clone()).is_allowed(&table, now)
        };
        let (mut traces, over): (Vec<_>, Vec<_>) = self.sessions.into_iter().partition(leaves_a_trace);
        traces.iter_mut().for_each(|session| session.expires_at = session.expires_at.min(now));
        let (rows, marks) = (traces.clone(), over.iter().map(|session| session.mark.clone()).collect::<Vec<_>>());
        let baselines = self.baselines;
        let written = serve.write(move |connection| {
            for (share, of) in &baselines {
                of.iter().try_for_each(|of| wordpress_sessions::delete_baseline(connection, *share, of.user.id))?;
            }
            residue.iter().try_for_each(|(share, one)| wordpress_sessions::save_residue(connection, *share, one))?;
            rows.iter().try_for_each(|session| wordpress_sessions::save(connection, session))?;
            marks.iter().try_for_each(|mark| wordpress_sessions::delete(connection, mark))
        });
        log_failure(written.await);
        over.iter().for_each(|session| serve.state.channels.confirm(&session.mark));
        for session in traces {
            serve.state.channels.confirm(&session.mark);
            let trace = Channel::Wordpress(session.clone());
            // Registered, then decided on: a share that ended in between is seen here.
            serve.state.channels.register(trace.clone());
            let is_allowed = trace.is_allowed(&serve.state.table(), serve.state.clock.now());
            if !is_allowed && serve.state.channels.take(trace.id()).is_some() {
                serve.state.channels.keep_unconfirmed(session);
            }
        }
    }
}

/// Looks at a site again after its sessions were ended, until nothing comes back: a request of the person that was under
/// way then may have written them back, or opened another one, and with that begun the next.
fn look_again(serve: &Arc<Serve>, site: &Site, end: End) {
    let (serve, site) = (serve.clone(), site.clone());
    request::spawn(async move {
        let mut pauses = LOOKED_AT_AGAIN.iter();
        for _ in 0..MOST_LOOKS {
            let Some(pause) = pauses.next() else { return };
            tokio::time::sleep(*pause).await;
            match end.clone().without_allowed(&serve).carry_out(&serve, &site).await {
                Ok(report) if report.ended > 0 => {
                    let detail = format!("{} came back on {} and were ended again", report.ended, site.url);
                    let note = Note { instance: end.instance().map(ToString::to_string), ..Note::of("session.end") };
                    serve.record(Caller::agent(), note.detail(detail), Outcome::Allowed).await;
                    pauses = LOOKED_AT_AGAIN.iter();
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %crate::problem::chain(&error), "a site could not be looked at again");
                }
            }
        }
    });
}

/// The WordPress users that a share may still become.
fn log_in_as_now(table: &AccessTable, share: ShareId, now: Timestamp) -> Option<LogInAs> {
    let share = table.share(share)?;
    let hosting = table.hosting(&table.instance(&share.instance)?.hosting)?;
    let holdings = share_holdings(table, share, now);
    let open = hosting.state == HostingState::Active && holdings.privileges.contains(Privilege::WpAdminSso);
    holdings.log_in_as.filter(|_| open)
}

async fn forget(serve: &Arc<Serve>, sessions: Vec<WordpressSession>) {
    if sessions.is_empty() {
        return;
    }
    sessions.iter().for_each(|session| serve.state.channels.confirm(&session.mark));
    let written = serve.write(move |connection| {
        sessions.iter().try_for_each(|session| wordpress_sessions::delete(connection, &session.mark))
    });
    log_failure(written.await);
}

fn log_failure(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::error!(error = %crate::problem::chain(&error), "the end of a channel could not be written down");
    }
}
