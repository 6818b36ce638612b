//! What each call should make of an account, said once more and without cPanel.

use std::collections::BTreeMap;

use cpanel_simulator::{Account, CronLine, Database, DatabaseUser, FtpAccount, Item, Mailbox, Record};
use sdk::cron::{Entry, ListedEntry};
use sdk::dns::{ListedRecord, RecordSetEntry};
use sdk::{Error, Privilege};

use crate::played::password;

pub const ZONE: &str = "example.com";

/// Why a call cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    Changed,
    Invalid,
}

type Played = Result<(), Refusal>;

impl Refusal {
    pub fn of(error: &Error) -> Option<Self> {
        match error {
            Error::NotFound(_) => Some(Self::NotFound),
            Error::AlreadyExists(_) => Some(Self::AlreadyExists),
            Error::Changed(_) => Some(Self::Changed),
            Error::Invalid(_) => Some(Self::Invalid),
            _ => None,
        }
    }
}

fn unless(is_refused: bool, refusal: Refusal) -> Played {
    if is_refused { Err(refusal) } else { Ok(()) }
}

fn megabytes(quota: Option<u64>) -> u64 {
    quota.map_or(0, |bytes| bytes >> 20)
}

pub fn create_database(account: &mut Account, name: &str) -> Played {
    unless(account.databases.contains_key(name), Refusal::AlreadyExists)?;
    account.databases.insert(name.to_owned(), Database { size: 0, made: 1 });
    Ok(())
}

pub fn rename_database(account: &mut Account, name: &str, new: &str) -> Played {
    unless(!account.databases.contains_key(name), Refusal::NotFound)?;
    unless(account.databases.contains_key(new), Refusal::AlreadyExists)?;
    let database = account.databases.remove(name).unwrap();
    account.databases.insert(new.to_owned(), database);
    for user in account.database_users.values_mut() {
        if let Some(rights) = user.grants.remove(name) {
            user.grants.insert(new.to_owned(), rights);
        }
    }
    Ok(())
}

pub fn delete_database(account: &mut Account, name: &str) -> Played {
    account.databases.remove(name).ok_or(Refusal::NotFound)?;
    account.database_users.values_mut().for_each(|user| drop(user.grants.remove(name)));
    Ok(())
}

pub fn create_user(account: &mut Account, name: &str, secret: &str) -> Played {
    unless(account.database_users.contains_key(name), Refusal::AlreadyExists)?;
    let user = DatabaseUser { password: password(secret), grants: BTreeMap::new() };
    account.database_users.insert(name.to_owned(), user);
    Ok(())
}

pub fn set_user_password(account: &mut Account, name: &str, secret: &str) -> Played {
    account.database_users.get_mut(name).ok_or(Refusal::NotFound)?.password = password(secret);
    Ok(())
}

pub fn delete_user(account: &mut Account, name: &str) -> Played {
    account.database_users.remove(name).map(drop).ok_or(Refusal::NotFound)
}

pub fn set_grant(account: &mut Account, user: &str, database: &str, privileges: &[Privilege]) -> Played {
    let has_database = account.databases.contains_key(database);
    let user = account.database_users.get_mut(user).ok_or(Refusal::NotFound)?;
    unless(!has_database, Refusal::NotFound)?;
    user.grants.remove(database);
    if !privileges.is_empty() {
        let words = privileges.iter().map(|privilege| word(*privilege)).collect();
        user.grants.insert(database.to_owned(), words);
    }
    Ok(())
}

/// SQL's word for one of the privileges that the trial grants.
pub fn word(privilege: Privilege) -> String {
    match privilege {
        Privilege::Select => "SELECT",
        Privilege::Insert => "INSERT",
        Privilege::Drop => "DROP",
        other => panic!("nobody granted {other:?}"),
    }
    .to_owned()
}

pub fn create_ftp(account: &mut Account, name: &str, folder: &str, quota: Option<u64>, secret: &str) -> Played {
    let login = format!("{name}@{ZONE}");
    unless(account.ftp_accounts.contains_key(&login), Refusal::AlreadyExists)?;
    let made = FtpAccount { password: password(secret), folder: folder.to_owned(), quota: megabytes(quota) };
    account.ftp_accounts.insert(login, made);
    Ok(())
}

pub fn update_ftp(account: &mut Account, login: &str, folder: &str, quota: Option<u64>) -> Played {
    let found = account.ftp_accounts.get_mut(login).ok_or(Refusal::NotFound)?;
    folder.clone_into(&mut found.folder);
    found.quota = megabytes(quota);
    Ok(())
}

pub fn set_ftp_password(account: &mut Account, login: &str, secret: &str) -> Played {
    account.ftp_accounts.get_mut(login).ok_or(Refusal::NotFound)?.password = password(secret);
    Ok(())
}

pub fn delete_ftp(account: &mut Account, login: &str) -> Played {
    account.ftp_accounts.remove(login).ok_or(Refusal::NotFound)?;
    end_sessions(account, login)
}

pub fn end_sessions(account: &mut Account, login: &str) -> Played {
    account.ftp_sessions.retain(|_, session| session != login);
    Ok(())
}

