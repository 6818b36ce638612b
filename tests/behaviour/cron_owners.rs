//! Whose cron entries are while they are changed by turns, and what becomes of lines that nobody answers for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use latchkey_tests::api::Api;
use latchkey_tests::audit::all_rows;
use latchkey_tests::databases::sql;
use latchkey_tests::exchange::Response;
use latchkey_tests::shares::Share;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::Node;

use crate::cron::{Clock, FOREIGN, SITE, create, line, made};
use crate::state::{back_up, damage, restore, set_back};

crate::trials! {
    beside_others:
        an_entry_is_of_whoever_said_last_what_it_runs_and_enabling_it_takes_it_over_only_when_they_are_gone;
    alone:
        a_change_that_hangs_leaves_the_entry_named_as_unconfirmed_and_nothing_comes_later,
        an_entry_that_is_taken_over_while_its_share_ends_stays,
        a_line_that_nobody_answers_for_leaves_the_crontab_and_others_stay,
        what_a_backup_does_not_know_of_is_taken_out_when_it_has_taken_the_place_of_the_state;
}

#[track_caller]
fn update(person: &Api<'_>, id: &str, change: Value) {
    let mut input = json!({ "id": id });
    input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    person.operate(SITE, "cron.update", &input).done();
}

#[track_caller]
fn is_of(clock: &Clock<'_>, id: &str, share: Option<&Share<'_>>) {
    assert_eq!(clock.entry(id)["share"], json!(share.map(|share| &share.id)), "{}", clock.entry(id));
}

fn an_entry_is_of_whoever_said_last_what_it_runs_and_enabling_it_takes_it_over_only_when_they_are_gone(node: &Node) {
    let clock = Clock::new(node);
    let owner = clock.owner();
    let owners = || {
        let entry = json!({ "schedule": "5 4 * * *", "command": "echo of the owner", "enabled": false });
        made(&clock.owner().operate(SITE, "cron.create", &entry))
    };
    let forget = |id: &str| drop(clock.owner().operate(SITE, "cron.delete", &json!({ "id": id })).done());
    type Changes<'c> = &'c [(&'c str, Value)];
    let (on, off) = (json!({ "enabled": true }), json!({ "enabled": false }));
    let says = json!({ "command": "echo of a guest" });
    let says_and_on = json!({ "schedule": "6 4 * * *", "enabled": true });
    let owner_says = json!({ "command": "echo of the owner" });
    // Who changes what of an entry of the owner's that is disabled; whether it leaves with the guest's share.
    let cases: [(Changes<'_>, bool); 8] = [
        (&[("guest", says.clone()), ("guest", on.clone())], true),
        (&[("guest", says.clone()), ("owner", on.clone())], true),
        (&[("guest", says_and_on)], true),
        (&[("guest", on.clone())], true),
        (&[("guest", on.clone()), ("owner", owner_says.clone())], false),
        (&[("guest", says), ("owner", owner_says.clone()), ("owner", on.clone())], false),
        (&[("owner", on.clone()), ("guest", off), ("owner", on.clone())], false),
        (&[("owner", on.clone()), ("guest", on.clone())], false),
    ];
    for (changes, leaves) in cases {
        let guest = clock.guest();
        let id = owners();
        for (who, change) in changes {
            let who = if *who == "guest" { guest.person() } else { clock.owner() };
            update(&who, &id, change.clone());
        }
        assert!(clock.crontab().contains(&id), "{changes:?}");
        is_of(&clock, &id, leaves.then_some(&guest));
        let ended = guest.revoke();
        assert_eq!(ended.to_string().contains(&id), leaves, "{changes:?}: {ended}");
        assert_eq!(clock.crontab().contains(&id), !leaves, "{changes:?}");
        // Nobody else is there to answer for it.
        update(&owner, &id, on.clone());
        is_of(&clock, &id, None);
        assert!(clock.crontab().contains(&id), "{changes:?}");
        forget(&id);
    }
    // What a guest has said and never let run is theirs, too, and runs as the entry of whoever enables it afterwards.
    let (guest, id) = (clock.guest(), owners());
    update(&guest.person(), &id, json!({ "command": "echo of a guest" }));
    is_of(&clock, &id, Some(&guest));
    guest.revoke();
    clock.has("");
    forget(&id);
}

/// Stands before cron's own program, and waits while a file is there. Dropped, it is out of the way.
struct SlowCrontab<'n> {
    node: &'n Node,
    configured: String,
    script: PathBuf,
    hangs: PathBuf,
}

impl<'n> SlowCrontab<'n> {
    fn new(node: &'n Node) -> Self {
        let config = &node.agent().unwrap().paths().broker_config;
        let configured = fs::read_to_string(config).unwrap();
        let (script, hangs) = (node.root().join("slow-crontab"), node.root().join("crontab-hangs"));
        let waits = format!("while test -e {hangs:?}; do sleep 0.02; done\nexec /usr/bin/crontab \"$@\"");
        fs::write(&script, format!("#!/bin/sh\n{waits}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let slow = configured.replace("\"/usr/bin/crontab\"", &format!("{script:?}"));
        assert_ne!(slow, configured);
        fs::write(config, slow).unwrap();
        node.broker().unwrap().restart().unwrap();
        Self { node, configured, script, hangs }
    }

    fn hang(&self) {
        fs::write(&self.hangs, "").unwrap();
    }

    fn go_on(&self) {
        fs::remove_file(&self.hangs).unwrap();
    }

    /// Waits until it is in use.
    fn is_begun(&self) {
        let words = self.script.display().to_string();
        eventually("the crontab is being replaced", || !latchkey_tests::processes::with_words(&words).is_empty());
    }
}

impl Drop for SlowCrontab<'_> {
    fn drop(&mut self) {
        let config = &self.node.agent().unwrap().paths().broker_config;
        drop(fs::remove_file(&self.hangs));
        drop(fs::remove_file(&self.script));
        drop(fs::write(config, &self.configured));
        drop(self.node.broker().unwrap().restart());
    }
}

/// What the owner does when somebody's entry is to run something else.
fn change_by_owner<'n>(clock: &Clock<'n>, id: &str) -> impl FnOnce() -> Response + Send + use<'n> {
    let (owner, change) = (clock.owner(), json!({ "id": id, "command": "echo of the owner" }));
    move || owner.operate(SITE, "cron.update", &change)
}

