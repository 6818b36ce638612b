//! Commands at set times, in the real crontab of the hosting's system user, beside whatever others have written there.
//!
//! A change is made on what was read, and only if that still is what is there; otherwise it is made anew. What a call did
//! can be seen in the crontab itself, so repeating it does nothing; only that something was deleted is written down.

mod table;

use sdk::cron::{Entry, ListedEntry};
use sdk::crontab::{self, CrontabError};
use sdk::{Cron, Error, Hosting, IdempotencyKey, Result};

use crate::Linux;
use crate::traces::{Did, Trace};
use table::{Found, Table, is_tag};

/// So often a change is made anew when somebody else was faster.
const TRIES: u32 = 5;
/// cron takes no longer command, as it stands in the line.
const COMMAND_MAX_BYTES: usize = 998;

impl Cron for Linux {
    fn list_entries(_: Hosting) -> Result<Vec<ListedEntry>> {
        let there = crontab::read().map_err(told)?;
        Ok(Table::parse(&there.text).entries().into_iter().map(|found| found.listed).collect())
    }

    fn create_entry(_: Hosting, _: IdempotencyKey, entry: Entry) -> Result<()> {
        check(&entry, None)?;
        change(|table| {
            let entries = table.entries();
            if entries.iter().any(|found| found.listed.entry == entry) {
                return Ok(Now::Wanted);
            }
            free(&entries, &entry)?;
            table.add(&entry);
            Ok(Now::Planned)
        })
    }

    fn update_entry(_: Hosting, _: IdempotencyKey, given: ListedEntry, entry: Entry) -> Result<()> {
        check(&entry, Some(&given.entry))?;
        change(|table| {
            let entries = table.entries();
            let Some(at) = find(&entries, &given) else {
                // By this call before it was cut off, or by somebody who wanted the same.
                let is_there = entries.iter().any(|found| found.listed.entry == entry);
                return if is_there { Ok(Now::Wanted) } else { Err(changed()) };
            };
            if entry == given.entry {
                return Ok(Now::Wanted);
            }
            if entry.tag != given.entry.tag {
                free(&entries, &entry)?;
            }
            table.put(at, &entry);
            Ok(Now::Planned)
        })
    }

    fn delete_entry(_: Hosting, key: IdempotencyKey, given: ListedEntry) -> Result<()> {
        let trace = Trace::of("cron", &given.id);
        change(|table| {
            let entries = table.entries();
            if let Some(at) = find(&entries, &given) {
                trace.begin(Did::Remove, &key)?;
                table.remove(at);
                return Ok(Now::Planned);
            }
            if is_id(&given.id) && trace.was(Did::Remove, &key)? {
                return Ok(Now::Wanted);
            }
            let tag = given.entry.tag.as_ref();
            let is_tagged = entries.iter().any(|found| tag.is_some() && found.listed.entry.tag.as_ref() == tag);
            let is_other = entries.iter().any(|found| found.listed.id == given.id);
            Err(if is_tagged || is_other { changed() } else { Error::not_found("there is no such entry any more") })
        })
    }
}

/// How far a change is.
enum Now {
    /// The crontab is as it is wanted.
    Wanted,
    /// It was changed in memory.
    Planned,
}

/// Plans a change on what is there, and makes it if that still is there.
fn change(plan: impl Fn(&mut Table) -> Result<Now>) -> Result<()> {
    for _ in 0..TRIES {
        let there = crontab::read().map_err(told)?;
        let mut table = Table::parse(&there.text);
        if let Now::Wanted = plan(&mut table)? {
            return Ok(());
        }
        match crontab::replace(&there.version, &table.text()) {
            Err(CrontabError::Changed) => {}
            replaced => return replaced.map_err(told),
        }
    }
    Err(told(CrontabError::Changed))
}

fn find<'f>(entries: &'f [Found], given: &ListedEntry) -> Option<&'f Found> {
    entries.iter().find(|found| found.listed == *given)
}

/// Whether no entry has this one's tag.
fn free(entries: &[Found], entry: &Entry) -> Result<()> {
    let Some(tag) = &entry.tag else { return Ok(()) };
    if entries.iter().any(|found| found.listed.entry.tag.as_ref() == Some(tag)) {
        return Err(Error::already_exists(format!("there is another entry with the tag {tag}")));
    }
    Ok(())
}

/// Whether an id is one that was listed at some time: it becomes a part of a key of the state.
fn is_id(id: &str) -> bool {
    is_tag(id)
}

/// What of an entry is new has to be what cron will take for it, and nothing more than one line.
fn check(entry: &Entry, before: Option<&Entry>) -> Result<()> {
    let Entry { schedule, command, tag, .. } = entry;
    if before.is_none_or(|before| before.tag != *tag) && tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
        return Err(Error::invalid("tag", "1 to 64 of a-z, 0-9 and -"));
    }
    if before.is_none_or(|before| before.schedule != *schedule) && !is_schedule(schedule) {
        return Err(Error::invalid("schedule", "five fields as in crontab(5), one space between them"));
    }
    if before.is_none_or(|before| before.command != *command) {
        let expected = |what: &str| Err(Error::invalid("command", what));
        if command.trim_ascii().is_empty() || command.trim_ascii() != command {
            return expected("a command without blanks at either end");
        }
        if command.contains(|sign: char| sign.is_control() && sign != '\t') {
            return expected("one line without control characters");
        }
        if command.starts_with('*') || command.ends_with('\\') {
            return expected("a command that neither begins with *, which cron takes for a field, nor ends in \\");
        }
        if tag.is_none() && command.contains('%') {
            return expected(
                "no %, which ends a command in a crontab: only that of an entry with a tag is written so that it does not",
            );
        }
        if !command.match_indices('%').all(|(at, _)| is_whole(command, at)) {
            return expected("an even number of \\ before a %: a crontab cannot hold the other");
        }
        if command.len() + command.matches('%').count() > COMMAND_MAX_BYTES {
            return expected("at most 998 bytes, each % counted twice: put it into a script");
        }
    }
    Ok(())
}

/// Whether cron takes a `\` before the percent sign there for the one that is put before it, and not for another's.
fn is_whole(command: &str, at: usize) -> bool {
    let before = command.get(..at).unwrap_or_default();
    (before.len() - before.trim_end_matches('\\').len()).is_multiple_of(2)
}

fn is_schedule(schedule: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"*,-/".contains(&byte);
    let fields: Vec<&str> = schedule.split(' ').collect();
    let is_begun = schedule.starts_with(|sign: char| sign == '*' || sign.is_ascii_digit());
    is_begun && fields.len() == 5 && fields.iter().all(|field| !field.is_empty() && field.bytes().all(is_part))
}

fn changed() -> Error {
    Error::changed("the entry is not as it was listed: list it anew")
}

/// What cron and the agent say, for whoever asked.
fn told(error: CrontabError) -> Error {
    match error {
        CrontabError::Denied(denial) => denial.into(),
        CrontabError::Invalid(words) => Error::refused(format!("cron does not take the crontab: {words}")),
        CrontabError::Changed => Error::changed("somebody else keeps changing the crontab: try it later"),
        CrontabError::Refused(why) => Error::refused(why),
        CrontabError::Unavailable(why) => Error::unavailable(why),
    }
}

#[cfg(test)]
mod tests;
