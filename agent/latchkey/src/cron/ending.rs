//! Taking entries out of the crontab when the share that they rest on ends. They are kept, as disabled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use latchkey_access::{HostingId, ShareId};
use rusqlite::Connection;

use super::crontab::{Crontab, Listed};
use super::resting::Leaving;
use super::strays::look_later;
use crate::caller::{Caller, Note};
use crate::channels::{Disabled, DisabledKind, Unconfirmed};
use crate::problem::{Problem, chain};
use crate::request;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::audit::Outcome;
use crate::store::cron_entries::{self, CronEntry};

/// So often it is tried anew when somebody else changes the crontab at the same time.
const TRIES: u32 = 5;
/// A command may hold a password; this much tells which one it is.
pub(super) const COMMAND_SHOWN: usize = 120;

/// Takes entries out; answers in that time with what is not known to be out, and with what is kept.
///
/// Once begun it is carried through, whether anybody waits for it or not.
pub(crate) async fn close(
    serve: &Arc<Serve>,
    leaving: Vec<Leaving>,
    patience: Duration,
) -> (Vec<Unconfirmed>, Vec<Disabled>) {
    if leaving.is_empty() {
        return (Vec::new(), Vec::new());
    }
    // Written down first: a crash from here on is made good at the next start.
    let (ids, keeper) = (leaving.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), serve.clone());
    let noted = serve.write(move |rows| {
        // One that somebody has taken over meanwhile stays.
        let mut ids = ids.iter().filter(|id| keeper.state.channels.cron.is_leaving(id));
        ids.try_for_each(|id| cron_entries::mark_leaving(rows, id))
    });
    if let Err(error) = noted.await {
        tracing::error!(error = %chain(&error), "the end of cron entries could not be written down");
    }
    let mut hostings: BTreeMap<HostingId, Vec<Leaving>> = BTreeMap::new();
    for one in leaving {
        hostings.entry(one.hosting.clone()).or_default().push(one);
    }
    let until = tokio::time::Instant::now() + patience;
    let waiting: Vec<_> = hostings
        .into_iter()
        .map(|(hosting, leaving)| {
            let serve = serve.clone();
            let unconfirmed = leaving.iter().map(|one| unconfirmed(&one.id, &hosting)).collect::<Vec<_>>();
            let taken = async move { take_out(&serve, &hosting, leaving).await };
            (unconfirmed, request::spawn(taken))
        })
        .collect();
    let (mut not_out, mut kept) = (Vec::new(), Vec::new());
    for (unconfirmed, taken) in waiting {
        match tokio::time::timeout_at(until, taken).await {
            Ok(Ok(Ok(disabled))) => kept.extend(disabled),
            Ok(Ok(Err(problem))) => {
                tracing::warn!(detail = %problem.detail, "cron entries could not be taken out yet");
                not_out.extend(unconfirmed);
            }
            _ => not_out.extend(unconfirmed),
        }
    }
    (not_out, kept)
}

/// Tries once more to take out what could not be. The adapter has this long.
pub(crate) async fn retry(serve: &Arc<Serve>, patience: Duration) {
    let leaving = serve.state.channels.cron.begin_unconfirmed();
    drop(close(serve, leaving, patience).await);
}

/// What is told while an entry is not known to be out.
pub(crate) fn unconfirmed(id: &str, hosting: &HostingId) -> Unconfirmed {
    Unconfirmed { channel: "cron_entry", what: format!("the cron entry {id} in the crontab of {hosting}") }
}

/// Takes every line with one of these ids out, also one that was changed by hand.
async fn take_out(serve: &Arc<Serve>, hosting: &HostingId, leaving: Vec<Leaving>) -> Result<Vec<Disabled>, Problem> {
    let _turn = serve.state.channels.cron.turns.take(hosting).await;
    // Whoever had the turn before may have made one of them their own.
    let leaving: Vec<Leaving> =
        leaving.into_iter().filter(|one| serve.state.channels.cron.is_leaving(&one.id)).collect();
    let is_of_them = |listed: &Listed| leaving.iter().any(|one| listed.tag() == Some(&one.id));
    delete_all(&Crontab::of(serve, hosting), is_of_them).await?;
    look_later(serve, hosting);
    let marked: Vec<(String, ShareId)> = leaving.iter().map(|one| (one.id.clone(), one.share)).collect();
    let written = serve.write(move |rows| {
        let mut kept = Vec::new();
        for (id, share) in &marked {
            cron_entries::mark_left(rows, id, *share)?;
            kept.extend(cron_entries::find(rows, id)?.as_ref().map(Disabled::of));
        }
        Ok(kept)
    });
    let kept = written.await?;
    for one in leaving {
        let note =
            Note::of("cron.disable").share(one.share).detail(format!("the entry {} left with its share", one.id));
        one.confirm();
        serve.record(Caller::agent(), note, Outcome::Allowed).await;
    }
    Ok(kept)
}

/// Deletes every such line; answers with what they said. For whoever has the hosting's turn.
pub(super) async fn delete_all(
    crontab: &Crontab<'_>,
    is_such: impl Fn(&Listed) -> bool,
) -> Result<Vec<Listed>, Problem> {
    let (mut tries, mut deleted) = (1, Vec::new());
    loop {
        let listed = crontab.list().await?;
        let Some(line) = listed.into_iter().find(&is_such) else { return Ok(deleted) };
        match crontab.delete(&line).await {
            Ok(()) => deleted.push(line),
            Err(problem) if problem.is_of_somebody_elses_change() && tries < TRIES => tries += 1,
            Err(problem) => return Err(problem),
        }
    }
}

impl Disabled {
    /// What is told of an entry that was taken out.
    fn of(entry: &CronEntry) -> Self {
        let CronEntry { id, hosting, says, .. } = entry;
        let mut command = says.command.clone();
        command.truncate(command.floor_char_boundary(COMMAND_SHOWN));
        Self {
            kind: DisabledKind::CronEntry,
            id: id.clone(),
            what: format!(
                "the cron entry {id} ({} {command}) is out of the crontab of {hosting} and kept as disabled",
                says.schedule
            ),
            undo: "forget it with cron.delete, or let it run as your own with cron.update and enabled: true".into(),
        }
    }
}

/// What left with a share and is still as it was then.
pub(crate) fn disabled_with(rows: &Connection, share: ShareId) -> Result<Vec<Disabled>, StoreError> {
    Ok(cron_entries::left_with(rows, share)?.iter().map(Disabled::of).collect())
}
