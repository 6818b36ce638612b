//! The state as a whole: copied, gone back to, on a disk that is full, that fails, and with a damaged page.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use latchkey_tests::api::Api;
use latchkey_tests::browser::Browser;
use latchkey_tests::command_line::latchkey;
use latchkey_tests::disk::Disk;
use latchkey_tests::shares::{Share, invite, offer, person, pinned_editor, share};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { alone:
    a_restore_while_running_brings_no_ended_share_back_and_ends_what_was_granted_since,
    a_full_disk_is_said_grants_nothing_and_still_ends_access,
    a_disk_that_fails_is_said_grants_nothing_and_still_ends_access,
    a_damaged_state_is_said_and_restored_while_the_agent_runs,
    a_damaged_state_is_refused_at_the_start_and_a_backup_takes_its_place,
    only_the_operator_on_the_node_backs_up_and_restores,
}

#[track_caller]
pub(crate) fn back_up(node: &Node) -> PathBuf {
    let file = node.root().join("backup.db");
    latchkey(node, &["backup", &file.display().to_string()]).done();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    file
}

#[track_caller]
pub(crate) fn restore(node: &Node, file: &Path) -> Value {
    latchkey(node, &["restore", "--json", &file.display().to_string()]).json()
}

#[track_caller]
fn editor_in(node: &Node) -> (Share<'_>, Browser) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("disk"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, &live, None);
    wp_admin::is_in_as(&mut browser, "editor");
    (share, browser)
}

/// Rows that only the damaged state had are missing from what the broker recorded, until root says so.
#[track_caller]
pub(crate) fn set_back(node: &Node) {
    latchkey(node, &["audit", "set-back"]).done();
}

#[track_caller]
fn audit_is_whole(node: &Node) {
    let verified = Api::panel(node).get("/v1/audit/verify").done();
    assert_eq!(verified["ok"], true, "{verified}");
}

fn a_restore_while_running_brings_no_ended_share_back_and_ends_what_was_granted_since(node: &Node) {
    let (kept, mut browser) = editor_in(node);
    let ended = share(node, "live", &person("ended"), &pinned_editor());
    let file = back_up(node);
    ended.revoke();
    let (newer, mut newer_browser) = editor_in(node);
    let restored = restore(node, &file);
    assert_eq!((ended.state(), newer.state(), kept.state()), ("revoked".into(), "revoked".into(), "active".into()));
    assert_eq!(restored["shares"]["stay_ended"], 1, "{restored}");
    assert_eq!(restored["ended"]["closed"]["wordpress"], 1, "{restored}");
    wp_admin::is_out(&mut newer_browser);
    wp_admin::is_in_as(&mut browser, "editor");
    audit_is_whole(node);
    assert!(!node.agent().unwrap().paths().state.join("restore.db").exists());
    kept.revoke();
    fs::remove_file(file).unwrap();
}

/// What must hold while the state cannot be written. Answers with a share that was ended meanwhile.
#[track_caller]
fn while_it_cannot_be_written<'n>(node: &'n Node, words: &str, trouble: impl FnOnce()) -> Share<'n> {
    let (revoked, mut browser) = editor_in(node);
    let pending = invite(node, "live", &person("pending"), &pinned_editor());
    let suspended = share(node, "live", &person("suspended"), &pinned_editor());
    let waiting = wp_admin::link(node, &revoked.email, "live", None);
    let starts = node.serve().unwrap().starts();
    let refused = |problem: &Value| assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    trouble();
    let guest = person("never");
    eventually("a change that cannot be written", || {
        offer(node, "panel", "live", &person("filling"), &pinned_editor()).status == 503
    });
    refused(&offer(node, "panel", "live", &guest, &pinned_editor()).refused(503, "unavailable"));
    refused(&pending.person().post(&format!("{}/accept", pending.path()), &json!({})).refused(503, "unavailable"));
    assert_eq!(pending.state(), "pending");
    assert!(wp_admin::ask(node, &guest, "live", None).status >= 400);
    // A link from before is not redeemed: a session that cannot be written down would have no end.
    let live = node.instance("live").unwrap();
    assert_ne!(wp_admin::redeem(node, &live, &waiting.token).status, 302);
    let health = Api::panel(node).get("/v1/health").done();
    assert_eq!(health["state"], "degraded", "{health}");
    assert!(health["trouble"].as_str().unwrap().contains(words), "{health}");
    assert!(fs::read_to_string(node.serve().unwrap().log()).unwrap().contains(words));
    let problem = Api::panel(node).delete(&revoked.path()).refused(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("repeat the request"), "{problem}");
    assert_eq!(revoked.state(), "revoked");
    Api::panel(node).post(&format!("{}/suspend", suspended.path()), &json!({})).refused(503, "unavailable");
    assert_eq!(suspended.state(), "suspended");
    eventually("the end of the session", || wp_admin::is_sent_to_login(&mut browser));
    assert_eq!(node.serve().unwrap().starts(), starts);
    revoked
}

