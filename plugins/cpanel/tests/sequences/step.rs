//! One call of a sequence: drawn at random from a small world, made through the adapter, and played on the model.

use cpanel::Cpanel;
use cpanel_simulator::{Account, CronLine, Record};
use fastrand::Rng;
use sdk::cron::{Entry, ListedEntry};
use sdk::dns::{ListedRecord, RecordSetEntry};
use sdk::ftp_accounts::{Account as Ftp, NewAccount};
use sdk::{Cron, Databases, Dns, FtpAccounts, Mail, Privilege, Result};

use crate::model::{self, Refusal, ZONE};
use crate::played::Played;

/// A call.
#[derive(Debug)]
pub enum Step {
    CreateDatabase(String),
    RenameDatabase(String, String),
    DeleteDatabase(String),
    CreateUser(String, String),
    SetUserPassword(String, String),
    DeleteUser(String),
    SetGrant(String, String, Vec<Privilege>),
    CreateFtp(String, String, Option<u64>, String),
    UpdateFtp(Ftp),
    SetFtpPassword(String, String),
    DeleteFtp(String),
    EndSessions(String),
    CreateMailbox(String, Option<u64>, String),
    SetMailPassword(String, String),
    SetMailQuota(String, Option<u64>),
    DeleteMailbox(String),
    CreateRecord(String, RecordSetEntry),
    ExchangeRecord(String, ListedRecord, Option<RecordSetEntry>),
    CreateEntry(Entry),
    ExchangeEntry(ListedEntry, Option<Entry>),
}

/// What a call does that is repeated after it succeeded, because its runner died.
#[derive(Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It finds what it made.
    Finds,
    /// It sees that all is as it should be, whoever did it. If it cannot see, it is *unavailable*: repeating is safe.
    Sees,
    /// It is sent again, which changes nothing: a password that cannot be looked at.
    Sends,
}

impl Step {
    /// What is drawn is often there already, and often missing.
    pub fn draw(rng: &mut Rng, played: &Played) -> Self {
        let name = |rng: &mut Rng, kind: &str| format!("h1_{kind}{}", rng.u8(..2));
        let login = |rng: &mut Rng| format!("{}@{ZONE}", rng.choice(["a", "b"]).unwrap());
        let secret = |rng: &mut Rng| rng.choice(["first", "second"]).unwrap().to_owned();
        let quota = |rng: &mut Rng| rng.choice([None, Some(1 << 20), Some(250 << 20)]).unwrap();
        let folder = |rng: &mut Rng| rng.choice(["public_html", "public_html/a b"]).unwrap().to_owned();
        let hosting = played.hosting();
        match rng.u8(..24) {
            0 | 1 => Self::CreateDatabase(name(rng, "d")),
            2 => Self::RenameDatabase(name(rng, "d"), name(rng, "d")),
            3 => Self::DeleteDatabase(name(rng, "d")),
            4 | 5 => Self::CreateUser(name(rng, "u"), secret(rng)),
            6 => Self::SetUserPassword(name(rng, "u"), secret(rng)),
            7 => Self::DeleteUser(name(rng, "u")),
            8 => {
                let all = [Privilege::Select, Privilege::Insert, Privilege::Drop];
                let privileges = all.into_iter().filter(|_| rng.bool()).collect();
                Self::SetGrant(name(rng, "u"), name(rng, "d"), privileges)
            }
            9 | 10 => Self::CreateFtp(rng.choice(["a", "b"]).unwrap().to_owned(), folder(rng), quota(rng), secret(rng)),
            11 => Self::UpdateFtp(Ftp { login: login(rng), directory: folder(rng), quota: quota(rng) }),
            12 => Self::SetFtpPassword(login(rng), secret(rng)),
            13 => Self::DeleteFtp(login(rng)),
            14 => Self::EndSessions(login(rng)),
            15 => Self::CreateMailbox(login(rng), quota(rng), secret(rng)),
            16 => Self::SetMailPassword(login(rng), secret(rng)),
            17 => Self::SetMailQuota(login(rng), quota(rng)),
            18 => Self::DeleteMailbox(login(rng)),
            19 => Self::CreateRecord(Cpanel::read_zone(hosting, ZONE.to_owned()).unwrap().version, content(rng)),
            20 | 21 => {
                let zone = Cpanel::read_zone(hosting, ZONE.to_owned()).unwrap();
                let into = rng.bool().then(|| content(rng));
                Self::ExchangeRecord(zone.version, rng.choice(zone.records).unwrap(), into)
            }
            22 => Self::CreateEntry(entry(rng)),
            _ => match rng.choice(Cpanel::list_entries(hosting).unwrap()) {
                None => Self::CreateEntry(entry(rng)),
                Some(listed) => Self::ExchangeEntry(listed, rng.bool().then(|| entry(rng))),
            },
        }
    }

