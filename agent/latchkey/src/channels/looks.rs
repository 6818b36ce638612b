//! Looking at a site again after its sessions were ended, until nothing comes back: a request of the person that was
//! under way then may have written them back, or opened another one, and with that begun the next.
//!
//! The looks are kept in the state: no crash loses one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::at_site::End;
use super::ending::{MOST_IN_ONE_CALL, is_over, log_failure};
use crate::caller::{Caller, Note};
use crate::clock::later;
use crate::request;
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::wordpress_sessions::{self, BaselineOf, Look, Seen, Site, WordpressSession};

/// The looks that must find nothing, one after the other: soon, and when PHP's usual time for a request is over.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), LONGEST_PAUSE];
/// Also until a site that could not be looked at is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Nobody waits for it, and the site may be busy.
const TIME_FOR_A_LOOK: Duration = Duration::from_secs(10);
/// Not more often, whatever comes back: the WordPress user's own holder may be the one who signs in by now.
const MOST_RETURNS: u32 = 5;

/// The first look after an end.
pub(super) fn first(now: Timestamp, before: Option<BaselineOf>) -> Look {
    Look { at: later(now, soonest()), seen: Seen { quiet: 0, returns: 0, before } }
}

fn soonest() -> Duration {
    PAUSES.first().copied().unwrap_or(LONGEST_PAUSE)
}

impl Look {
    /// Whether it is time; also after the clock was set back.
    fn is_due(&self, now: Timestamp) -> bool {
        self.at <= now || self.at > later(now, LONGEST_PAUSE)
    }

    /// The same once more, because the site could not be asked.
    fn postponed(&self, now: Timestamp) -> Self {
        Self { at: later(now, LONGEST_PAUSE), seen: self.seen.clone() }
    }

    /// The next one after nothing had come back, if there is one.
    fn after_quiet(self, now: Timestamp) -> Option<Self> {
        let quiet = self.seen.quiet + 1;
        let pause = PAUSES.get(usize::try_from(quiet).ok()?)?;
        Some(Self { at: later(now, *pause), seen: Seen { quiet, ..self.seen } })
    }

    /// The next one after something had come back, if there is one.
    fn after_return(self, now: Timestamp) -> Option<Self> {
        let returns = self.seen.returns + 1;
        let seen = Seen { quiet: 0, returns, ..self.seen };
        (returns < MOST_RETURNS).then(|| Self { at: later(now, soonest()), seen })
    }
}

/// Looks at the sites whose time it is, each in a task of its own: one that hangs holds up none of another hosting.
pub(crate) fn look_again(serve: &Arc<Serve>) {
    let now = serve.state.clock.now();
    // Postponed first, so that nobody else looks meanwhile; as it stays if the site cannot be asked.
    let begin = |look: &Look| look.is_due(now).then(|| look.postponed(now));
    let mut sites: HashMap<Site, Vec<(WordpressSession, Look)>> = HashMap::new();
    for (session, look) in serve.state.channels.endings.begin_looks(begin) {
        sites.entry(session.site.clone()).or_default().push((session, look));
    }
    for (site, mut due) in sites {
        while !due.is_empty() {
            let group = due.split_off(due.len().saturating_sub(MOST_IN_ONE_CALL));
            let (serve, site) = (serve.clone(), site.clone());
            tokio::spawn(async move { request::under(&request::new_id(), look_at(serve, site, group)).await });
        }
    }
}

async fn look_at(serve: Arc<Serve>, site: Site, due: Vec<(WordpressSession, Look)>) {
    // So that sites which hang leave to others what room there is for ends.
    let _turn = serve.state.channels.looks.take(&site.hosting).await;
    let mut baselines: BTreeMap<_, Vec<BaselineOf>> = BTreeMap::new();
    for (session, look) in &due {
        if let (Some(share), Some(before)) = (session.share, &look.seen.before) {
            let of_share = baselines.entry(share).or_default();
            if of_share.iter().all(|of| of.user != before.user) {
                of_share.push(before.clone());
            }
        }
    }
    let sessions = due.iter().map(|(session, _)| session.clone()).collect();
    let end = End { sessions, baselines }.without_allowed(&serve);
    let found = end.carry_out(&serve, &site, TIME_FOR_A_LOOK).await;
    let now = serve.state.clock.now();
    let returned = match &found {
        Ok(report) => report.ended,
        Err(error) => {
            tracing::warn!(error = %crate::problem::chain(error), "a site could not be looked at again");
            0
        }
    };
    if returned > 0 {
        let detail = format!("{returned} came back on {} and were ended again", site.url);
        let note = Note { instance: end.instance().map(ToString::to_string), ..Note::of("session.end") };
        serve.record(Caller::agent(), note.detail(detail), Outcome::Allowed).await;
    }
    let next = |session: &WordpressSession, look: Look| match &found {
        _ if is_over(session, now) => None,
        Err(_) => Some(look.postponed(now)),
        Ok(_) if returned > 0 => look.after_return(now),
        Ok(_) => look.after_quiet(now),
    };
    let mut rows = Vec::new();
    for (session, look) in due {
        let next = next(&session, look);
        if serve.state.channels.endings.looked_at(&session.mark, next.clone()) {
            rows.push((session.mark, next));
        }
    }
    let written = serve.write(move |connection| {
        rows.iter().try_for_each(|(mark, next)| match next {
            Some(look) => wordpress_sessions::watch_on(connection, mark, look),
            None => wordpress_sessions::stop_watching(connection, mark),
        })
    });
    log_failure(written.await);
}
