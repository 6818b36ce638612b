//! Making good what was cut off: a change that is written down as wanted is made if the crontab has it, and else forgotten.

use std::sync::Arc;
use std::time::Duration;

use latchkey_access::HostingId;

use super::change::close_dead;
use super::crontab::{Crontab, Listed, is_as_it_says};
use crate::problem::{Problem, chain};
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::cron_entries::{self, CronEntry, Says, Wanted};

/// How long until what could not be looked at is looked at again.
const PAUSE: Duration = Duration::from_secs(2);

/// Settles what a stop of the agent, or an adapter that did not answer, has left open; for ever.
pub(crate) async fn settle_for_ever(serve: Arc<Serve>) {
    loop {
        match serve.read(cron_entries::unsettled).await {
            Ok(hostings) => {
                for hosting in hostings {
                    if let Err(problem) = settle_hosting(&serve, &hosting).await {
                        tracing::debug!(%hosting, detail = %problem.detail, "cron entries cannot be looked at yet");
                    }
                }
            }
            Err(error) => tracing::error!(error = %chain(&error), "cron entries cannot be read"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn settle_hosting(serve: &Arc<Serve>, hosting: &HostingId) -> Result<(), Problem> {
    // Whoever is changing one of them at this moment settles it.
    let _turn = serve.state.channels.cron.turns.take(hosting).await;
    let id = hosting.to_string();
    let entries = serve.read(move |rows| cron_entries::of_hosting(rows, &id)).await?;
    let open: Vec<CronEntry> = entries.into_iter().filter(|entry| entry.wanted.is_some()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let listed = Crontab::of(serve, hosting).list().await?;
    for entry in open {
        let settled = settled(&entry, &listed);
        keep(serve, entry, settled).await?;
    }
    close_dead(serve);
    Ok(())
}

/// What an entry is, by what the crontab has of it; `None`: nothing.
pub(super) fn settled(entry: &CronEntry, listed: &[Listed]) -> Option<CronEntry> {
    let is_so = |says: &Says| is_as_it_says(listed, &entry.id, says);
    let as_it_was = CronEntry { wanted: None, ..entry.clone() };
    match &entry.wanted {
        None => Some(as_it_was),
        Some(Wanted::Made(says)) if is_so(says) => Some(CronEntry { says: says.clone(), ..as_it_was }),
        Some(Wanted::Made(_)) => None,
        Some(Wanted::Changed(says, share)) if is_so(says) => {
            Some(CronEntry { says: says.clone(), share: *share, ..as_it_was })
        }
        Some(Wanted::Gone) if is_so(&Says { enabled: false, ..entry.says.clone() }) => None,
        Some(Wanted::Changed(..) | Wanted::Gone) => Some(as_it_was),
    }
}

/// Writes down what an entry is, and on what it rests.
pub(super) async fn keep(serve: &Arc<Serve>, entry: CronEntry, is: Option<CronEntry>) -> Result<(), StoreError> {
    let Some(is) = is else { return forget(serve, entry).await };
    let share = is.share.filter(|_| is.says.enabled);
    let keeper = serve.clone();
    let written = serve.write(move |rows| {
        // Its share has ended meanwhile, and nobody else has taken it over: whoever takes it out says what it is.
        let stays = keeper.state.channels.cron.settle(&is.id, &is.hosting, share);
        if stays { cron_entries::save(rows, &is) } else { Ok(()) }
    });
    written.await
}

/// Forgets an entry of which nothing is in the crontab.
async fn forget(serve: &Arc<Serve>, entry: CronEntry) -> Result<(), StoreError> {
    let resting = &serve.state.channels.cron;
    if resting.is_leaving(&entry.id) {
        return Ok(());
    }
    resting.put(&entry.id, &entry.hosting, []);
    serve.write(move |rows| cron_entries::delete(rows, &entry.id)).await
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use latchkey_access::{Actor, ShareId};
    use serde_json::json;

    use super::*;

    fn says(command: &str, enabled: bool) -> Says {
        Says { schedule: "5 4 * * *".into(), command: command.into(), enabled }
    }

    fn entry(says: Says, wanted: Wanted) -> CronEntry {
        CronEntry {
            id: "a1".into(),
            hosting: "demo".parse().unwrap(),
            creator: Actor::Panel,
            share: None,
            says,
            wanted: Some(wanted),
            leaving: false,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// A crontab with these commands under the entry's id.
    fn with(commands: &[&str]) -> Vec<Listed> {
        let line = |command| json!({ "id": "x", "entry": { "schedule": "5 4 * * *", "command": command, "tag": "a1", "enabled": true } });
        serde_json::from_value(commands.iter().map(line).collect()).unwrap()
    }

    #[track_caller]
    fn check(before: &Says, wanted: Wanted, there: &[&str], after: Option<Says>) {
        let entry = entry(before.clone(), wanted.clone());
        let found = settled(&entry, &with(there));
        assert_eq!(found.as_ref().map(|found| &found.says), after.as_ref(), "{wanted:?} with {there:?}");
        assert!(found.is_none_or(|found| found.wanted.is_none()));
    }

    #[test]
    fn a_change_that_was_cut_off_is_what_the_crontab_says() {
        let (on, off) = (says("a", true), says("a", false));
        check(&off, Wanted::Made(on.clone()), &["a"], Some(on.clone()));
        check(&off, Wanted::Made(on.clone()), &[], None);
        check(&off, Wanted::Made(off.clone()), &[], Some(off.clone()));
        let changed = Wanted::Changed(says("b", true), None);
        check(&on, changed.clone(), &["b"], Some(says("b", true)));
        check(&on, changed.clone(), &["a"], Some(on.clone()));
        // Somebody else was there: it stays what it was, and is shown to be in conflict.
        check(&on, changed, &["c"], Some(on.clone()));
        check(&on, Wanted::Changed(off.clone(), None), &[], Some(off.clone()));
        check(&on, Wanted::Changed(off, None), &["a"], Some(on.clone()));
        check(&on, Wanted::Gone, &[], None);
        check(&on, Wanted::Gone, &["a"], Some(on.clone()));
        check(&on, Wanted::Gone, &["a", "a"], Some(on.clone()));
    }

    #[test]
    fn a_change_brings_the_share_it_rests_on() {
        let share = Some(ShareId::from_number(7));
        let entry = entry(says("a", true), Wanted::Changed(says("b", true), share));
        assert_eq!(settled(&entry, &with(&["b"])).unwrap().share, share);
        assert_eq!(settled(&entry, &with(&["a"])).unwrap().share, None);
    }
}
