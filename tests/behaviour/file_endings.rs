//! The end of access to files: whatever ends it, uploads, downloads, idle sessions and FTP end, nothing of them is open
//! any more, and what was not whole is not there.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::file_accounts::{Account, With};
use latchkey_tests::file_sessions::{BY_SFTP, Bystander, Sessions, listed, make_folder};
use latchkey_tests::opened::files_beneath;
use latchkey_tests::sftp_wire::{Fault, Wire, status};
use latchkey_tests::shares::{Share, person, share, share_as};
use latchkey_tests::sites::{folder, put_hosting};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::FILES;

crate::trials! { beside_others:
    revoking_a_share_ends_them,
    suspending_a_share_ends_them,
    a_share_that_expires_ends_them,
    taking_file_access_away_ends_them,
    making_it_read_only_ends_them,
    a_deeper_folder_ends_them,
    other_keys_end_them,
    another_password_ends_them,
    deleting_the_instance_ends_them,
    deleting_an_account_of_the_hosting_ends_its_own_only,
    suspending_the_hosting_ends_them,
    ending_the_grantor_ends_them,
    a_listing_of_100_000_entries_ends_in_the_middle,
}

fn developer() -> Value {
    json!({ "role": "developer" })
}

/// Somebody with sessions of each kind under way, and somebody else with an upload beside them.
struct Scene<'n> {
    node: &'n Node,
    docroot: PathBuf,
    share: Share<'n>,
    account: Account<'n>,
    sessions: Sessions,
    bystander: Bystander,
}

impl<'n> Scene<'n> {
    /// A Developer share, and another one, on a folder of its own.
    #[track_caller]
    fn on(node: &'n Node, instance: &str) -> Self {
        let docroot = folder(node, instance, FILES);
        let dev = share(node, instance, &person("dev"), &developer());
        Self::of(node, dev, &docroot, (instance, &docroot))
    }

    /// The same with the other one elsewhere: on this instance and docroot.
    #[track_caller]
    fn of(node: &'n Node, share: Share<'n>, docroot: &Path, (instance, elsewhere): (&str, &Path)) -> Self {
        let other = latchkey_tests::shares::share(node, instance, &person("other"), &developer());
        let (account, other) = (Account::of(node, &share), Account::of(node, &other));
        let sessions = Sessions::begin(&account, docroot);
        let bystander = Bystander::begin(&other, elsewhere);
        eventually("the other's session", || listed(node, &other.login).len() == 1);
        assert_eq!(listed(node, &account.login).len(), BY_SFTP + 1);
        Self { node, docroot: docroot.to_owned(), share, account, sessions, bystander }
    }

    /// The sessions are over as the reply says, and nobody else's.
    #[track_caller]
    fn has_ended(self, ended: &Value) -> Ended<'n> {
        self.sessions.are_over(ended);
        assert_eq!(listed(self.node, &self.account.login), Vec::<Value>::new());
        self.bystander.goes_on();
        Ended { node: self.node, docroot: self.docroot, share: self.share, account: self.account }
    }
}

/// What is there when the sessions are over.
struct Ended<'n> {
    node: &'n Node,
    docroot: PathBuf,
    share: Share<'n>,
    account: Account<'n>,
}

impl Ended<'_> {
    /// Nobody is let in any more, by either protocol, with the key or the password.
    #[track_caller]
    fn nobody_comes_in(&self) {
        self.account.tries_sftp(With::Key).is_refused();
        self.account.tries_sftp(With::Password).is_refused();
        self.account.tries_ftp().is_refused();
        assert_eq!(files_beneath(&self.docroot), []);
        assert_eq!(listed(self.node, &self.account.login), Vec::<Value>::new());
    }
}

fn revoking_a_share_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-revoke");
    let ended = scene.share.revoke();
    scene.has_ended(&ended).nobody_comes_in();
}

fn suspending_a_share_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-suspend");
    let ended = scene.share.suspend();
    let over = scene.has_ended(&ended);
    over.nobody_comes_in();
    over.share.reinstate();
    over.account.tries_sftp(With::Key).is_in();
    over.account.tries_ftp().is_in();
}

fn a_share_that_expires_ends_them(node: &Node) {
    let Scene { docroot, share, account, sessions, bystander, .. } = Scene::on(node, "end-expire");
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    share.update(&json!({ "expires_at": end.to_string() }));
    assert!(!sessions.has_one_that_ended());
    sessions.are_over_soon();
    assert!(Timestamp::now() >= end);
    bystander.goes_on();
    eventually("the state", || share.state() == "expired");
    Ended { node, docroot, share, account }.nobody_comes_in();
}

fn taking_file_access_away_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-none");
    let ended = scene.share.update(&json!({ "file_access": null }));
    scene.has_ended(&ended).nobody_comes_in();
}

fn making_it_read_only_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-read");
    let ended = scene.share.update(&json!({ "file_access": { "kind": "sftp", "read_only": true } }));
    let over = scene.has_ended(&ended);
    let (account, local) = (&over.account, over.account.local("read"));
    account.sftp(&format!("get work/in-place.txt {}\n", local.display())).unwrap();
    assert!(local.exists());
    let refused = account.sftp(&format!("put {} work/in-place.txt\n", local.display())).unwrap_err();
    assert!(refused.contains("Permission denied"), "{refused}");
    account.tries_ftp().is_refused();
}

fn a_deeper_folder_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-deeper");
    make_folder(&scene.docroot, "deeper");
    let ended = scene.share.update(&json!({ "file_access": { "kind": "sftp_and_ftp", "path": "deeper" } }));
    let over = scene.has_ended(&ended);
    assert!(over.account.sftp("ls\n").unwrap().trim().ends_with("ls"), "there is nothing in it");
    let refused = over.account.sftp("get /work/in-place.txt\n").unwrap_err();
    assert!(refused.contains("not found"), "{refused}");
    over.account.tries_ftp().is_in();
}

