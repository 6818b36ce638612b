//! Making, changing and deleting entries: written down as wanted, made in the crontab, settled.
//!
//! A line that somebody has changed by hand is never overwritten: the call is refused, and says so.

use std::sync::Arc;

use latchkey_access::{HostingId, InstanceId, Operation, Permit, ShareId};
use latchkey_cron::{Command, Schedule};

use super::crontab::{Crontab, Entry, Listed, is_as_it_says, lines_of};
use super::list::{EntryView, of_ours};
use super::resting::is_allowed;
use super::settle::{keep, settled};
use crate::channels::{self, decide_through};
use crate::problem::{Code, Problem};
use crate::request;
use crate::serve::Serve;
use crate::store::cron_entries::{self, CronEntry, Says, Wanted};
use crate::token::random_number;

/// So many entries of a hosting are made here.
const ENTRIES_MAX: usize = 200;

/// An entry to be made.
pub(crate) struct NewEntry {
    pub(crate) schedule: String,
    pub(crate) command: String,
    pub(crate) enabled: bool,
}

/// What shall be different about an entry.
pub(crate) struct Patch {
    pub(crate) schedule: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) enabled: Option<bool>,
}

/// Makes an entry for whoever the permit is of.
pub(crate) async fn create<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    new: NewEntry,
) -> Result<EntryView, Problem> {
    let NewEntry { schedule, command, enabled } = new;
    let says = checked(Says { schedule, command, enabled })?;
    let hosting = hosting_of(serve, permit.instance())?;
    let _turn = serve.state.channels.cron.turns.take(&hosting).await;
    let id = hosting.to_string();
    let there = serve.read(move |rows| cron_entries::of_hosting(rows, &id)).await?;
    if there.len() >= ENTRIES_MAX {
        let detail = format!("the hosting has {ENTRIES_MAX} entries that were made here: delete some of them");
        return Err(Problem::new(Code::Quota, detail));
    }
    let entry = CronEntry {
        id: format!("{:016x}", random_number()?),
        hosting,
        creator: permit.actor().clone(),
        share: permit.share(),
        says: Says { enabled: false, ..says.clone() },
        wanted: Some(Wanted::Made(says.clone())),
        leaving: false,
        created_at: serve.state.clock.now(),
    };
    // Registered, then decided on: whoever ends the share from here on takes the entry out.
    decided_on(serve, permit, &entry, Some(permit.share()).filter(|_| says.enabled))?;
    let crontab = Crontab::of(serve, &entry.hosting);
    let id = entry.id.clone();
    let made = async { if says.enabled { crontab.create(&Entry::of(&id, &says)).await } else { Ok(()) } };
    carry_out(serve, entry.clone(), made).await?;
    shown(serve, &entry.hosting, &entry.id).await
}

/// Changes an entry. It rests on the share of whoever says what it runs from then on; enabled as it stands it is of whoever
/// said that last, as long as their share lasts.
pub(crate) async fn update<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    id: &str,
    patch: Patch,
) -> Result<EntryView, Problem> {
    let entry = find(serve, permit.instance(), id).await?;
    let _turn = serve.state.channels.cron.turns.take(&entry.hosting).await;
    let entry = find(serve, permit.instance(), id).await?;
    refuse_unsettled(serve, &entry)?;
    let rests_on = rests_on(serve, permit.share(), &entry, &patch);
    let before = entry.says.clone();
    let says = checked(Says {
        schedule: patch.schedule.unwrap_or_else(|| before.schedule.clone()),
        command: patch.command.unwrap_or_else(|| before.command.clone()),
        enabled: patch.enabled.unwrap_or(before.enabled),
    })?;
    let crontab = Crontab::of(serve, &entry.hosting);
    let listed = crontab.list().await?;
    let is_there_already = is_as_it_says(&listed, id, &says);
    if !is_there_already && !is_as_it_says(&listed, id, &before) {
        return Err(conflict(&listed, id));
    }
    decided_on(serve, permit, &entry, Some(rests_on).filter(|_| says.enabled))?;
    let wanted = CronEntry { wanted: Some(Wanted::Changed(says.clone(), rests_on)), ..entry.clone() };
    let line = lines_of(&listed, id).first().copied();
    let made = async {
        match (line, says.enabled) {
            _ if is_there_already => Ok(()),
            (Some(line), true) => crontab.update(line, &Entry::of(id, &says)).await,
            (Some(line), false) => crontab.delete(line).await,
            (None, true) => crontab.create(&Entry::of(id, &says)).await,
            (None, false) => Ok(()),
        }
    };
    carry_out(serve, wanted, made).await?;
    shown(serve, &entry.hosting, id).await
}