fn a_change_that_hangs_leaves_the_entry_named_as_unconfirmed_and_nothing_comes_later(node: &Node) {
    let clock = Clock::new(node);
    let slow = SlowCrontab::new(node);
    let guest = clock.guest();
    let id = made(&create(&guest.person(), "echo of a guest"));
    slow.hang();
    let change = change_by_owner(&clock, &id);
    let refused = thread::scope(|scope| {
        let updated = scope.spawn(change);
        slow.is_begun();
        let stopwatch = Stopwatch::start();
        let ended = guest.revoke();
        assert!(stopwatch.elapsed() < Duration::from_secs(3), "{:?}", stopwatch.elapsed());
        assert!(ended["unconfirmed"].to_string().contains(&id), "{ended}");
        updated.join().unwrap()
    });
    assert!(refused.status >= 500, "{refused:?}");
    slow.go_on();
    eventually("it leaves", || !clock.crontab().contains(&id));
    eventually("it is confirmed", || guest.shown()["unconfirmed"].is_null());
    clock.has("");
    let kept = clock.entry(&id);
    assert_eq!((&kept["enabled"], &kept["command"]), (&json!(false), &json!("echo of a guest")), "{kept}");
    // A guest's own entry that was being made when their share ended.
    let guest = clock.guest();
    slow.hang();
    thread::scope(|scope| {
        let person = guest.person();
        let making = scope.spawn(move || create(&person, "echo late"));
        slow.is_begun();
        guest.revoke();
        assert!(making.join().unwrap().status >= 400);
    });
    eventually("nothing of it goes on", || {
        latchkey_tests::processes::with_words(&slow.script.display().to_string()).is_empty()
    });
    slow.go_on();
    eventually("it is settled", || guest.shown()["unconfirmed"].is_null());
    clock.has("");
}

