//! What the adapter does in each case, one at a time, against the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails at the line that was wrong"
)]

#[allow(dead_code, reason = "shared with the other tests")]
mod played;

use std::time::Duration;

use cpanel::Cpanel;
use cpanel_simulator::{Account, CronLine, Database, Envelope, Fault, Kind, Outcome, Record};
use played::Played;
use sdk::cron::{Entry, ListedEntry};
use sdk::dns::RecordSetEntry;
use sdk::ftp_accounts::{Account as FtpAccount, NewAccount};
use sdk::{Cron, Databases, Dns, Error, FtpAccounts, Mail, Privilege};

/// Faults that hide what came of a request, and whether it took effect.
const HIDING: [(Fault, bool); 6] = [
    (Fault::CutBefore, false),
    (Fault::CutAfter, true),
    (Fault::FailBefore, false),
    (Fault::FailAfter, true),
    (Fault::Truncate, true),
    (Fault::Delay(Duration::from_secs(5)), true),
];

fn own(text: &str) -> String {
    text.to_owned()
}

/// Has the request after `whole` ones go wrong, and after that `blind` ones that read.
fn strike(played: &Played, whole: usize, fault: Fault, blind: usize) {
    let before = vec![None; whole];
    let after = vec![Some(Fault::CutBefore); blind];
    played.cpanel.played().faults.script(before.into_iter().chain([Some(fault)]).chain(after));
}

fn create(played: &Played, key: &str) -> sdk::Result<()> {
    Cpanel::create_database(played.hosting(), own(key), own("h1_shop"))
}

/// Requests that asked for a change.
fn changes(played: &Played) -> usize {
    played.asked(0).iter().filter(|entry| entry.kind == Kind::Change).count()
}

#[test]
fn what_happened_without_an_answer_is_found_by_looking() {
    for (fault, has_effect) in HIDING {
        let played = Played::begin();
        // Before the change: the list and the restrictions.
        strike(&played, 2, fault, 0);
        let came = create(&played, "k1");
        if has_effect {
            assert_eq!(came, Ok(()), "{fault:?}");
        } else {
            assert!(matches!(came, Err(Error::Unavailable(_))), "{fault:?}: {came:?}");
            assert!(played.account().databases.is_empty());
            assert_eq!(create(&played, "k1"), Ok(()));
        }
        assert!(played.account().databases.contains_key("h1_shop"));
        played.nothing_was_repeated_blindly(0);
        assert_eq!(changes(&played), if has_effect { 1 } else { 2 });
    }
}

#[test]
fn what_can_neither_be_known_nor_be_read_is_uncertain_and_not_repeated() {
    for (fault, _) in HIDING {
        let played = Played::begin();
        strike(&played, 2, fault, 3);
        assert!(matches!(create(&played, "k1"), Err(Error::Uncertain(_))), "{fault:?}");
        assert_eq!(changes(&played), 1);
    }
    // Two tries to read in vain are not the end.
    let played = Played::begin();
    strike(&played, 2, Fault::CutAfter, 2);
    assert_eq!(create(&played, "k1"), Ok(()));
}

#[test]
fn a_repeat_finds_what_an_earlier_try_made_and_another_call_does_not() {
    let played = Played::begin();
    strike(&played, 2, Fault::CutAfter, 3);
    assert!(matches!(create(&played, "k1"), Err(Error::Uncertain(_))));
    assert_eq!(create(&played, "k1"), Ok(()));
    assert!(matches!(create(&played, "k2"), Err(Error::AlreadyExists(_))));
    let delete = |key: &str| Cpanel::delete_database(played.hosting(), own(key), own("h1_shop"));
    assert_eq!((delete("k3"), delete("k3")), (Ok(()), Ok(())));
    assert!(matches!(delete("k4"), Err(Error::NotFound(_))));
    assert_eq!(changes(&played), 2);
}

#[test]
fn what_could_not_be_read_at_first_is_not_changed() {
    let played = Played::begin();
    played.cpanel.played().faults.script(vec![Some(Fault::FailBefore); 3]);
    assert!(matches!(create(&played, "k1"), Err(Error::Unavailable(_))));
    assert_eq!(changes(&played), 0);
}