/// Deletes an entry from the crontab and from the state.
pub(crate) async fn delete<O: Operation>(serve: &Arc<Serve>, permit: &Permit<O>, id: &str) -> Result<(), Problem> {
    let entry = find(serve, permit.instance(), id).await?;
    let _turn = serve.state.channels.cron.turns.take(&entry.hosting).await;
    let entry = find(serve, permit.instance(), id).await?;
    refuse_unsettled(serve, &entry)?;
    let crontab = Crontab::of(serve, &entry.hosting);
    let listed = crontab.list().await?;
    let lines = lines_of(&listed, id);
    if !lines.is_empty() && !is_as_it_says(&listed, id, &entry.says) {
        return Err(conflict(&listed, id));
    }
    decide_again(serve, permit)?;
    let made = async {
        match lines.first() {
            Some(line) => crontab.delete(line).await,
            None => Ok(()),
        }
    };
    carry_out(serve, CronEntry { wanted: Some(Wanted::Gone), ..entry.clone() }, made).await
}

/// The entry with this id on the hosting of an instance. Those of other hostings do not exist.
pub(crate) async fn find(serve: &Arc<Serve>, instance: &InstanceId, id: &str) -> Result<CronEntry, Problem> {
    let (hosting, wanted) = (hosting_of(serve, instance)?, id.to_owned());
    let found = serve.read(move |rows| cron_entries::find(rows, &wanted)).await?;
    found.filter(|entry| entry.hosting == hosting).ok_or_else(|| Problem::not_found("cron entry"))
}

/// Has a change made that is written down as wanted, and writes down what came of it.
async fn carry_out(
    serve: &Arc<Serve>,
    entry: CronEntry,
    made: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let row = entry.clone();
    if let Err(error) = serve.write(move |rows| cron_entries::save(rows, &row)).await {
        rest_as_before(serve, &entry);
        return Err(error.into());
    }
    let made = made.await;
    let is = match &made {
        Ok(()) => settled_as_wanted(&entry),
        // It may have been made all the same: the crontab says. If that cannot be read it is settled later.
        Err(_) => match Crontab::of(serve, &entry.hosting).list().await {
            Ok(listed) => settled(&entry, &listed),
            Err(_) => return made,
        },
    };
    keep(serve, entry, is).await?;
    close_dead(serve);
    made
}

fn settled_as_wanted(entry: &CronEntry) -> Option<CronEntry> {
    let as_it_was = CronEntry { wanted: None, ..entry.clone() };
    match entry.wanted.clone() {
        Some(Wanted::Made(says)) => Some(CronEntry { says, ..as_it_was }),
        Some(Wanted::Changed(says, share)) => Some(CronEntry { says, share, ..as_it_was }),
        Some(Wanted::Gone) => None,
        None => Some(as_it_was),
    }
}

/// What an entry rests on when somebody has changed it through this share, or without one.
fn rests_on(serve: &Serve, by: Option<ShareId>, entry: &CronEntry, patch: &Patch) -> Option<ShareId> {
    let says_what_runs = patch.schedule.is_some() || patch.command.is_some();
    let lets_run = !entry.says.enabled && patch.enabled == Some(true);
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let is_of_somebody_who_may = || entry.share.is_some_and(|share| is_allowed(&table, share, now));
    if says_what_runs || (lets_run && !is_of_somebody_who_may()) { by } else { entry.share }
}

