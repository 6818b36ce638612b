//! `residue`: what somebody with code left on the hosting is named when their access ends, with how to undo it.

use std::time::Duration;

use latchkey_tests::browser::field_of;
use latchkey_tests::file_accounts::{Account, quoted};
use latchkey_tests::shares::{Share, person, pinned_editor, share};
use latchkey_tests::waiting::{eventually, until_the_next_second};
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::clock::{Deadline, Stopwatch};
use xtask::node::{Hosting, Instance, Node};
use xtask::process::Program;

use crate::recovery::RunsAgain;

crate::trials! {
    beside_others:
        what_a_guest_with_code_left_on_the_hosting_is_named_and_what_was_there_before_is_not;
    alone:
        what_ends_while_its_hosting_is_looked_at_for_the_first_time_is_not_done,
        what_cannot_be_looked_at_in_time_is_said_to_be_looked_at_and_stands_on_the_share_later,
        what_a_guest_left_who_never_came_to_wp_admin_is_named_and_nothing_of_one_who_only_looked,
        what_a_request_that_outlived_the_end_wrote_is_named_although_serve_was_killed_in_between;
}

/// A key and its fingerprint as `ssh-keygen -l` prints it.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl guest@home";
const FINGERPRINT: &str = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";

/// Code for the site's own PHP that appends to a file, whose folder it makes first.
fn append(path: &str, text: &str) -> String {
    format!("$f = {path}; @mkdir(dirname($f), 0700, true); file_put_contents($f, {text:?} . \"\\n\", FILE_APPEND);")
}

fn set_crontab(hosting: &Hosting, lines: &str) {
    let crontab = Program::new("/usr/bin/crontab").arg("-").input(format!("{lines}\n"));
    crontab.run_as(hosting.user.identity()).text().unwrap();
}

fn admin_of<'n>(node: &'n Node, site: &Instance) -> Share<'n> {
    let terms = json!({ "role": "view_and_sso", "log_in_as": { "id": 1, "login": "admin" } });
    share(node, &site.id, &person("guest"), &terms)
}

#[track_caller]
fn named(residue: &Value, kind: &str, words: &str) {
    let found =
        residue.as_array().unwrap().iter().find(|one| {
            one["kind"] == kind && one["what"].as_str().unwrap().contains(words) && one["undo"].is_string()
        });
    assert!(found.is_some(), "no {kind} {words:?} in {residue:#}");
}

fn what_a_guest_with_code_left_on_the_hosting_is_named_and_what_was_there_before_is_not(node: &Node) {
    let site = node.instance("left").unwrap();
    let hosting = node.hosting("left").unwrap();
    let by_the_owner = [
        append("ABSPATH . 'wp-content/mu-plugins/owners.php'", "<?php // ours"),
        append("ABSPATH . '.user.ini'", "memory_limit = 256M"),
        append("ABSPATH . '../../.ssh/authorized_keys'", "ssh-rsa AAAA owner@home"),
    ];
    node.php_as_site(&site, &by_the_owner.concat()).unwrap();
    set_crontab(&hosting, "0 3 * * * echo owners");
    until_the_next_second();

    let tidy = admin_of(node, &site);
    let mut browser = wp_admin::log_in(node, &tidy.email, &site, None);
    wp_admin::is_in_as(&mut browser, "admin");
    assert_eq!(tidy.revoke()["residue"], json!([]));

    let share = admin_of(node, &site);
    let mut browser = wp_admin::log_in(node, &share.email, &site, None);
    wp_admin::is_in_as(&mut browser, "admin");
    // By WordPress's own editor of plugins.
    let editor = "/wp-admin/plugin-editor.php?plugin=akismet%2Fakismet.php&file=akismet%2Fakismet.php";
    let nonce = field_of(&browser.open(editor).body, "nonce").unwrap();
    let edited = browser.submit(
        "/wp-admin/admin-ajax.php",
        &[
            ("action", "edit-theme-plugin-file"),
            ("nonce", &nonce),
            ("plugin", "akismet/akismet.php"),
            ("file", "akismet/akismet.php"),
            ("newcontent", "<?php /* Plugin Name: Akismet */ // and a back door"),
        ],
    );
    assert!(edited.json()["success"] == true, "{}", edited.body);
    // And by what its code can do.
    let by_the_guest = [
        append("ABSPATH . 'wp-content/uploads/2026/shell.php'", "<?php // shell"),
        append("ABSPATH . 'wp-content/mu-plugins/guests.php'", "<?php // theirs"),
        append("ABSPATH . 'wp-content/db.php'", "<?php"),
        append("ABSPATH . '.user.ini'", "auto_prepend_file = /tmp/theirs.php"),
        append("ABSPATH . '../../.ssh/authorized_keys'", KEY),
        "touch(ABSPATH . 'wp-content/uploads/2026/shell.php', 1000000000);".to_owned(),
    ];
    node.php_as_site(&site, &by_the_guest.concat()).unwrap();
    set_crontab(&hosting, "0 3 * * * echo owners\n*/5 * * * * echo guests");

    let ended = share.revoke();
    wp_admin::is_out(&mut browser);
    let residue = &ended["residue"];
    named(residue, "php_file", "sites/left/wp-content/plugins/akismet/akismet.php");
    named(residue, "php_file", "sites/left/wp-content/uploads/2026/shell.php");
    named(residue, "mu_plugin", "sites/left/wp-content/mu-plugins/guests.php");
    named(residue, "drop_in", "sites/left/wp-content/db.php");
    named(residue, "user_ini", "PHP runs /tmp/theirs.php");
    named(residue, "authorized_key", FINGERPRINT);
    named(residue, "crontab_line", "*/5 * * * * echo guests");
    assert_eq!(residue.as_array().unwrap().len(), 7, "{residue:#}");
    assert_eq!(&share.shown()["residue"], residue);
}