#[test]
fn what_takes_too_long_is_given_up_before_the_agent_ends_the_call() {
    let played = Played::begin();
    // As the agent's clock has it, after the look and before the change.
    played.passes(Duration::from_millis(1_300));
    assert!(matches!(create(&played, "k1"), Err(Error::Unavailable(_))));
    assert_eq!((played.asked(0).len(), changes(&played)), (2, 0));
    played.passes(Duration::from_secs(1));
    assert!(matches!(Cpanel::list_databases(played.hosting()), Err(Error::Unavailable(_))));
    assert_eq!(played.asked(0).len(), 2);
}

#[test]
fn a_token_that_is_not_valid_is_refused_in_words() {
    let played = Played::begin();
    played.others(|account| account.token = own("another"));
    let Err(Error::Refused(words)) = Cpanel::list_databases(played.hosting()) else { panic!("a list") };
    assert!(words.contains("token"), "{words}");
    drop(played);
    let played = Played::begin();
    strike(&played, 2, Fault::LoginPage, 0);
    assert!(matches!(create(&played, "k1"), Err(Error::Refused(_))));
}

#[test]
fn names_are_checked_against_what_this_cpanel_allows() {
    let played = Played::begin();
    let long = format!("h1_{}", "x".repeat(62));
    for name in ["other_shop", "h1_", &long] {
        let came = Cpanel::create_database(played.hosting(), own("k"), own(name));
        assert!(matches!(came, Err(Error::Invalid(field)) if field.name == "name"), "{name}");
    }
    let came = Cpanel::create_user(played.hosting(), own("k"), own(&long[..33]), own("first"));
    assert!(matches!(came, Err(Error::Invalid(_))));
    assert_eq!(changes(&played), 0);
    Cpanel::create_user(played.hosting(), own("k"), own(&long[..32]), own("first")).unwrap();
}

#[test]
fn a_database_user_has_a_password_and_grants() {
    let played = Played::begin();
    played.cpanel.played().envelope = Envelope::Documented;
    create(&played, "k1").unwrap();
    Cpanel::create_user(played.hosting(), own("k2"), own("h1_wp"), own("first")).unwrap();
    assert_eq!(played.account().database_users["h1_wp"].password, played::password("first"));
    let weak = <Cpanel as Databases>::set_password(played.hosting(), own("k3"), own("h1_wp"), own("weak"));
    assert!(matches!(weak, Err(Error::Invalid(field)) if field.name == "password"));
    <Cpanel as Databases>::set_password(played.hosting(), own("k4"), own("h1_wp"), own("second")).unwrap();
    assert_eq!(played.account().database_users["h1_wp"].password, played::password("second"));
    let grant = |privileges: &[Privilege]| {
        Cpanel::set_grant(played.hosting(), own("k5"), own("h1_wp"), own("h1_shop"), privileges.to_vec())
    };
    let listed = || Cpanel::list_users(played.hosting()).unwrap().remove(0).grants;
    grant(&[Privilege::Update, Privilege::Select]).unwrap();
    assert_eq!(listed()[0].privileges, [Privilege::Select, Privilege::Update]);
    let before = changes(&played);
    grant(&[Privilege::Select, Privilege::Update]).unwrap();
    assert_eq!(changes(&played), before);
    grant(&[Privilege::Drop]).unwrap();
    assert_eq!(listed()[0].privileges, [Privilege::Drop]);
    grant(&[]).unwrap();
    assert_eq!(listed(), []);
    let missing = Cpanel::set_grant(played.hosting(), own("k6"), own("h1_wp"), own("h1_no"), vec![Privilege::Drop]);
    assert!(matches!(missing, Err(Error::NotFound(_))));
    Cpanel::rename_database(played.hosting(), own("k7"), own("h1_shop"), own("h1_mart")).unwrap();
    assert_eq!(Cpanel::list_databases(played.hosting()).unwrap()[0].name, "h1_mart");
    assert!(!played.left().contains("correct horse"), "{}", played.left());
}

#[test]
fn a_password_that_cannot_be_looked_at_is_uncertain() {
    let played = Played::begin();
    Cpanel::create_user(played.hosting(), own("k1"), own("h1_wp"), own("first")).unwrap();
    strike(&played, 1, Fault::CutAfter, 0);
    let came = <Cpanel as Databases>::set_password(played.hosting(), own("k2"), own("h1_wp"), own("second"));
    assert!(matches!(came, Err(Error::Uncertain(_))));
    played.nothing_was_repeated_blindly(0);
}

