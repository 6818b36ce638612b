//! Whether the adapter sees what cPanel has.

use cpanel::Cpanel;
use cpanel_simulator::Account;
use sdk::{Cron, Databases, Dns, FtpAccounts, Mail};

use crate::model::{self, ZONE};
use crate::played::Played;

#[track_caller]
pub fn agrees(played: &Played) {
    let (hosting, account) = (|| played.hosting(), played.account());
    let databases = Cpanel::list_databases(hosting()).unwrap();
    let names: Vec<String> = databases.into_iter().map(|database| database.name).collect();
    assert_eq!(names, account.databases.keys().cloned().collect::<Vec<_>>());
    users(played, &account);
    let ftp: Vec<_> = Cpanel::list_accounts(hosting()).unwrap();
    let ftp: Vec<_> = ftp.into_iter().map(|ftp| (ftp.login, ftp.directory, quota(ftp.quota))).collect();
    let there = account.ftp_accounts.iter();
    assert_eq!(ftp, there.map(|(login, ftp)| (login.clone(), ftp.folder.clone(), ftp.quota)).collect::<Vec<_>>());
    let mail = Cpanel::list_mailboxes(hosting()).unwrap();
    let mail: Vec<_> = mail.into_iter().map(|mailbox| (mailbox.address, quota(mailbox.quota))).collect();
    let there = account.mailboxes.iter();
    assert_eq!(mail, there.map(|(address, mailbox)| (address.clone(), mailbox.quota)).collect::<Vec<_>>());
    zone(played, &account);
    let entries = Cpanel::list_entries(hosting()).unwrap();
    let lines: Vec<_> = entries.iter().map(|listed| model::line(&listed.entry)).collect();
    let commands = account.crontab.iter().filter(|line| matches!(line, cpanel_simulator::CronLine::Command(..)));
    assert_eq!(lines, commands.cloned().collect::<Vec<_>>());
    for listed in &entries {
        let place: usize = listed.id.parse().unwrap();
        assert_eq!(account.crontab[place - 1], model::line(&listed.entry));
    }
}

fn quota(bytes: Option<u64>) -> u64 {
    bytes.map_or(0, |bytes| bytes >> 20)
}

#[track_caller]
fn users(played: &Played, account: &Account) {
    let users = Cpanel::list_users(played.hosting()).unwrap();
    assert_eq!(users.len(), account.database_users.len());
    for user in users {
        let there = &account.database_users[&user.name];
        assert_eq!(user.grants.len(), there.grants.len());
        for grant in user.grants {
            let words = grant.privileges.iter().map(|privilege| model::word(*privilege)).collect();
            assert_eq!(there.grants[&grant.database], words);
        }
    }
}

#[track_caller]
fn zone(played: &Played, account: &Account) {
    let read = Cpanel::read_zone(played.hosting(), ZONE.to_owned()).unwrap();
    let there = &account.zones[ZONE];
    assert_eq!((read.name.as_str(), read.version), (ZONE, there.serial.to_string()));
    let seen = read.records.iter().map(|listed| (listed.id.clone(), model::record(&listed.content, 0)));
    let there = there.records().map(|(line, record)| (line.to_string(), model::absolute(record)));
    assert_eq!(seen.collect::<Vec<_>>(), there.collect::<Vec<_>>());
}
