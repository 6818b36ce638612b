//! SFTP: who is let in, whose the files are, what is out of reach, and what a killed agent leaves: nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::field_of;
use latchkey_tests::file_accounts::{Account, With, quoted};
use latchkey_tests::file_sessions::{Sessions, listed, make_folder, place};
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::opened::files_beneath;
use latchkey_tests::sftp_wire::{Body, Fault, Wire, flags, status};
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::{self, PAPERS, folder, put_paper};
use latchkey_tests::trees::{Names, inventory, longest_name, plant};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::node::Node;
use xtask::process::Program;

use crate::FILES;
use crate::recovery::RunsAgain;

crate::trials! {
    beside_others:
        a_key_and_a_password_let_in_and_wrong_ones_are_refused_and_noted,
        the_letter_says_where_and_whose_key_it_is_and_no_password,
        uploads_belong_to_the_system_user_and_php_edits_them,
        other_instances_and_other_hostings_are_out_of_reach,
        a_read_only_share_reads_and_changes_nothing,
        five_thousand_files_of_all_names_survive_a_round_trip,
        a_session_is_listed_and_ended_by_its_person_and_the_panel;
    alone:
        an_upload_that_serve_was_killed_in_leaves_nothing_and_the_same_key_is_back;
}

#[track_caller]
fn guest<'n>(node: &'n Node, instance: &str) -> (Share<'n>, Account<'n>, PathBuf) {
    let docroot = folder(node, instance, FILES);
    let dev = share(node, instance, &person("dev"), &json!({ "role": "developer" }));
    let account = Account::of(node, &dev);
    (dev, account, docroot)
}

fn a_key_and_a_password_let_in_and_wrong_ones_are_refused_and_noted(node: &Node) {
    let (dev, mut account, _) = guest(node, "sftp-in");
    let noted = |outcome: &str, address: &str| {
        let row = audited(node, "sftp-in", "sftp.sign_in", outcome, |row| row["address"] == address);
        let detail = row["detail"].as_str().unwrap();
        assert!(detail.contains(&account.login) && detail.contains("OpenSSH"), "{row}");
        assert_eq!((&row["actor"], &row["share"]), (&json!(dev.email), &json!(dev.id)), "{row}");
    };
    for with in [With::Key, With::Password] {
        let attempt = account.tries_sftp(with);
        assert!(attempt.is_in().contains("Remote working directory: /"), "{attempt:?}");
        noted("allowed", &attempt.address);
    }
    let other = Account::named(node, &account.login);
    other.tries_sftp(With::Key).is_refused();
    let wrong = Account::named(node, &account.login).with_password("wrong");
    let refused = wrong.tries_sftp(With::Password);
    refused.is_refused();
    noted("denied", &refused.address);
    // With the key and password of somebody, nobody else is let in.
    account.login = "nobody.sftp-in".into();
    for with in [With::Key, With::Password] {
        account.tries_sftp(with).is_refused();
    }
    eventually("the end of the sessions", || listed(node, &other.login).is_empty());
}

fn the_letter_says_where_and_whose_key_it_is_and_no_password(node: &Node) {
    let docroot = folder(node, "sftp-letter", PAPERS);
    let staging = json!({ "staging_of": "sftp-letter", "owners": [sites::owner_of("sftp-letter")] });
    put_paper(node, "sftp-letter-stage", PAPERS, &staging).done();
    make_folder(docroot.parent().unwrap(), "sftp-letter-stage");
    let terms = json!({ "role": "developer", "apply_to_staging": true });
    let main = share(node, "sftp-letter", &person("dev"), &terms);
    let shares = Api::panel(node).get("/v1/instances/sftp-letter-stage/shares").done();
    let copy = Share::known(node, "sftp-letter-stage", shares["items"][0]["id"].as_str().unwrap(), &main.email);
    let at = node.agent().unwrap().urls().sftp;
    let scan = Program::new("/usr/bin/ssh-keyscan").args(["-t", "ed25519", "-p"]).arg(at.port().to_string());
    let key = scan.arg(at.ip().to_string()).text().unwrap();
    let fingerprint = Program::new("/usr/bin/ssh-keygen").args(["-l", "-f", "-"]).input(key).text().unwrap();
    let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
    assert!(fingerprint.starts_with("SHA256:"), "{fingerprint}");
    let _ = mail_to(node, &main.email, "account_details", 2);
    for share in [&main, &copy] {
        let account = Account::of(node, share);
        let letters = mails_to(node, &share.email, "account_details");
        let letter = letters.iter().find(|letter| letter.text.contains(&account.login)).expect("a letter of its own");
        let here = format!("{}, port {}", at.ip(), at.port());
        for wanted in [&here, &fingerprint, &format!("/shares/{}/files", share.id)] {
            assert!(letter.text.contains(wanted.as_str()), "expected {wanted:?}: {}", letter.text);
        }
        // There was none yet, and none is sent when there is.
        assert!(mails_to(node, &share.email, "account_details").iter().all(|l| !l.text.contains(&account.password)));
        account.tries_sftp(With::Password).is_in();
        account.tries_sftp(With::Key).is_in();
    }
    assert_eq!(mails_to(node, &main.email, "account_details").len(), 2);
}