#[test]
fn a_mailbox_keeps_its_mail_and_its_password_can_be_looked_at() {
    let played = Played::begin();
    let address = || own("anna@example.com");
    let create = |key: &str, quota| Cpanel::create_mailbox(played.hosting(), own(key), address(), quota, own("first"));
    let loud = Cpanel::create_mailbox(played.hosting(), own("k0"), own("Anna@example.com"), None, own("first"));
    assert!(matches!(loud, Err(Error::Invalid(field)) if field.name == "address"));
    assert!(matches!(create("k0", Some(0)), Err(Error::Invalid(field)) if field.name == "quota"));
    create("k1", Some(100 << 20)).unwrap();
    assert!(matches!(create("k2", None), Err(Error::AlreadyExists(_))));
    strike(&played, 2, Fault::CutAfter, 0);
    <Cpanel as Mail>::set_password(played.hosting(), own("k3"), address(), own("second")).unwrap();
    assert_eq!(played.account().mailboxes["anna@example.com"].password, played::password("second"));
    Cpanel::set_quota(played.hosting(), own("k4"), address(), None).unwrap();
    let listed = Cpanel::list_mailboxes(played.hosting()).unwrap();
    assert_eq!((listed.len(), listed[0].quota, listed[0].used), (1, None, Some(0)));
    Cpanel::delete_mailbox(played.hosting(), own("k5"), address()).unwrap();
    let deletion = played.asked(0).into_iter().find(|entry| entry.function == "Email::delete_pop").unwrap();
    assert!(deletion.arguments.contains(&(own("flags"), own("passwd"))));
    let gone = Cpanel::set_quota(played.hosting(), own("k6"), address(), None);
    assert!(matches!(gone, Err(Error::NotFound(_))));
}

#[test]
fn an_ftp_account_is_deleted_without_its_folder_and_its_sessions_end() {
    let played = Played::begin();
    let new =
        NewAccount { name: own("ftp"), directory: own("public_html/a"), quota: Some(5 << 20), password: own("first") };
    let made = Cpanel::create_account(played.hosting(), own("k1"), new).unwrap();
    let expected = FtpAccount { login: own("ftp@example.com"), directory: own("public_html/a"), quota: Some(5 << 20) };
    assert_eq!((&made, Cpanel::list_accounts(played.hosting()).unwrap()), (&expected, vec![expected.clone()]));
    let changed = FtpAccount { directory: own("b"), quota: None, ..expected };
    Cpanel::update_account(played.hosting(), own("k2"), changed.clone()).unwrap();
    assert_eq!(Cpanel::list_accounts(played.hosting()).unwrap(), [changed]);
    played.others(|account| {
        account.ftp_sessions = [(1, "ftp@example.com"), (2, "h1"), (3, "ftp@example.com")]
            .map(|(process, login)| (process, own(login)))
            .into();
    });
    Cpanel::delete_account(played.hosting(), own("k3"), own("ftp@example.com")).unwrap();
    let account = played.account();
    assert_eq!((account.ftp_accounts.len(), account.ftp_sessions.into_keys().collect::<Vec<_>>()), (0, vec![2]));
    let deletion = played.asked(0).into_iter().find(|entry| entry.function == "Ftp::delete_ftp").unwrap();
    assert!(deletion.arguments.contains(&(own("destroy"), own("0"))));
    assert_eq!(Cpanel::end_sessions(played.hosting(), own("ftp@example.com")), Ok(0));
    assert!(matches!(Cpanel::end_sessions(played.hosting(), own("all")), Err(Error::NotFound(_))));
    assert!(matches!(Cpanel::end_sessions(played.hosting(), own("h1")), Err(Error::NotFound(_))));
    for (name, directory) in [("x", ""), ("x", "/"), ("x", "a/../b"), ("a.b", "web"), ("", "web"), ("X", "web")] {
        let new = NewAccount { name: own(name), directory: own(directory), quota: None, password: own("first") };
        assert!(matches!(Cpanel::create_account(played.hosting(), own("k4"), new), Err(Error::Invalid(_))));
    }
}

