//! `cron`, by API 2, which alone has it. cPanel names a line by its place, which shifts whenever another line comes or goes:
//! a line is found by what stands in it, looked for again just before it is changed, and counted after.
//!
//! The agent's tag stands before the command, as a command that does nothing: `: latchkey:TAG; …`. At the end it would not
//! be safe, because `%` in a crontab ends the command.

use sdk::cron::{Entry, ListedEntry};
use sdk::{Cron, Error, Hosting, IdempotencyKey, Result};
use serde_json::Value;

use crate::Cpanel;
use crate::account::Account;
use crate::answer::{field, rows};
use crate::call::Call;
use crate::change::{self, Now, Step};
use crate::exchange::{Exchange, Found};

const MODULE: &str = "Cron";
const FIELDS: [&str; 5] = ["minute", "hour", "day", "month", "weekday"];
const TAG: &str = ": latchkey:";

impl Cron for Cpanel {
    fn list_entries(hosting: Hosting) -> Result<Vec<ListedEntry>> {
        listed(&Account::of(&hosting)?)
    }

    fn create_entry(hosting: Hosting, key: IdempotencyKey, entry: Entry) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = write(Call::api2(MODULE, "add_line"), &entry)?;
        if let Some(tag) = &entry.tag {
            return change::ensure(&account, || {
                let entries = listed(&account)?;
                Ok(match entries.into_iter().find(|listed| listed.entry.tag.as_ref() == Some(tag)) {
                    None => call.clone().into(),
                    Some(listed) if listed.entry == entry => Now::Wanted,
                    Some(_) => Now::Otherwise(Error::already_exists(format!("there is another entry tagged {tag}"))),
                })
            });
        }
        // Two entries may be alike: what was there before is not what this call made.
        let exchange = Exchange { out: None, into: Some(&entry) };
        change::once(&account, &key, changed(), |before| {
            let entries: Vec<Entry> = listed(&account)?.into_iter().map(|listed| listed.entry).collect();
            Ok(match exchange.judge(&entries, before) {
                Found::Done => Now::Wanted,
                Found::Untouched(before) => Now::Before(Step { call: call.clone(), before }),
                Found::Different => Now::Otherwise(changed()),
            })
        })
    }

    fn update_entry(hosting: Hosting, key: IdempotencyKey, given: ListedEntry, entry: Entry) -> Result<()> {
        let account = Account::of(&hosting)?;
        write(Call::api2(MODULE, "edit_line"), &entry)?;
        exchange(&account, &key, &given, Some(&entry))
    }

    fn delete_entry(hosting: Hosting, key: IdempotencyKey, given: ListedEntry) -> Result<()> {
        exchange(&Account::of(&hosting)?, &key, &given, None)
    }
}

/// Puts an entry in the place of a listed one, or nothing.
fn exchange(account: &Account, key: &str, given: &ListedEntry, into: Option<&Entry>) -> Result<()> {
    if into == Some(&given.entry) {
        return place(&listed(account)?, given).map(drop);
    }
    let exchange = Exchange { out: Some(&given.entry), into };
    change::once(account, key, changed(), |before| {
        let entries = listed(account)?;
        let contents: Vec<Entry> = entries.iter().map(|listed| listed.entry.clone()).collect();
        Ok(match exchange.judge(&contents, before) {
            Found::Done => Now::Wanted,
            Found::Untouched(before) => match place(&entries, given) {
                Err(error) => Now::Otherwise(error),
                Ok(line) => {
                    let call = match into {
                        Some(entry) => write(Call::api2(MODULE, "edit_line").with("linekey", line), entry)?,
                        None => Call::api2(MODULE, "remove_line").with("linekey", line),
                    };
                    Now::Before(Step { call, before })
                }
            },
            Found::Different => Now::Otherwise(changed()),
        })
    })
}

/// Where a listed entry is now: where it was, or where the first one like it is.
fn place<'a>(entries: &'a [ListedEntry], given: &ListedEntry) -> Result<&'a str> {
    let alike: Vec<&ListedEntry> = entries.iter().filter(|listed| listed.entry == given.entry).collect();
    let found = alike.iter().find(|listed| listed.id == given.id).or_else(|| alike.first());
    if let Some(listed) = found {
        return Ok(&listed.id);
    }
    let has_its_tag = |listed: &ListedEntry| given.entry.tag.is_some() && listed.entry.tag == given.entry.tag;
    if entries.iter().any(has_its_tag) {
        return Err(changed());
    }
    Err(Error::not_found("there is no such entry any more"))
}