/// Decides once more on a change, after its entry was registered to rest on what it is going to, if it is to run: beside
/// what it rests on until then.
fn decided_on<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    entry: &CronEntry,
    will_rest_on: Option<Option<ShareId>>,
) -> Result<(), Problem> {
    if let Some(share) = will_rest_on {
        let is = entry.share.filter(|_| entry.says.enabled);
        serve.state.channels.cron.put(&entry.id, &entry.hosting, [is, share]);
    }
    decide_again(serve, permit).inspect_err(|_| rest_as_before(serve, entry))
}

/// What was allowed through one share has to be allowed through it still.
fn decide_again<O: Operation>(serve: &Arc<Serve>, permit: &Permit<O>) -> Result<(), Problem> {
    let through = (permit.instance(), permit.share());
    decide_through::<O>(&serve.state.table(), permit.actor(), through, serve.state.clock.now())?;
    Ok(())
}

/// A change was not begun: the entry rests on what it rested on, unless that has ended meanwhile.
fn rest_as_before(serve: &Arc<Serve>, entry: &CronEntry) {
    let share = entry.share.filter(|_| entry.says.enabled);
    if !serve.state.channels.cron.is_leaving(&entry.id) {
        serve.state.channels.cron.put(&entry.id, &entry.hosting, [share]);
    }
    close_dead(serve);
}

/// Takes out what rests on something that ended while nobody could see it.
pub(super) fn close_dead(serve: &Arc<Serve>) {
    let dead = serve.state.channels.take_dead_entries(serve.state.clock.now());
    if !dead.is_empty() {
        let serve = serve.clone();
        request::spawn(async move { drop(channels::close(&serve, dead).await) });
    }
}

/// Nobody changes what is leaving, or not known.
fn refuse_unsettled(serve: &Serve, entry: &CronEntry) -> Result<(), Problem> {
    let is_open = entry.wanted.is_some() || entry.leaving || serve.state.channels.cron.is_leaving(&entry.id);
    if !is_open {
        return Ok(());
    }
    let detail = "it is not known yet what became of the last change of this entry: repeat the call in a moment";
    Err(Problem::new(Code::Unavailable, detail).retry_after(2))
}

fn conflict(listed: &[Listed], id: &str) -> Problem {
    Problem::conflict(match lines_of(listed, id).first() {
        Some(_) => {
            "the entry was changed by hand in the crontab, and is left as it stands there: cron.update takes over what \
             cron.list shows in `conflict`"
        }
        None => {
            "the entry was removed from the crontab by hand: forget it with cron.delete, or disable it with cron.update"
        }
    })
}

async fn shown(serve: &Arc<Serve>, hosting: &HostingId, id: &str) -> Result<EntryView, Problem> {
    let wanted = id.to_owned();
    let found = serve.read(move |rows| cron_entries::find(rows, &wanted)).await?;
    let entry = found.ok_or_else(|| Problem::not_found("cron entry"))?;
    let listed = Crontab::of(serve, hosting).list().await?;
    Ok(of_ours(&serve.state.table(), &entry, &listed, serve.state.clock.now()))
}

fn hosting_of(serve: &Serve, instance: &InstanceId) -> Result<HostingId, Problem> {
    let table = serve.state.table();
    table.instance(instance).map(|found| found.hosting.clone()).ok_or_else(|| Problem::not_found("instance"))
}

fn checked(says: Says) -> Result<Says, Problem> {
    let schedule =
        says.schedule.parse::<Schedule>().map_err(|error| Problem::invalid("schedule", error.to_string()))?;
    let command = says.command.parse::<Command>().map_err(|error| Problem::invalid("command", error.to_string()))?;
    Ok(Says { schedule: schedule.to_string(), command: command.to_string(), ..says })
}