fn an_entry_that_is_taken_over_while_its_share_ends_stays(node: &Node) {
    let clock = Clock::new(node);
    let slow = SlowCrontab::new(node);
    let guest = clock.guest();
    let id = made(&create(&guest.person(), "echo of a guest"));
    slow.hang();
    let change = change_by_owner(&clock, &id);
    thread::scope(|scope| {
        let updated = scope.spawn(change);
        slow.is_begun();
        let ended = guest.revoke();
        assert!(ended["unconfirmed"].to_string().contains(&id), "{ended}");
        slow.go_on();
        updated.join().unwrap().done();
    });
    eventually("it is confirmed", || guest.shown()["unconfirmed"].is_null());
    clock.has(&line(&id, "echo of the owner"));
    is_of(&clock, &id, None);
    assert_eq!(clock.entry(&id)["enabled"], true);
    clock.owner().operate(SITE, "cron.delete", &json!({ "id": id })).done();
}

/// After a start the answer is for a moment to come again.
#[track_caller]
fn adapters_are_loaded(clock: &Clock<'_>) {
    eventually("adapters are loaded", || clock.owner().operate(SITE, "cron.list", &json!({})).status == 200);
}

#[track_caller]
fn is_told(node: &Node, operation: &str, words: &str) {
    let tells =
        |row: &Value| row["operation"] == operation && row["detail"].as_str().is_some_and(|said| said.contains(words));
    eventually("the audit tells", || all_rows(node).iter().any(tells));
}

fn a_line_that_nobody_answers_for_leaves_the_crontab_and_others_stay(node: &Node) {
    let clock = Clock::new(node);
    let guest = clock.guest();
    let (ended, kept) = (made(&create(&guest.person(), "echo ended")), made(&create(&clock.owner(), "echo kept")));
    guest.revoke();
    clock.has(&line(&kept, "echo kept"));
    // As a change that comes late would leave it: seen without anybody asking.
    clock.put(&format!("{FOREIGN}{}{}", line(&kept, "echo kept"), line(&ended, "echo ended")));
    eventually("it is looked at again", || !clock.crontab().contains(&ended));
    is_told(node, "cron.take_out", &ended);
    let stranger = "0123456789abcdef";
    let others = "# latchkey: by hand\n@daily theirs\n";
    let ours = line(&kept, "echo kept");
    clock.put(&format!("{FOREIGN}{}{others}{ours}{}", line(stranger, "echo x"), line(&ended, "echo ended")));
    let account = "latchkey_tmp_0123456789abcdef";
    for user in [account, "latchkey_tmp_by_hand"] {
        sql(node, &format!("CREATE USER '{user}'@'localhost' IDENTIFIED BY 'planted'"));
    }
    node.serve().unwrap().crash().unwrap();
    adapters_are_loaded(&clock);
    eventually("they leave", || !clock.crontab().contains(stranger) && !clock.crontab().contains(&ended));
    clock.has(&format!("{others}{ours}"));
    is_told(node, "cron.take_out", &format!("the entry {stranger} (5 4 * * * echo x)"));
    let there = |user: &str| sql(node, &format!("SELECT COUNT(*) FROM mysql.user WHERE User = '{user}'"));
    eventually("the account is dropped", || there(account) == "0");
    is_told(node, "phpmyadmin.drop_account", account);
    assert_eq!(there("latchkey_tmp_by_hand"), "1");
    sql(node, "DROP USER 'latchkey_tmp_by_hand'@'localhost'");
    clock.put(&format!("{FOREIGN}{ours}"));
    clock.owner().operate(SITE, "cron.delete", &json!({ "id": kept })).done();
}

fn what_a_backup_does_not_know_of_is_taken_out_when_it_has_taken_the_place_of_the_state(node: &Node) {
    let clock = Clock::new(node);
    let known = made(&create(&clock.owner(), "echo known"));
    node.serve().unwrap().restart().unwrap();
    adapters_are_loaded(&clock);
    let file = back_up(node);
    let newer = made(&create(&clock.guest().person(), "echo newer"));
    let owners = made(&create(&clock.owner(), "echo of the owner"));
    let all = [("echo known", &known), ("echo newer", &newer), ("echo of the owner", &owners)];
    clock.has(&all.map(|(command, id)| line(id, command)).concat());
    damage(node);
    restore(node, &file);
    eventually("they leave", || !clock.crontab().contains(&newer) && !clock.crontab().contains(&owners));
    clock.has(&line(&known, "echo known"));
    is_told(node, "cron.disable", &newer);
    is_told(node, "cron.take_out", &owners);
    set_back(node);
    clock.owner().operate(SITE, "cron.delete", &json!({ "id": known })).done();
    fs::remove_file(file).unwrap();
}
