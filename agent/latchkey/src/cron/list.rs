//! Entries as they are shown: ours with what is known of them, those of others as they stand there.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use latchkey_access::{AccessTable, Actor, HostingId};
use latchkey_cron::Schedule;
use schemars::JsonSchema;
use serde::Serialize;

use super::crontab::{Crontab, Listed, is_as_it_says, lines_of};
use crate::problem::Problem;
use crate::serve::Serve;
use crate::store::cron_entries::{self, CronEntry};

/// So many runs are told.
const RUNS_TOLD: usize = 3;

/// A cron entry.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct EntryView {
    /// By which it is changed; absent: it was not made here, and stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The address of whoever made it, or `panel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<String>,
    /// The share with which it leaves the crontab: of whoever said last what it runs, unless that was an owner or the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// Five fields as in `crontab(5)`; `@reboot` of one that was not made here.
    schedule: String,
    /// What it runs. Of an entry that was not made here, as it stands in the line.
    command: String,
    /// Whether it runs.
    enabled: bool,
    /// When, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_words: Option<String>,
    /// The next runs in the node's time zone, while it is enabled.
    next_runs: Vec<String>,
    /// How the crontab differs from what was made here, if somebody has changed it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Conflict>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    created_at: Option<Timestamp>,
}

/// How the crontab differs from what was made here.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Conflict {
    /// What was done by hand.
    kind: ConflictKind,
    /// The schedules and commands that stand there.
    lines: Vec<String>,
}

/// What was done by hand to an entry that was made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConflictKind {
    /// It says something else, is there more than once, or is there although it is disabled.
    Changed,
    /// It is not there.
    Removed,
}

/// All entries of a hosting: the crontab's in its order, then ours that are not in it.
pub(crate) async fn list(serve: &Arc<Serve>, hosting: &HostingId) -> Result<Vec<EntryView>, Problem> {
    let id = hosting.to_string();
    // In this order: what is made in between is in the crontab only, and shown as somebody else's for once.
    let ours = serve.read(move |rows| cron_entries::of_hosting(rows, &id)).await?;
    let listed = Crontab::of(serve, hosting).list().await?;
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let found = |tag: &str| ours.iter().find(|entry| entry.id == tag);
    let mut views = Vec::new();
    let mut shown: Vec<&str> = Vec::new();
    for line in &listed {
        match line.entry.tag.as_deref().and_then(found) {
            Some(entry) if shown.contains(&entry.id.as_str()) => {}
            Some(entry) => {
                shown.push(&entry.id);
                views.push(of_ours(&table, entry, &listed, now));
            }
            None => views.push(of_others(line, now)),
        }
    }
    let rest = ours.iter().filter(|entry| !shown.contains(&entry.id.as_str()));
    views.extend(rest.map(|entry| of_ours(&table, entry, &listed, now)));
    Ok(views)
}

/// One of ours.
pub(super) fn of_ours(table: &AccessTable, entry: &CronEntry, listed: &[Listed], now: Timestamp) -> EntryView {
    let by = |actor: &Actor| match actor.person() {
        Some(person) => table.person(person).map_or_else(|| person.to_string(), |person| person.email.to_string()),
        None => "panel".to_owned(),
    };
    let conflict = (!is_as_it_says(listed, &entry.id, &entry.says)).then(|| {
        let lines = lines_of(listed, &entry.id).into_iter().map(|line| &line.entry);
        let lines: Vec<String> = lines.map(|line| format!("{} {}", line.schedule, line.command)).collect();
        Conflict { kind: if lines.is_empty() { ConflictKind::Removed } else { ConflictKind::Changed }, lines }
    });
    EntryView {
        id: Some(entry.id.clone()),
        creator: Some(by(&entry.creator)),
        share: entry.share.map(|share| share.to_string()),
        conflict,
        created_at: Some(entry.created_at),
        ..told(&entry.says.schedule, &entry.says.command, entry.says.enabled, now)
    }
}

fn of_others(line: &Listed, now: Timestamp) -> EntryView {
    told(&line.entry.schedule, &line.entry.command, line.entry.enabled, now)
}

fn told(schedule: &str, command: &str, enabled: bool, now: Timestamp) -> EntryView {
    let parsed: Option<Schedule> = schedule.parse().ok();
    let runs = |schedule: &Schedule| {
        let zone = TimeZone::system();
        let told = |moment: Timestamp| moment.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        schedule.next(now, &zone, RUNS_TOLD).into_iter().map(told).collect()
    };
    EntryView {
        id: None,
        creator: None,
        share: None,
        schedule: schedule.to_owned(),
        command: command.to_owned(),
        enabled,
        in_words: parsed.as_ref().map(Schedule::in_words),
        next_runs: parsed.as_ref().filter(|_| enabled).map(runs).unwrap_or_default(),
        conflict: None,
        created_at: None,
    }
}