/// All lines that are commands; cPanel lists variables, too, and ends with a row that only counts.
fn listed(account: &Account) -> Result<Vec<ListedEntry>> {
    let rows = rows(change::read(account, &Call::api2(MODULE, "listcron"))?);
    Ok(rows.iter().filter_map(listed_entry).collect())
}

fn listed_entry(row: &Value) -> Option<ListedEntry> {
    let mut fields = Vec::new();
    for name in FIELDS {
        fields.push(field(row, name)?);
    }
    let (tag, command) = untagged(field(row, "command")?);
    let entry = Entry { schedule: fields.join(" "), command, tag, enabled: true };
    Some(ListedEntry { id: field(row, "linekey")?, entry })
}

fn write(call: Call, entry: &Entry) -> Result<Call> {
    if !entry.enabled {
        return Err(Error::unsupported("cPanel keeps no cron jobs that do not run: delete the entry instead"));
    }
    if entry.command.trim().is_empty() || entry.command.contains(['\n', '\r', '\0']) {
        return Err(Error::invalid("command", "one line"));
    }
    let fields: Vec<&str> = entry.schedule.split(' ').collect();
    if fields.len() != FIELDS.len() {
        return Err(Error::invalid("schedule", "five fields, one space between them"));
    }
    let call = FIELDS.into_iter().zip(fields).fold(call, |call, (name, field)| call.with(name, field));
    Ok(call.with("command", tagged(entry)))
}

fn tagged(entry: &Entry) -> String {
    match &entry.tag {
        Some(tag) => format!("{TAG}{tag}; {}", entry.command),
        None => entry.command.clone(),
    }
}

fn untagged(line: String) -> (Option<String>, String) {
    let parts = line.strip_prefix(TAG).and_then(|rest| rest.split_once("; "));
    match parts {
        Some((tag, command)) if tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            (Some(tag.to_owned()), command.to_owned())
        }
        _ => (None, line),
    }
}

fn changed() -> Error {
    Error::changed(
        "the entry is not as it was listed, or somebody else changed the crontab at the same time: list it anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(command: &str, tag: Option<&str>) -> Entry {
        let tag = tag.map(str::to_owned);
        Entry { schedule: "1 2 * * *".to_owned(), command: command.to_owned(), tag, enabled: true }
    }

    fn at(id: &str, entry: Entry) -> ListedEntry {
        ListedEntry { id: id.to_owned(), entry }
    }

    #[test]
    fn a_tag_comes_back() {
        for given in [entry("date +\\%F", Some("wp-1")), entry("true; false", Some("a")), entry(": latchkey; x", None)]
        {
            assert_eq!(untagged(tagged(&given)), (given.tag, given.command));
        }
        assert_eq!(untagged(": latchkey:no tag; x".to_owned()), (None, ": latchkey:no tag; x".to_owned()));
    }

    #[test]
    fn only_commands_are_entries() {
        let command = json!({
            "minute": 1, "hour": "2", "day": "*", "month": "*", "weekday": "*", "command": ": latchkey:t; x", "linekey": 4,
        });
        assert_eq!(listed_entry(&command), Some(at("4", entry("x", Some("t")))));
        for other in [json!({ "count": 3 }), json!({ "type": "variable", "key": "MAILTO", "value": "", "linekey": 1 })]
        {
            assert_eq!(listed_entry(&other), None);
        }
    }

    #[test]
    fn a_line_is_found_by_what_stands_in_it() {
        let entries = [
            at("2", entry("a", None)),
            at("3", entry("b", None)),
            at("4", entry("b", None)),
            at("5", entry("c", Some("t"))),
        ];
        assert_eq!(place(&entries, &at("4", entry("b", None))), Ok("4"));
        assert_eq!(place(&entries, &at("9", entry("b", None))), Ok("3"));
        assert!(matches!(place(&entries, &at("2", entry("gone", None))), Err(Error::NotFound(_))));
        assert!(matches!(place(&entries, &at("5", entry("old", Some("t")))), Err(Error::Changed(_))));
    }

    #[test]
    fn what_cpanel_cannot_keep_is_refused_before_anything_is_sent() {
        let refused = |entry: Entry| write(Call::api2(MODULE, "add_line"), &entry).unwrap_err();
        assert!(matches!(refused(Entry { enabled: false, ..entry("x", None) }), Error::Unsupported(_)));
        assert!(matches!(refused(entry("x\ny", None)), Error::Invalid(_)));
        assert!(matches!(refused(Entry { schedule: "@daily".to_owned(), ..entry("x", None) }), Error::Invalid(_)));
    }
}