    /// Makes the call.
    pub fn call(&self, played: &Played, key: &str) -> Result<()> {
        let (hosting, key) = (played.hosting(), key.to_owned());
        match self {
            Self::CreateDatabase(name) => Cpanel::create_database(hosting, key, name.clone()),
            Self::RenameDatabase(name, new) => Cpanel::rename_database(hosting, key, name.clone(), new.clone()),
            Self::DeleteDatabase(name) => Cpanel::delete_database(hosting, key, name.clone()),
            Self::CreateUser(name, secret) => Cpanel::create_user(hosting, key, name.clone(), secret.clone()),
            Self::SetUserPassword(name, secret) => {
                <Cpanel as Databases>::set_password(hosting, key, name.clone(), secret.clone())
            }
            Self::DeleteUser(name) => Cpanel::delete_user(hosting, key, name.clone()),
            Self::SetGrant(user, database, privileges) => {
                Cpanel::set_grant(hosting, key, user.clone(), database.clone(), privileges.clone())
            }
            Self::CreateFtp(name, folder, quota, secret) => {
                let (name, directory) = (name.clone(), folder.clone());
                let new = NewAccount { name, directory, quota: *quota, password: secret.clone() };
                Cpanel::create_account(hosting, key, new).map(drop)
            }
            Self::UpdateFtp(account) => Cpanel::update_account(hosting, key, account.clone()),
            Self::SetFtpPassword(login, secret) => {
                <Cpanel as FtpAccounts>::set_password(hosting, key, login.clone(), secret.clone())
            }
            Self::DeleteFtp(login) => Cpanel::delete_account(hosting, key, login.clone()),
            Self::EndSessions(login) => Cpanel::end_sessions(hosting, login.clone()).map(drop),
            Self::CreateMailbox(address, quota, secret) => {
                Cpanel::create_mailbox(hosting, key, address.clone(), *quota, secret.clone())
            }
            Self::SetMailPassword(address, secret) => {
                <Cpanel as Mail>::set_password(hosting, key, address.clone(), secret.clone())
            }
            Self::SetMailQuota(address, quota) => Cpanel::set_quota(hosting, key, address.clone(), *quota),
            Self::DeleteMailbox(address) => Cpanel::delete_mailbox(hosting, key, address.clone()),
            Self::CreateRecord(version, content) => {
                Cpanel::create_record(hosting, key, ZONE.to_owned(), version.clone(), content.clone())
            }
            Self::ExchangeRecord(version, listed, into) => {
                let (zone, version, listed) = (ZONE.to_owned(), version.clone(), listed.clone());
                match into {
                    Some(content) => Cpanel::update_record(hosting, key, zone, version, listed, content.clone()),
                    None => Cpanel::delete_record(hosting, key, zone, version, listed),
                }
            }
            Self::CreateEntry(entry) => Cpanel::create_entry(hosting, key, entry.clone()),
            Self::ExchangeEntry(listed, Some(entry)) => {
                Cpanel::update_entry(hosting, key, listed.clone(), entry.clone())
            }
            Self::ExchangeEntry(listed, None) => Cpanel::delete_entry(hosting, key, listed.clone()),
        }
    }

