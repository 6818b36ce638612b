//! Lines with a mark of ours that may not be there: of an entry that left with its share, or that the state does not know.
//!
//! The first come of a change that was under way when its share ended; the second when an older state took the place of
//! the one that knew them: nobody can say on whose access they rest. Lines without such a mark are nobody's business here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{AccessTable, HostingId};

use super::crontab::{Crontab, Listed};
use super::ending::{COMMAND_SHOWN, delete_all};
use super::resting::is_allowed;
use crate::caller::{Caller, Note};
use crate::problem::{Code, Problem};
use crate::request;
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::cron_entries::{self, CronEntry};

/// When a crontab is looked at again after entries were taken out of it. What was under way then is over by the last.
const LOOKS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// How long until crontabs that could not be looked at are tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// How an id is written.
const ID_DIGITS: usize = 16;

/// Looks at the crontab again after a while.
pub(super) fn look_later(serve: &Arc<Serve>, hosting: &HostingId) {
    let (serve, hosting) = (serve.clone(), hosting.clone());
    request::spawn(async move {
        let begun = tokio::time::Instant::now();
        for look in LOOKS {
            tokio::time::sleep_until(begun + look).await;
            if let Err(problem) = take_out_strays(&serve, &hosting).await {
                tracing::debug!(%hosting, detail = %problem.detail, "a crontab could not be looked at again");
            }
        }
    });
}

/// Looks at the crontab of every hosting once, however long that takes: at the start, and when a backup has taken the place
/// of the state.
pub(crate) async fn look_at_all(serve: Arc<Serve>) {
    let mut open: VecDeque<HostingId> = serve.state.table().hostings().map(|hosting| hosting.id.clone()).collect();
    while !open.is_empty() {
        let mut not_yet = VecDeque::new();
        for hosting in open {
            match take_out_strays(&serve, &hosting).await {
                // Nothing serves its crontab, or it is gone meanwhile.
                Ok(()) | Err(Problem { code: Code::Unsupported | Code::NotFound, .. }) => {}
                Err(problem) => {
                    tracing::debug!(%hosting, detail = %problem.detail, "a crontab cannot be looked at yet");
                    not_yet.push_back(hosting);
                }
            }
        }
        open = not_yet;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes what may not be there out of a crontab, with a row of the audit for each line.
async fn take_out_strays(serve: &Arc<Serve>, hosting: &HostingId) -> Result<(), Problem> {
    let _turn = serve.state.channels.cron.turns.take(hosting).await;
    let id = hosting.to_string();
    let entries = serve.read(move |rows| cron_entries::of_hosting(rows, &id)).await?;
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let deleted = delete_all(&Crontab::of(serve, hosting), |line| is_stray(&table, &entries, line, now)).await?;
    for line in deleted {
        let note = Note::of("cron.take_out").detail(said_of(hosting, &line, &entries));
        serve.record(Caller::agent(), note, Outcome::Allowed).await;
    }
    Ok(())
}

/// What is being changed or taken out is left to whoever does; what was changed by hand is shown as a conflict.
fn is_stray(table: &AccessTable, entries: &[CronEntry], line: &Listed, now: Timestamp) -> bool {
    let Some(tag) = line.tag().filter(|tag| is_id(tag)) else { return false };
    let Some(entry) = entries.iter().find(|entry| entry.id == tag) else { return true };
    let is_settled = entry.wanted.is_none() && !entry.leaving;
    let has_ended = entry.share.is_some_and(|share| !is_allowed(table, share, now));
    is_settled && !entry.says.enabled && has_ended
}

fn is_id(tag: &str) -> bool {
    tag.len() == ID_DIGITS && tag.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn said_of(hosting: &HostingId, line: &Listed, entries: &[CronEntry]) -> String {
    let (tag, mut command) = (line.tag().unwrap_or_default(), line.entry.command.clone());
    command.truncate(command.floor_char_boundary(COMMAND_SHOWN));
    let is_known = entries.iter().any(|entry| entry.id == tag);
    let why = if is_known { "its share has ended" } else { "the state does not know it" };
    format!("the entry {tag} ({} {command}) was in the crontab of {hosting}: {why}", line.entry.schedule)
}