#[test]
fn a_change_of_a_zone_carries_the_serial_that_was_read() {
    let played = Played::begin();
    assert_eq!(Cpanel::list_zones(played.hosting()).unwrap(), ["example.com"]);
    let zone = Cpanel::read_zone(played.hosting(), own("example.com")).unwrap();
    let content = RecordSetEntry { name: own("a"), kind: own("A"), ttl: None, value: own("192.0.2.9") };
    let create = |version: &str| {
        Cpanel::create_record(played.hosting(), own("k1"), own("example.com"), own(version), content.clone())
    };
    played.others(|account| {
        let record = Record { name: own("b"), ttl: 60, kind: own("TXT"), data: vec![own("x")] };
        account.zones.get_mut("example.com").unwrap().add(record);
    });
    assert!(matches!(create(&zone.version), Err(Error::Changed(_))));
    assert_eq!(changes(&played), 0);
    let zone = Cpanel::read_zone(played.hosting(), own("example.com")).unwrap();
    create(&zone.version).unwrap();
    // What is there is what is wanted, whichever the version.
    create(&zone.version).unwrap();
    assert_eq!(changes(&played), 1);
    let asked = played.asked(0);
    let edit = asked.iter().find(|entry| entry.function == "DNS::mass_edit_zone").unwrap();
    assert!(edit.arguments.contains(&(own("serial"), zone.version.clone())), "{edit:?}");
    assert!(matches!(Cpanel::read_zone(played.hosting(), own("else.example")), Err(Error::NotFound(_))));
}

#[test]
fn a_record_is_changed_only_if_it_still_is_as_it_was_listed() {
    let played = Played::begin();
    let read = || Cpanel::read_zone(played.hosting(), own("example.com")).unwrap();
    let zone = read();
    let listed = zone.records.iter().find(|record| record.content.kind == "CNAME").unwrap().clone();
    let content = RecordSetEntry { value: own("elsewhere.example."), ttl: None, ..listed.content.clone() };
    let update = |key: &str, version: &str, content: &RecordSetEntry| {
        let (zone, version) = (own("example.com"), own(version));
        Cpanel::update_record(played.hosting(), own(key), zone, version, listed.clone(), content.clone())
    };
    update("k0", &zone.version, &listed.content).unwrap();
    assert_eq!(changes(&played), 0);
    strike(&played, 1, Fault::Truncate, 0);
    update("k1", &zone.version, &content).unwrap();
    update("k1", &zone.version, &content).unwrap();
    assert!(matches!(update("k2", &zone.version, &content), Err(Error::Changed(_))));
    assert!(matches!(update("k3", &read().version, &content), Err(Error::Changed(_))));
    let delete = |key: &str, version: &str, listed: &sdk::dns::ListedRecord| {
        Cpanel::delete_record(played.hosting(), own(key), own("example.com"), own(version), listed.clone())
    };
    assert!(matches!(delete("k4", &zone.version, &listed), Err(Error::NotFound(_))));
    let now = read();
    let current = now.records.iter().find(|record| record.content.kind == "CNAME").unwrap().clone();
    assert_eq!(current.content.ttl, listed.content.ttl);
    delete("k5", &now.version, &current).unwrap();
    delete("k5", &now.version, &current).unwrap();
    assert!(matches!(delete("k6", &now.version, &current), Err(Error::NotFound(_))));
    assert_eq!(changes(&played), 2);
}

fn entry(command: &str, tag: Option<&str>) -> Entry {
    Entry { schedule: own("*/5 * * * *"), command: own(command), tag: tag.map(own), enabled: true }
}

#[test]
fn a_line_is_found_again_where_it_is_now() {
    let played = Played::begin();
    let list = || Cpanel::list_entries(played.hosting()).unwrap();
    Cpanel::create_entry(played.hosting(), own("k1"), entry("echo 100%%", Some("wp"))).unwrap();
    Cpanel::create_entry(played.hosting(), own("k2"), entry("echo 100%%", Some("wp"))).unwrap();
    let taken = Cpanel::create_entry(played.hosting(), own("k3"), entry("other", Some("wp")));
    assert!(matches!(taken, Err(Error::AlreadyExists(_))));
    let listed = list();
    assert_eq!((listed.len(), &listed[0].entry), (1, &entry("echo 100%%", Some("wp"))));
    let theirs = CronLine::command("0 0 * * *", "theirs");
    played.others(|account| account.crontab.insert(0, theirs.clone()));
    Cpanel::update_entry(played.hosting(), own("k4"), listed[0].clone(), entry("new", Some("wp"))).unwrap();
    assert!(played.account().crontab.contains(&theirs));
    let stale = Cpanel::delete_entry(played.hosting(), own("k5"), listed[0].clone());
    assert!(matches!(stale, Err(Error::Changed(_))));
    let new = list().into_iter().find(|listed| listed.entry.command == "new").unwrap();
    played.others(|account| drop(account.crontab.remove(0)));
    Cpanel::delete_entry(played.hosting(), own("k6"), new.clone()).unwrap();
    assert!(matches!(Cpanel::delete_entry(played.hosting(), own("k7"), new), Err(Error::NotFound(_))));
    assert_eq!(played.account().crontab.len(), 1);
}