/// Has WordPress's plugin editor write a file, in the browser of somebody who may.
#[track_caller]
fn edit_by_wordpress(node: &Node, share: &Share<'_>, content: &str) {
    let site = node.instance(&share.instance).unwrap();
    let mut browser = wp_admin::log_in(node, &share.email, &site, None);
    let page = browser.open("/wp-admin/plugin-editor.php?plugin=ours%2Fours.php&file=ours%2Fours.php");
    assert_eq!(page.status, 200, "{} {}", page.location(), page.body);
    let nonce = field_of(&page.body, "nonce").expect("the editor's form");
    let fields = [
        ("action", "edit-theme-plugin-file"),
        ("nonce", nonce.as_str()),
        ("plugin", "ours/ours.php"),
        ("file", "ours/ours.php"),
        ("newcontent", content),
    ];
    let saved = browser.submit("/wp-admin/admin-ajax.php", &fields);
    assert_eq!(saved.json()["success"], true, "{}", saved.body);
}

fn uploads_belong_to_the_system_user_and_php_edits_them(node: &Node) {
    let site = node.instance("edited").unwrap();
    let user = node.hosting(FILES).unwrap().user;
    let terms = json!({ "role": "developer", "log_in_as": { "id": 1, "login": "admin" } });
    let dev = share(node, "edited", &person("dev"), &terms);
    let account = Account::of(node, &dev);
    let plugin = |words: &str| format!("<?php\n/* Plugin Name: Ours */\n// {words}\n");
    fs::write(account.local("ours.php"), plugin("by SFTP")).unwrap();
    // A computer that keeps its files to itself: the site has to be able to work with them all the same.
    fs::set_permissions(account.local("ours.php"), fs::Permissions::from_mode(0o640)).unwrap();
    let upload = "cd wp-content/plugins\nmkdir ours\nput ours.php ours/ours.php\n";
    account.sftp(upload).unwrap();
    let landed = site.docroot.join("wp-content/plugins/ours");
    let is_theirs = |path: &Path, mode: u32| {
        let seen = fs::metadata(path).unwrap();
        assert_eq!((seen.uid(), seen.gid(), seen.mode() & 0o7777), (user.uid, user.gid, mode), "{}", path.display());
    };
    is_theirs(&landed, 0o755);
    is_theirs(&landed.join("ours.php"), 0o640);
    // The site's own PHP writes it, and SFTP writes it again.
    edit_by_wordpress(node, &dev, &plugin("by WordPress"));
    assert_eq!(fs::read_to_string(landed.join("ours.php")).unwrap(), plugin("by WordPress"));
    is_theirs(&landed.join("ours.php"), 0o640);
    account.sftp("get wp-content/plugins/ours/ours.php back.php\n").unwrap();
    assert_eq!(fs::read_to_string(account.local("back.php")).unwrap(), plugin("by WordPress"));
    account.sftp("put ours.php wp-content/plugins/ours/ours.php\n").unwrap();
    assert_eq!(fs::read_to_string(landed.join("ours.php")).unwrap(), plugin("by SFTP"));
    is_theirs(&landed.join("ours.php"), 0o640);
    assert_eq!(files_beneath(&landed), []);
}