fn other_keys_end_them(node: &Node) {
    let scene = Scene::on(node, "end-keys");
    scene.account.make_key();
    let ended = scene.account.register_key(&scene.share);
    let over = scene.has_ended(&ended);
    over.account.tries_sftp(With::Key).is_in();
    over.account.make_key();
    over.account.tries_sftp(With::Key).is_refused();
    over.account.tries_ftp().is_in();
}

fn another_password_ends_them(node: &Node) {
    let scene = Scene::on(node, "end-password");
    let path = format!("{}/password", scene.share.path());
    let made = scene.share.person().post(&path, &json!({})).done();
    let mut over = scene.has_ended(&made["ended"]);
    over.account.tries_sftp(With::Password).is_refused();
    over.account.tries_ftp().is_refused();
    over.account.password = made["password"].as_str().unwrap().to_owned();
    over.account.tries_sftp(With::Password).is_in();
    over.account.tries_ftp().is_in();
    over.account.tries_sftp(With::Key).is_in();
}

fn deleting_the_instance_ends_them(node: &Node) {
    let [docroot, elsewhere] = ["end-instance", "end-instance-other"].map(|id| folder(node, id, FILES));
    let dev = share(node, "end-instance", &person("dev"), &developer());
    let scene = Scene::of(node, dev, &docroot, ("end-instance-other", &elsewhere));
    let reply = Api::panel(node).delete("/v1/instances/end-instance").done();
    scene.has_ended(&reply["ended"]).nobody_comes_in();
}

fn suspending_the_hosting_ends_them(node: &Node) {
    let hosting = node.hosting("shut").unwrap();
    let docroot = folder(node, "end-hosting", "shut");
    let elsewhere = folder(node, "end-hosting-other", FILES);
    let dev = share(node, "end-hosting", &person("dev"), &developer());
    let scene = Scene::of(node, dev, &docroot, ("end-hosting-other", &elsewhere));
    let reply = put_hosting(node, &hosting, "suspended").done();
    let over = scene.has_ended(&reply["ended"]);
    over.nobody_comes_in();
    put_hosting(node, &hosting, "active").done();
    over.account.tries_sftp(With::Key).is_in();
    over.account.tries_ftp().is_in();
}

fn ending_the_grantor_ends_them(node: &Node) {
    let docroot = folder(node, "end-grantor", FILES);
    let lead = share(node, "end-grantor", &person("lead"), &json!({ "role": "full_access" }));
    let below = share_as(node, &lead.email, "end-grantor", &person("dev"), &developer());
    let scene = Scene::of(node, below, &docroot, ("end-grantor", &docroot));
    let ended = lead.revoke();
    scene.has_ended(&ended).nobody_comes_in();
}

fn deleting_an_account_of_the_hosting_ends_its_own_only(node: &Node) {
    let docroot = folder(node, "end-accounts", FILES);
    let run = |operation: &str, input: Value| Api::panel(node).operate("end-accounts", operation, &input).done();
    let [mut sftp, mut ftp] = ["end-sftp", "end-ftp"].map(|name| Account::named(node, &format!("{name}.{FILES}")));
    let directory = "paper/end-accounts";
    let made = json!({ "name": "end-sftp", "directory": directory, "keys": [sftp.public_key()], "password": true });
    sftp.password = password_in(&run("sftp_account.create", made));
    ftp.password = password_in(&run("ftp_account.create", json!({ "name": "end-ftp", "directory": directory })));
    // Each is let in by its own protocol only.
    sftp.tries_ftp().is_refused();
    ftp.tries_sftp(With::Password).is_refused();
    let by_sftp = Sessions::begin_sftp(&sftp, &docroot);
    let ended = run("sftp_account.delete", json!({ "login": sftp.login }));
    by_sftp.are_over(&ended["ended"]);
    for with in [With::Key, With::Password] {
        sftp.tries_sftp(with).is_refused();
    }
    let by_ftp = Sessions::begin_ftp(&ftp, &docroot);
    let ended = run("ftp_account.delete", json!({ "login": ftp.login }));
    by_ftp.are_over(&ended["ended"]);
    ftp.tries_ftp().is_refused();
}

#[track_caller]
fn password_in(made: &Value) -> String {
    made["password"].as_str().unwrap().to_owned()
}

fn a_listing_of_100_000_entries_ends_in_the_middle(node: &Node) {
    let docroot = folder(node, "end-listing", FILES);
    let many = make_folder(&docroot, "many");
    for number in 0..100_000 {
        std::fs::File::create(many.join(format!("{number}"))).unwrap();
    }
    let dev = share(node, "end-listing", &person("dev"), &developer());
    let account = Account::of(node, &dev);
    // Whole, for somebody whose access does not end.
    let mut whole = Wire::open(&account);
    let handle = whole.directory("many").unwrap();
    let mut count = 0;
    let end = loop {
        match whole.entries(&handle) {
            Ok(more) => count += more,
            Err(fault) => break fault,
        }
    };
    // With `.` and `..`.
    assert_eq!((end.code(), count), (Some(status::EOF), 100_002));
    drop(whole);
    eventually("the end of that session", || listed(node, &account.login).is_empty());
    let mut cut_off = Wire::open(&account);
    let handle = cut_off.directory("many").unwrap();
    assert!(cut_off.entries(&handle).unwrap() > 0);
    let ended = dev.revoke();
    assert_eq!((&ended["closed"]["sftp"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    assert_eq!(cut_off.entries(&handle), Err(Fault::Over));
    account.tries_sftp(With::Key).is_refused();
    std::fs::remove_dir_all(many).unwrap();
}