fn what_cannot_be_looked_at_in_time_is_said_to_be_looked_at_and_stands_on_the_share_later(node: &Node) {
    let site = node.instance("second").unwrap();
    until_the_next_second();
    let share = share(node, "second", &person("guest"), &pinned_editor());
    let _browser = wp_admin::log_in(node, &share.email, &site, None);
    node.php_as_site(&site, &append("ABSPATH . 'wp-content/uploads/late.php'", "<?php")).unwrap();
    node.broker().unwrap().hang().unwrap();
    let again = RunsAgain(node.broker().unwrap());
    let stopwatch = Stopwatch::start();
    let ended = share.revoke();
    assert!(stopwatch.elapsed() <= Duration::from_secs(3), "{:?}", stopwatch.elapsed());
    named(&ended["residue"], "being_looked_at", "still being looked at");
    // A look that did not come to an end is made up for, also after a crash.
    node.serve().unwrap().crash().unwrap();
    named(&share.shown()["residue"], "being_looked_at", "still being looked at");
    drop(again);
    named(&share.residue(), "php_file", "late.php");
    std::fs::remove_file(site.docroot.join("wp-content/uploads/late.php")).unwrap();
}

fn what_a_guest_left_who_never_came_to_wp_admin_is_named_and_nothing_of_one_who_only_looked(node: &Node) {
    const SITE: &str = "second";
    let docroot = node.instance(SITE).unwrap().docroot;
    let guest = |terms: Value| share(node, SITE, &person("guest"), &terms);
    let with = |privilege: &str| guest(json!({ "role": "custom", "privileges": [privilege] }));
    until_the_next_second();
    let by_files = with("hosting.manage_file_manager");
    let file = json!({ "path": format!("sites/{SITE}/by-files.php"), "content": "<?php" });
    by_files.person().operate(SITE, "file.write", &file).done();
    let by_cron = with("hosting.manage_cron");
    let entry = json!({ "schedule": "0 4 * * *", "command": format!("touch sites/{SITE}/by-cron.php") });
    let entry = by_cron.person().operate(SITE, "cron.create", &entry).done();
    by_cron.person().operate(SITE, "cron.run", &json!({ "id": entry["id"] })).done();
    eventually("the entry has run", || docroot.join("by-cron.php").exists());
    let by_sftp = guest(json!({ "role": "custom", "privileges": [], "file_access": { "kind": "sftp" } }));
    let account = Account::of(node, &by_sftp);
    std::fs::write(account.local("local"), "<?php").unwrap();
    account.sftp(&format!("put {} by-sftp.php", quoted(&account.local("local")))).unwrap();
    let by_upload = with("hosting.manage_file_manager");
    let path = format!("/v1/instances/{SITE}/files/sites/{SITE}/by-upload.php");
    let uploaded = by_upload.person().request("PUT", &path).body("application/octet-stream", "<?php").send();
    assert_eq!(uploaded.status, 201, "{}", uploaded.body);
    let looked = with("hosting.manage_file_manager");
    looked.person().operate(SITE, "file.list", &json!({ "path": format!("sites/{SITE}") })).done();
    // Elsewhere: of more than five in one folder not each is named.
    std::fs::write(docroot.join("wp-content/by-the-owner.php"), "<?php").unwrap();

    by_files.suspend();
    named(&by_files.residue(), "php_file", "by-files.php");
    by_files.reinstate();
    let file = json!({ "path": format!("sites/{SITE}/again.php"), "content": "<?php" });
    by_files.person().operate(SITE, "file.write", &file).done();
    node.serve().unwrap().crash().unwrap();
    assert_eq!(looked.revoke()["residue"], json!([]), "nothing of this could be theirs");
    by_files.revoke();
    named(&by_files.residue(), "php_file", "again.php");
    named(&by_files.residue(), "php_file", "by-files.php");
    // Narrowed to nothing with which more could be left, it is over as well.
    by_sftp.update(&json!({ "file_access": { "kind": "sftp", "read_only": true } }));
    named(&by_sftp.residue(), "php_file", "by-sftp.php");
    for (share, name) in [(by_cron, "by-cron.php"), (by_sftp, "by-sftp.php"), (by_upload, "by-upload.php")] {
        share.revoke();
        named(&share.residue(), "php_file", &format!("sites/{SITE}/{name}"));
    }
    for name in
        ["by-files.php", "again.php", "by-cron.php", "by-sftp.php", "by-upload.php", "wp-content/by-the-owner.php"]
    {
        std::fs::remove_file(docroot.join(name)).unwrap();
    }
}