fn other_instances_and_other_hostings_are_out_of_reach(node: &Node) {
    let (_, account, docroot) = guest(node, "sftp-here");
    let beside = folder(node, "sftp-beside", FILES);
    let foreign = folder(node, "sftp-foreign", "beside");
    // One whose name begins with ours.
    let longer = folder(node, "sftp-here-2", FILES);
    for folder in [&beside, &foreign, &longer] {
        place(folder, "secret.txt", "secret");
        // Rights of the system alone would let everybody read it.
        fs::set_permissions(folder.join("secret.txt"), fs::Permissions::from_mode(0o666)).unwrap();
    }
    make_folder(&docroot, "inside");
    place(&docroot.join("inside"), "own.txt", "own");
    for (name, target) in [
        ("link-own", PathBuf::from("inside/own.txt")),
        ("link-beside", PathBuf::from("../sftp-beside/secret.txt")),
        ("link-foreign", foreign.join("secret.txt")),
        ("link-folder", PathBuf::from("../sftp-beside")),
        ("link-far", foreign.clone()),
        ("link-passwd", PathBuf::from("/etc/passwd")),
        ("link-root", PathBuf::from("/proc/self/root")),
        ("link-new", beside.join("new.txt")),
    ] {
        symlink(target, docroot.join(name)).unwrap();
    }
    let mut wire = Wire::open(&account);
    let own = wire.file("link-own", flags::READ).unwrap();
    assert_eq!(wire.read(&own, 0).unwrap(), b"own");
    wire.close(&own).unwrap();
    let [beside_path, foreign_path] = [&beside, &foreign].map(|path| path.join("secret.txt").display().to_string());
    let files = [
        "../sftp-beside/secret.txt",
        "/../sftp-beside/secret.txt",
        "inside/../../sftp-beside/secret.txt",
        "../sftp-here-2/secret.txt",
        &beside_path,
        &foreign_path,
        "link-beside",
        "link-foreign",
        "link-folder/secret.txt",
        "link-far/secret.txt",
        "link-passwd",
        "link-root/etc/passwd",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
    ];
    for path in files {
        is_refused(wire.file(path, flags::READ), path);
        is_refused(wire.file(path, flags::WRITE), path);
        is_refused(wire.about(17, path), path);
        is_refused(wire.ask(9, &Body::new().text(path).number(4).number(0o777)), path);
        let hard = Body::new().text("hardlink@openssh.com").text(path).text("inside/hard");
        is_refused(wire.ask(200, &hard), path);
    }
    for path in ["link-new", "link-folder/new.txt", "../sftp-beside/new.txt", "link-far/new.txt"] {
        is_refused(wire.file(path, flags::UPLOAD), path);
        is_refused(wire.ask(14, &Body::new().text(path).number(0)), path);
        is_refused(wire.ask(18, &Body::new().text("inside/own.txt").text(path)), path);
    }
    for path in ["link-folder", "link-far", "../sftp-here-2", "../sftp-beside"] {
        is_refused(wire.directory(path), path);
    }
    let root = wire.directory("/").unwrap();
    assert!(wire.entries(&root).unwrap() >= 9);
    drop(wire);
    // A real client gets none of it either.
    for path in files {
        account.sftp(&format!("get {path} got\n")).expect_err(path);
        assert!(!account.local("got").exists(), "{path}");
    }
    // Above the root is the root.
    let told = account.sftp("cd inside\ncd ../..\npwd\nget inside/own.txt got\n").unwrap();
    assert!(told.contains("Remote working directory: /\n"), "{told}");
    for folder in [&beside, &foreign, &longer] {
        let seen = fs::metadata(folder.join("secret.txt")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("secret.txt")).unwrap(), "secret");
        assert_eq!((seen.mode() & 0o7777, seen.nlink()), (0o666, 1));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }
}

/// The server said no: the session has not ended over it.
#[track_caller]
fn is_refused<T>(answer: Result<T, Fault>, path: &str) {
    assert!(matches!(answer, Err(Fault::Refused(..))), "{path}: {:?}", answer.err());
}

fn a_read_only_share_reads_and_changes_nothing(node: &Node) {
    let (dev, account, docroot) = guest(node, "sftp-read");
    let terms = json!({ "file_access": { "kind": "sftp", "read_only": true } });
    place(&docroot, "there.txt", "there");
    make_folder(&docroot, "empty");
    // The very same requests are done for somebody who may change things.
    let mut writer = Wire::open(&account);
    let refused = changes(&mut writer);
    assert!(refused.iter().all(|(_, code)| code.is_none()), "{refused:?}");
    drop(writer);
    dev.update(&terms);
    let before = inventory(&docroot);
    let mut reader = Wire::open(&account);
    let handle = reader.file("there.txt", flags::READ).unwrap();
    assert_eq!(reader.read(&handle, 0).unwrap(), b"there");
    let folder = reader.directory("/").unwrap();
    assert!(reader.entries(&folder).unwrap() >= 4);
    let refused = changes(&mut reader);
    assert!(refused.iter().all(|(_, code)| *code == Some(status::PERMISSION_DENIED)), "{refused:?}");
    // Through what is open as well.
    let denied = Some(status::PERMISSION_DENIED);
    assert_eq!(reader.write(&handle, 0, b"x").unwrap_err().code(), denied);
    let truncated = reader.ask(10, &Body::new().text(&handle).number(1).large(0));
    assert_eq!(truncated.unwrap_err().code(), denied);
    assert_eq!(reader.read(&handle, 0).unwrap(), b"there");
    assert!(inventory(&docroot) == before, "something has changed");
}