#[test]
fn one_of_several_lines_that_are_alike_is_removed_once() {
    let played = Played::begin();
    for key in ["k1", "k1", "k2"] {
        Cpanel::create_entry(played.hosting(), own(key), entry("same", None)).unwrap();
    }
    let listed: Vec<ListedEntry> = Cpanel::list_entries(played.hosting()).unwrap();
    assert_eq!(listed.len(), 2);
    strike(&played, 1, Fault::CutAfter, 3);
    let delete = || Cpanel::delete_entry(played.hosting(), own("k3"), listed[1].clone());
    assert!(matches!(delete(), Err(Error::Uncertain(_))));
    assert_eq!(delete(), Ok(()));
    assert_eq!(Cpanel::list_entries(played.hosting()).unwrap().len(), 1);
}

#[test]
fn a_refusal_in_the_middle_is_told_in_cpanels_words() {
    let played = Played::begin();
    played.others(|account| account.main_domain = own("moved.example"));
    let came = Cpanel::create_mailbox(played.hosting(), own("k1"), own("a@example.com"), None, own("first"));
    assert!(matches!(came, Err(Error::Refused(words)) if words.contains("not one of this account")));
    assert_eq!(played.asked(0).iter().filter(|entry| entry.outcome == Outcome::Refused).count(), 1);
}

/// Has somebody else change the account after so many requests.
fn meanwhile(played: &Played, requests: usize, change: impl FnOnce(&mut Account) + Send + 'static) {
    played.cpanel.played().others.after(requests, change);
}

#[test]
fn a_serial_that_went_stale_after_the_look_is_refused_by_cpanel_and_told() {
    let played = Played::begin();
    let zone = Cpanel::read_zone(played.hosting(), own("example.com")).unwrap();
    let content = RecordSetEntry { name: own("a"), kind: own("A"), ttl: None, value: own("192.0.2.9") };
    let theirs = Record { name: own("b"), ttl: 60, kind: own("TXT"), data: vec![own("x")] };
    meanwhile(&played, 1, |account| account.zones.get_mut("example.com").unwrap().add(theirs));
    let came = Cpanel::create_record(played.hosting(), own("k1"), own("example.com"), zone.version, content);
    assert!(matches!(came, Err(Error::Changed(_))), "{came:?}");
    let edit = played.asked(0).into_iter().find(|entry| entry.kind == Kind::Change).unwrap();
    assert_eq!(edit.outcome, Outcome::Refused);
    let zone = &played.account().zones["example.com"];
    assert_eq!(zone.records().count(), 5);
}

#[test]
fn what_somebody_else_made_or_removed_in_between_is_not_ours() {
    let played = Played::begin();
    let theirs = || Database { size: 7, made: 1 };
    meanwhile(&played, 2, move |account| {
        account.databases.insert(own("h1_shop"), theirs());
    });
    assert!(matches!(create(&played, "k1"), Err(Error::AlreadyExists(_))));
    assert_eq!(played.account().databases["h1_shop"], theirs());
    meanwhile(&played, 1, |account| {
        account.databases.remove("h1_shop");
    });
    let gone = Cpanel::delete_database(played.hosting(), own("k2"), own("h1_shop"));
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

#[test]
fn a_line_that_shifted_after_the_look_is_told() {
    let played = Played::begin();
    let theirs = || CronLine::command("0 0 * * *", "theirs");
    played.others(|account| account.crontab.push(theirs()));
    Cpanel::create_entry(played.hosting(), own("k1"), entry("ours", Some("wp"))).unwrap();
    let listed = Cpanel::list_entries(played.hosting()).unwrap();
    // Nothing that an adapter does keeps cPanel from removing ours in the place of theirs.
    meanwhile(&played, 1, |account| drop(account.crontab.remove(0)));
    let removed = Cpanel::delete_entry(played.hosting(), own("k2"), listed[0].clone());
    assert!(matches!(removed, Err(Error::Changed(_))), "{removed:?}");
    assert_eq!(played.account().crontab, [theirs()]);
    let listed = Cpanel::list_entries(played.hosting()).unwrap();
    meanwhile(&played, 1, |account| account.crontab.insert(0, CronLine::command("1 1 * * *", "another")));
    let edited = Cpanel::update_entry(played.hosting(), own("k3"), listed[0].clone(), entry("new", None));
    assert!(matches!(edited, Err(Error::Changed(_))), "{edited:?}");
}