fn what_ends_while_its_hosting_is_looked_at_for_the_first_time_is_not_done(node: &Node) {
    let docroot = node.instance("second").unwrap().docroot;
    let terms = json!({ "role": "custom", "privileges": ["hosting.manage_file_manager"] });
    let guest = share(node, "second", &person("guest"), &terms);
    node.broker().unwrap().hang().unwrap();
    let again = RunsAgain(node.broker().unwrap());
    let answer = std::thread::scope(|scope| {
        let file = json!({ "path": "sites/second/late.php", "content": "<?php" });
        let may = guest.person();
        let asked = scope.spawn(move || may.operate("second", "file.write", &file));
        std::thread::sleep(Duration::from_secs(1));
        assert!(!asked.is_finished(), "it waits for the look");
        guest.revoke();
        drop(again);
        asked.join().unwrap()
    });
    assert_eq!(answer.json()["rule"], "A2", "{}", answer.body);
    answer.refused(404, "not_found");
    assert!(!docroot.join("late.php").exists());
}

fn what_a_request_that_outlived_the_end_wrote_is_named_although_serve_was_killed_in_between(node: &Node) {
    let site = node.instance("second").unwrap();
    until_the_next_second();
    let share = share(node, "second", &person("guest"), &pinned_editor());
    let _browser = wp_admin::log_in(node, &share.email, &site, None);
    share.revoke();
    let names = |words: &str| share.shown()["residue"].to_string().contains(words);
    eventually("the first look", || !names("being_looked_at"));
    node.php_as_site(&site, &append("ABSPATH . 'wp-content/uploads/outlived.php'", "<?php")).unwrap();
    node.serve().unwrap().crash().unwrap();
    assert!(!names("outlived.php"));
    // The second look is due 35 seconds after the first, and may be noticed 10 seconds later.
    assert!(Deadline::after(Duration::from_secs(75)).wait_until(|| names("outlived.php")), "{}", share.shown());
    std::fs::remove_file(site.docroot.join("wp-content/uploads/outlived.php")).unwrap();
}