/// Tries one change of each kind, and puts back what it did; the code of each that was refused.
fn changes(wire: &mut Wire) -> Vec<(&'static str, Option<u32>)> {
    let two = |from: &str, to: &str| Body::new().text(from).text(to);
    let extended = |name: &str| Body::new().text(name);
    let requests: [(&str, u8, Body); 14] = [
        ("make a folder", 14, Body::new().text("made").number(0)),
        ("remove a folder", 15, Body::new().text("made")),
        ("change a mode", 9, Body::new().text("there.txt").number(4).number(0o600)),
        ("change a time", 9, Body::new().text("there.txt").number(8).number(1).number(1)),
        ("change a size", 9, Body::new().text("there.txt").number(1).large(5)),
        ("rename", 18, two("there.txt", "moved.txt")),
        ("rename over", 200, extended("posix-rename@openssh.com").text("moved.txt").text("there.txt")),
        ("link", 20, two("there.txt", "symbolic")),
        ("remove the link", 13, Body::new().text("symbolic")),
        ("link hard", 200, extended("hardlink@openssh.com").text("there.txt").text("hard")),
        ("remove a file", 13, Body::new().text("hard")),
        ("change a link", 200, extended("lsetstat@openssh.com").text("there.txt").number(4).number(0o644)),
        ("open to write", 3, Body::new().text("there.txt").number(flags::WRITE).number(0)),
        ("upload", 3, Body::new().text("new.txt").number(flags::UPLOAD).number(0)),
    ];
    let mut told = Vec::new();
    for (what, kind, body) in requests {
        told.push((what, wire.ask(kind, &body).err().and_then(|fault| fault.code())));
    }
    told
}

fn five_thousand_files_of_all_names_survive_a_round_trip(node: &Node) {
    let (_, account, docroot) = guest(node, "sftp-many");
    plant(&account.local("tree"), 5000, Names::Any);
    assert_eq!(longest_name(&account.local("tree")), 255);
    let planted = inventory(&account.local("tree"));
    assert_eq!(planted.len(), 5050);
    account.sftp("put -Rp tree\n").unwrap();
    assert!(inventory(&docroot.join("tree")) == planted, "the site has something else");
    account.sftp("get -Rp tree back\n").unwrap();
    assert!(inventory(&account.local("back")) == planted, "what came back is something else");
    let uid = node.hosting(FILES).unwrap().user.uid;
    assert!(
        fs::read_dir(docroot.join("tree/00")).unwrap().all(|entry| entry.unwrap().metadata().unwrap().uid() == uid)
    );
}

fn a_session_is_listed_and_ended_by_its_person_and_the_panel(node: &Node) {
    let (dev, account, docroot) = guest(node, "sftp-listed");
    let stranger = Api::acting_as(node, &person("stranger"));
    for closer in [dev.person(), Api::panel(node)] {
        let wire = Wire::open(&account);
        let own = dev.person().get("/v1/sessions").done();
        let shown = own["items"].as_array().unwrap();
        assert_eq!(shown, &listed(node, &account.login));
        let [session] = &shown[..] else { panic!("{own}") };
        assert_eq!(
            (&session["kind"], &session["instance"], &session["share"], &session["person"], &session["address"]),
            (&json!("sftp"), &json!("sftp-listed"), &json!(dev.id), &json!(dev.email), &json!("127.0.0.1")),
            "{session}"
        );
        assert!(session["client"].as_str().unwrap().contains("OpenSSH"), "{session}");
        let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
        stranger.delete(&path).refused(404, "not_found");
        assert_eq!(stranger.get("/v1/sessions").done()["items"], json!([]));
        let ended = closer.delete(&path).done();
        assert_eq!(ended["ended"]["closed"]["sftp"], 1, "{ended}");
        wire.sees_the_end();
        assert_eq!(listed(node, &account.login), Vec::<Value>::new());
        closer.delete(&path).refused(404, "not_found");
    }
    // Only the session is over.
    account.tries_sftp(With::Key).is_in();
    assert_eq!(files_beneath(&docroot), []);
}

fn an_upload_that_serve_was_killed_in_leaves_nothing_and_the_same_key_is_back(node: &Node) {
    let (dev, account, docroot) = guest(node, "sftp-killed");
    let sessions = Sessions::begin(&account, &docroot);
    let key = node.agent().unwrap().sftp_host_key().unwrap();
    let serve = node.serve().unwrap();
    let again = RunsAgain(serve);
    serve.kill().unwrap();
    sessions.are_over_soon();
    drop(again);
    assert_eq!(node.agent().unwrap().sftp_host_key().unwrap(), key);
    // It trusts that key only.
    for with in [With::Key, With::Password] {
        account.tries_sftp(with).is_in();
    }
    let (up, remote) = (account.local("up"), "work/upload.bin");
    fs::write(&up, "whole").unwrap();
    account.sftp(&format!("put {} {remote}\n", quoted(&up))).unwrap();
    assert_eq!(fs::read_to_string(docroot.join(remote)).unwrap(), "whole");
    assert_eq!(dev.revoke()["closed"]["sftp"], 0);
}