fn a_full_disk_is_said_grants_nothing_and_still_ends_access(node: &Node) {
    let disk = Disk::under(node);
    let starts = node.serve().unwrap().starts();
    let revoked = while_it_cannot_be_written(node, "no space", || disk.fill());
    disk.clear();
    assert_eq!(revoked.revoke()["unconfirmed"], json!([]));
    invite(node, "live", &person("after"), &pinned_editor()).revoke();
    assert_eq!(Api::panel(node).get("/v1/health").done()["state"], "ok");
    assert_eq!(node.serve().unwrap().starts(), starts);
    node.serve().unwrap().crash().unwrap();
    assert_eq!(revoked.state(), "revoked");
    audit_is_whole(node);
}

fn a_disk_that_fails_is_said_grants_nothing_and_still_ends_access(node: &Node) {
    let disk = Disk::under(node);
    let revoked = while_it_cannot_be_written(node, "cannot write its state", || disk.fail());
    assert_eq!(revoked.state(), "revoked");
}

/// Overwrites every page of the database file but the first.
pub(crate) fn damage(node: &Node) {
    let path = node.agent().unwrap().paths().state.join("latchkey.db");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in 1..pages {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
}

fn a_damaged_state_is_said_and_restored_while_the_agent_runs(node: &Node) {
    let (kept, mut browser) = editor_in(node);
    let ended = share(node, "live", &person("ended"), &pinned_editor());
    // What is in the log of the database must be in its file, where the damage is.
    node.serve().unwrap().restart().unwrap();
    let file = back_up(node);
    ended.revoke();
    let (newer, mut newer_browser) = editor_in(node);
    damage(node);
    let restored = restore(node, &file);
    assert!(restored["kept_aside"].is_string(), "{restored}");
    assert_eq!((ended.state(), kept.state()), ("revoked".into(), "active".into()));
    Api::panel(node).get(&newer.path()).refused(404, "not_found");
    wp_admin::is_out(&mut newer_browser);
    wp_admin::is_in_as(&mut browser, "editor");
    set_back(node);
    audit_is_whole(node);
    node.serve().unwrap().crash().unwrap();
    assert_eq!((ended.state(), kept.state()), ("revoked".into(), "active".into()));
    assert_eq!(kept.revoke()["closed"]["wordpress"], 1);
    wp_admin::is_out(&mut browser);
    fs::remove_file(file).unwrap();
}

fn a_damaged_state_is_refused_at_the_start_and_a_backup_takes_its_place(node: &Node) {
    let (kept, mut browser) = editor_in(node);
    let file = back_up(node);
    let serve = node.serve().unwrap();
    serve.stop().unwrap();
    damage(node);
    let configuration = node.agent().unwrap().paths().serve_config.display().to_string();
    let refused = latchkey_tests::command_line::run(node, &["serve", "--config", &configuration]);
    refused.failed(1, "is damaged");
    assert!(refused.text.contains("latchkey restore"), "{}", refused.text);
    let waits = latchkey(node, &["restore", &file.display().to_string()]);
    assert!(waits.done().contains("waits"), "{}", waits.text);
    serve.start().unwrap();
    // Nobody knows whether it ended since.
    assert_eq!(kept.state(), "suspended");
    // Every share of the node is, and a hosting has room for a few calls at a time.
    eventually("the end of the session", || wp_admin::is_sent_to_login(&mut browser));
    set_back(node);
    audit_is_whole(node);
    kept.reinstate();
    kept.revoke();
    fs::remove_file(file).unwrap();
}

fn only_the_operator_on_the_node_backs_up_and_restores(node: &Node) {
    for call in ["backup", "restore"] {
        Api::panel(node).post(&format!("/v1/state/{call}"), &json!({})).refused(403, "forbidden");
    }
    let nowhere = latchkey(node, &["restore", "/nowhere.db"]);
    nowhere.failed(1, "cannot open /nowhere.db");
    let no_backup = node.root().join("no-backup.db");
    fs::write(&no_backup, "no database at all").unwrap();
    latchkey(node, &["restore", &no_backup.display().to_string()]).failed(5, "is damaged");
    fs::remove_file(no_backup).unwrap();
    fs::remove_file(back_up(node)).unwrap();
}