pub fn create_mailbox(account: &mut Account, address: &str, quota: Option<u64>, secret: &str) -> Played {
    unless(account.mailboxes.contains_key(address), Refusal::AlreadyExists)?;
    let mailbox = Mailbox { password: password(secret), quota: megabytes(quota), used: 0 };
    account.mailboxes.insert(address.to_owned(), mailbox);
    Ok(())
}

pub fn set_mail_password(account: &mut Account, address: &str, secret: &str) -> Played {
    account.mailboxes.get_mut(address).ok_or(Refusal::NotFound)?.password = password(secret);
    Ok(())
}

pub fn set_mail_quota(account: &mut Account, address: &str, quota: Option<u64>) -> Played {
    account.mailboxes.get_mut(address).ok_or(Refusal::NotFound)?.quota = megabytes(quota);
    Ok(())
}

pub fn delete_mailbox(account: &mut Account, address: &str) -> Played {
    account.mailboxes.remove(address).map(drop).ok_or(Refusal::NotFound)
}

/// As cPanel keeps what the adapter tells it. The trial's records are of kinds with fields apart by spaces.
pub fn record(content: &RecordSetEntry, ttl: u32) -> Record {
    let name = if content.name == "@" { format!("{ZONE}.") } else { format!("{}.{ZONE}.", content.name) };
    let data = match content.kind.as_str() {
        "TXT" => vec![content.value.clone()],
        _ => content.value.split(' ').map(str::to_owned).collect(),
    };
    Record { name, ttl: content.ttl.unwrap_or(ttl), kind: content.kind.clone(), data }
}

/// The same record, however it is written.
pub fn absolute(record: &Record) -> Record {
    let name = if record.name.ends_with('.') { record.name.clone() } else { format!("{}.{ZONE}.", record.name) };
    Record { name, ..record.clone() }
}

pub fn create_record(account: &mut Account, version: &str, content: &RecordSetEntry) -> Played {
    let zone = account.zones.get_mut(ZONE).unwrap();
    let wanted = record(content, 14_400);
    let is_wanted = |there: &Record| {
        let there = absolute(there);
        let ttl = if content.ttl.is_some() { wanted.ttl } else { there.ttl };
        there == Record { ttl, ..wanted.clone() }
    };
    if zone.records().any(|(_, there)| is_wanted(there)) {
        return Ok(());
    }
    unless(zone.serial.to_string() != version, Refusal::Changed)?;
    zone.add(wanted);
    Ok(())
}

pub fn exchange_record(
    account: &mut Account,
    version: &str,
    listed: &ListedRecord,
    into: Option<&RecordSetEntry>,
) -> Played {
    let zone = account.zones.get_mut(ZONE).unwrap();
    let ttl = listed.content.ttl.unwrap();
    let old = record(&listed.content, ttl);
    if zone.serial.to_string() != version {
        let is_gone = zone.records().all(|(_, there)| absolute(there) != old);
        return Err(if is_gone && into.is_none() { Refusal::NotFound } else { Refusal::Changed });
    }
    let new = into.map(|content| record(content, ttl));
    if new.as_ref() == Some(&old) {
        return Ok(());
    }
    let place = zone.records().position(|(line, _)| line.to_string() == listed.id).unwrap();
    let records = zone.items.iter().enumerate().filter(|(_, item)| matches!(item, Item::Record(_)));
    let item = records.map(|(at, _)| at).nth(place).unwrap();
    match new {
        Some(new) => zone.items[item] = Item::Record(new),
        None => drop(zone.items.remove(item)),
    }
    zone.serial += 1;
    Ok(())
}

/// The line that the adapter writes.
pub fn line(entry: &Entry) -> CronLine {
    let tag = entry.tag.as_ref().map(|tag| format!(": latchkey:{tag}; ")).unwrap_or_default();
    CronLine::command(&entry.schedule, &format!("{tag}{}", entry.command))
}

fn has_tag(line: &CronLine, entry: &Entry) -> bool {
    let CronLine::Command(_, command) = line else { return false };
    entry.tag.as_ref().is_some_and(|tag| command.starts_with(&format!(": latchkey:{tag}; ")))
}

pub fn create_entry(account: &mut Account, entry: &Entry) -> Played {
    let line = line(entry);
    let tagged = account.crontab.iter().find(|there| has_tag(there, entry));
    match tagged {
        Some(there) => unless(*there != line, Refusal::AlreadyExists),
        None => {
            account.crontab.push(line);
            Ok(())
        }
    }
}

pub fn exchange_entry(account: &mut Account, listed: &ListedEntry, into: Option<&Entry>) -> Played {
    let old = line(&listed.entry);
    let at: Option<usize> = listed.id.parse::<usize>().ok().map(|place| place - 1);
    let at = at.filter(|at| account.crontab.get(*at) == Some(&old));
    let found = at.or_else(|| account.crontab.iter().position(|there| *there == old));
    let Some(at) = found else {
        let has_tag = account.crontab.iter().any(|there| has_tag(there, &listed.entry));
        return Err(if has_tag { Refusal::Changed } else { Refusal::NotFound });
    };
    match into {
        Some(entry) => account.crontab[at] = line(entry),
        None => drop(account.crontab.remove(at)),
    }
    Ok(())
}