    /// What it should make of an account.
    pub fn play(&self, account: &mut Account) -> std::result::Result<(), Refusal> {
        match self {
            Self::CreateDatabase(name) => model::create_database(account, name),
            Self::RenameDatabase(name, new) => model::rename_database(account, name, new),
            Self::DeleteDatabase(name) => model::delete_database(account, name),
            Self::CreateUser(name, secret) => model::create_user(account, name, secret),
            Self::SetUserPassword(name, secret) => model::set_user_password(account, name, secret),
            Self::DeleteUser(name) => model::delete_user(account, name),
            Self::SetGrant(user, database, privileges) => model::set_grant(account, user, database, privileges),
            Self::CreateFtp(name, folder, quota, secret) => model::create_ftp(account, name, folder, *quota, secret),
            Self::UpdateFtp(Ftp { login, directory, quota }) => model::update_ftp(account, login, directory, *quota),
            Self::SetFtpPassword(login, secret) => model::set_ftp_password(account, login, secret),
            Self::DeleteFtp(login) => model::delete_ftp(account, login),
            Self::EndSessions(login) => model::end_sessions(account, login),
            Self::CreateMailbox(address, quota, secret) => model::create_mailbox(account, address, *quota, secret),
            Self::SetMailPassword(address, secret) => model::set_mail_password(account, address, secret),
            Self::SetMailQuota(address, quota) => model::set_mail_quota(account, address, *quota),
            Self::DeleteMailbox(address) => model::delete_mailbox(account, address),
            Self::CreateRecord(version, content) => model::create_record(account, version, content),
            Self::ExchangeRecord(version, listed, into) => {
                model::exchange_record(account, version, listed, into.as_ref())
            }
            Self::CreateEntry(entry) => model::create_entry(account, entry),
            Self::ExchangeEntry(listed, into) => model::exchange_entry(account, listed, into.as_ref()),
        }
    }

    pub fn repeat(&self) -> Repeat {
        match self {
            Self::SetUserPassword(..) | Self::SetFtpPassword(..) => Repeat::Sends,
            Self::CreateDatabase(..) | Self::RenameDatabase(..) | Self::DeleteDatabase(..) => Repeat::Finds,
            Self::CreateUser(..) | Self::DeleteUser(..) | Self::CreateFtp(..) => Repeat::Finds,
            Self::CreateMailbox(..) | Self::DeleteMailbox(..) => Repeat::Finds,
            Self::ExchangeRecord(..) | Self::ExchangeEntry(..) => Repeat::Finds,
            _ => Repeat::Sees,
        }
    }

    /// Whether the first of two changes was made and the second was not. Repeating these is safe.
    pub fn is_partly(&self, now: &Account, before: &Account, expected: &Account) -> bool {
        let mut partly = before.clone();
        match self {
            Self::UpdateFtp(Ftp { login, .. }) => {
                let (Some(there), Some(wanted)) =
                    (partly.ftp_accounts.get_mut(login), expected.ftp_accounts.get(login))
                else {
                    return false;
                };
                there.folder.clone_from(&wanted.folder);
            }
            Self::DeleteFtp(login) => drop(partly.ftp_accounts.remove(login)),
            _ => return false,
        }
        *now == partly
    }
}

/// Somebody else changes something, sometimes, between what a call rests on and the call.
pub fn others(rng: &mut Rng, played: &Played) {
    let session = rng.u32(1..9_999);
    played.others(|account| match rng.u8(..8) {
        0 => account.crontab.insert(rng.usize(..=account.crontab.len()), CronLine::command("0 0 * * 1", "theirs")),
        1 if !account.crontab.is_empty() => drop(account.crontab.remove(0)),
        2 => {
            let record =
                Record { name: "theirs".to_owned(), ttl: 60, kind: "TXT".to_owned(), data: vec!["x".to_owned()] };
            account.zones.get_mut(ZONE).unwrap().add(record);
        }
        3 => drop(account.ftp_sessions.insert(session, format!("a@{ZONE}"))),
        4 => drop(account.ftp_sessions.insert(session, "h1".to_owned())),
        _ => {}
    });
}

fn content(rng: &mut Rng) -> RecordSetEntry {
    let values = [("A", "192.0.2.7"), ("A", "192.0.2.8"), ("TXT", "v=spf1 -all"), ("MX", "10 mail.example.net.")];
    let (kind, value) = rng.choice(values).unwrap();
    let name = rng.choice(["@", "x", "y.z"]).unwrap().to_owned();
    let ttl = rng.choice([None, Some(300)]).unwrap();
    RecordSetEntry { name, kind: kind.to_owned(), ttl, value: value.to_owned() }
}

fn entry(rng: &mut Rng) -> Entry {
    let tag = rng.choice([None, Some("wp-cron"), Some("t2")]).unwrap().map(str::to_owned);
    let command = rng.choice(["php wp-cron.php", "date +\\%F >> log"]).unwrap().to_owned();
    let schedule = rng.choice(["*/5 * * * *", "0 3 1,15 * *"]).unwrap().to_owned();
    Entry { schedule, command, tag, enabled: true }
}
