//! File accounts: how they come and go, whose keys and passwords they are, and what the page and the letter say.
//!
//! Whom they let in is tried where SFTP is served.

use latchkey_tests::api::{Api, new_key};
use latchkey_tests::audit::{all_rows, audited};
use latchkey_tests::browser::{Browser, field_of};
use latchkey_tests::command_line::latchkey;
use latchkey_tests::exchange::Request;
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::shares::{Share, invite, person, share};
use latchkey_tests::sites::{self, PAPERS, paper, put_paper};
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { beside_others:
    a_developer_share_brings_an_account_when_it_is_accepted,
    an_account_comes_and_goes_with_file_access,
    a_staging_has_an_account_of_its_own,
    whoever_is_cut_down_from_above_is_shown_what_is_left,
    keys_are_set_by_ones_own_person_and_the_panel_only,
    keys_that_are_none_are_refused_by_their_line,
    a_password_is_told_once_and_kept_as_a_hash,
    the_page_of_an_account_is_for_its_person_only,
    the_page_takes_keys_and_shows_a_password_once,
    accounts_of_the_hosting_need_their_privilege,
    accounts_of_the_hosting_are_made_changed_and_deleted,
    what_an_account_of_the_hosting_may_be_is_checked,
    an_account_of_the_hosting_is_residue_of_whoever_made_it,
    the_command_line_sets_keys_and_prints_a_password,
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6cUxmyTbAvO1GDhOXXtYcGFFKK8ZRGFJqUl3GIcFUt jo@laptop";

fn developer() -> Value {
    json!({ "role": "developer" })
}

/// Somebody with a Developer share on a paper of their own.
#[track_caller]
fn guest<'n>(node: &'n Node, site: &str) -> Share<'n> {
    paper(node, site, PAPERS);
    share(node, site, &person("dev"), &developer())
}

#[track_caller]
fn account(share: &Share<'_>) -> Value {
    share.shown()["file_account"].clone()
}

fn keys_of(share: &Share<'_>) -> String {
    format!("{}/keys", share.path())
}

#[track_caller]
fn new_password(share: &Share<'_>) -> Value {
    share.person().post(&format!("{}/password", share.path()), &json!({})).done()
}

fn a_developer_share_brings_an_account_when_it_is_accepted(node: &Node) {
    paper(node, "files-new", PAPERS);
    let dev = invite(node, "files-new", &person("dev"), &developer());
    assert_eq!(account(&dev), Value::Null);
    let _browser = dev.accept_by_mail();
    let shown = account(&dev);
    let login = shown["login"].as_str().unwrap().to_owned();
    assert!(login.ends_with(".files-new"), "{shown}");
    assert_eq!(
        shown,
        json!({ "login": login, "sftp": true, "ftp": true, "root": "/", "read_only": false, "keys": [], "has_password": false })
    );
    let letter = mail_to(node, &dev.email, "account_details", 1);
    assert!(letter.text.contains(&login) && letter.text.contains(&format!("/shares/{}/files", dev.id)), "{letter:?}");
    audited(node, "files-new", "file_account.make", "allowed", |row| row["detail"] == login.as_str());
    // Who else may see the share sees it, too; the role without files has none.
    assert_eq!(Api::owner(node).get("/v1/instances/files-new/shares").status, 404);
    let owner = Api::acting_as(node, &sites::owner_of("files-new")).get(&dev.path()).done();
    assert_eq!(owner["file_account"]["login"], login.as_str());
    let viewer = share(node, "files-new", &person("viewer"), &json!({ "role": "view_only" }));
    assert_eq!(account(&viewer), Value::Null);
    assert!(mails_to(node, &viewer.email, "account_details").is_empty());
}

fn an_account_comes_and_goes_with_file_access(node: &Node) {
    paper(node, "files-role", PAPERS);
    let dev = share(node, "files-role", &person("dev"), &json!({ "role": "view_only" }));
    assert_eq!(account(&dev), Value::Null);
    dev.update(&developer());
    let login = account(&dev)["login"].clone();
    let _ = mail_to(node, &dev.email, "account_details", 1);
    dev.person().put(&keys_of(&dev), &json!({ "keys": [KEY] })).done();
    let _ = new_password(&dev);
    // Paused, it opens nothing, and keeps its keys.
    dev.suspend();
    let paused = account(&dev);
    assert_eq!(
        (&paused["sftp"], &paused["ftp"], &paused["has_password"]),
        (&json!(false), &json!(false), &json!(true))
    );
    dev.reinstate();
    assert_eq!(account(&dev)["sftp"], true);
    // Narrower, it keeps them as well.
    dev.update(&json!({ "file_access": { "kind": "sftp", "path": "wp-content/themes", "read_only": true } }));
    let narrow = account(&dev);
    assert_eq!(
        (&narrow["ftp"], &narrow["root"], &narrow["read_only"]),
        (&json!(false), &json!("/wp-content/themes"), &json!(true))
    );
    assert_eq!(narrow["keys"].as_array().unwrap().len(), 1);
    dev.update(&json!({ "file_access": null }));
    assert_eq!(account(&dev), Value::Null);
    dev.person().put(&keys_of(&dev), &json!({ "keys": [KEY] })).refused(409, "conflict");
    dev.update(&json!({ "file_access": { "kind": "sftp" } }));
    let again = account(&dev);
    assert_eq!((&again["login"], &again["keys"], &again["has_password"]), (&login, &json!([]), &json!(false)));
    let _ = mail_to(node, &dev.email, "account_details", 2);
    dev.revoke();
    assert_eq!(account(&dev), Value::Null);
}

fn a_staging_has_an_account_of_its_own(node: &Node) {
    paper(node, "files-live", PAPERS);
    let staging = json!({ "staging_of": "files-live", "owners": [sites::owner_of("files-live")] });
    put_paper(node, "files-stage", PAPERS, &staging).done();
    let mut terms = developer();
    terms["apply_to_staging"] = json!(true);
    let main = share(node, "files-live", &person("dev"), &terms);
    let listed = Api::panel(node).get("/v1/instances/files-stage/shares").done();
    let copy = Share::known(node, "files-stage", listed["items"][0]["id"].as_str().unwrap(), &main.email);
    let name = |share: &Share<'_>| account(share)["login"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
    assert_eq!(name(&main), name(&copy));
    assert!(account(&copy)["login"].as_str().unwrap().ends_with(".files-stage"));
    let _ = mail_to(node, &main.email, "account_details", 2);
    main.revoke();
    assert_eq!((account(&main), account(&copy)), (Value::Null, Value::Null));
}

fn whoever_is_cut_down_from_above_is_shown_what_is_left(node: &Node) {
    paper(node, "files-chain", PAPERS);
    let mut terms = json!({ "role": "custom", "privileges": ["general.manage_shared_access"] });
    terms["file_access"] = json!({ "kind": "sftp_and_ftp" });
    let lead = share(node, "files-chain", &person("lead"), &terms);
    terms["privileges"] = json!(["general.manage_shared_access"]);
    let below = latchkey_tests::shares::share_as(node, &lead.email, "files-chain", &person("guest"), &terms);
    assert_eq!((&account(&below)["ftp"], &account(&below)["root"]), (&json!(true), &json!("/")));
    lead.update(&json!({ "file_access": { "kind": "sftp", "path": "wp-content" } }));
    let left = account(&below);
    assert_eq!((&left["sftp"], &left["ftp"], &left["root"]), (&json!(true), &json!(false), &json!("/wp-content")));
    lead.suspend();
    assert_eq!(account(&below)["sftp"], false);
}

fn keys_are_set_by_ones_own_person_and_the_panel_only(node: &Node) {
    let dev = guest(node, "files-keys");
    let reply = dev.person().put(&keys_of(&dev), &json!({ "keys": [KEY] })).done();
    assert_eq!(reply["ended"]["closed"]["sftp"], 0, "{reply}");
    let keys = reply["share"]["file_account"]["keys"].as_array().unwrap().clone();
    assert!(keys[0].as_str().unwrap().starts_with("SHA256:") && keys[0].as_str().unwrap().ends_with(" jo@laptop"));
    audited(node, "files-keys", "share.keys", "allowed", |row| row["actor"] == dev.email.as_str());
    // Whoever else sees the share may not; to strangers there is none.
    let none = json!({ "keys": [] });
    let path = keys_of(&dev);
    Api::acting_as(node, &sites::owner_of("files-keys")).put(&path, &none).refused_by("A2", 404, "not_found");
    Api::acting_as(node, &person("stranger")).put(&path, &none).refused_by("A2", 404, "not_found");
    let sharing = json!({ "role": "custom", "privileges": ["general.manage_shared_access"] });
    let delegate = share(node, "files-keys", &person("delegate"), &sharing);
    delegate.person().put(&path, &none).refused_by("A2", 404, "not_found");
    delegate.person().post(&format!("{}/password", dev.path()), &json!({})).refused_by("A2", 404, "not_found");
    audited(node, "files-keys", "PUT /v1/instances/{instance}/shares/{share}/keys", "denied", |row| {
        row["actor"] == delegate.email.as_str() && row["rule"] == "A2"
    });
    assert_eq!(account(&dev)["keys"].as_array().unwrap().len(), 1);
    let stale = Api::panel(node).request("PUT", &path).header("If-Match", "\"1\"").json(&none).send();
    assert_eq!(stale.status, 412, "{}", stale.body);
    Api::panel(node).put(&path, &none).done();
    assert_eq!(account(&dev)["keys"], json!([]));
    // Without an account there is nothing to set.
    let viewer = share(node, "files-keys", &person("viewer"), &json!({ "role": "view_only" }));
    viewer.person().put(&keys_of(&viewer), &none).refused(409, "conflict");
    viewer.person().post(&format!("{}/password", viewer.path()), &json!({})).refused(409, "conflict");
}

fn keys_that_are_none_are_refused_by_their_line(node: &Node) {
    let dev = guest(node, "files-wrong");
    let short_rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7UoTWbyuWmVLYQeVYyHq8hKVC3PbKYXVmlvDUHgvRE1cS0Mb3zcGYQDL4eg1jvdxJ8OxqpzJqTDZuhnmTzS9n x";
    for (key, words) in [
        ("hello", "can be read"),
        (&format!("command=\"/bin/sh\" {KEY}"), "no options"),
        (short_rsa, "2048"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
    ] {
        let problem = dev.person().put(&keys_of(&dev), &json!({ "keys": [KEY, key] })).refused(400, "invalid");
        assert_eq!(problem["field"], "keys[1]", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let problem = dev.person().put(&keys_of(&dev), &json!({ "keys": "x" })).refused(400, "invalid");
    assert_eq!(problem["field"], "keys");
    assert_eq!(account(&dev)["keys"], json!([]));
}

fn a_password_is_told_once_and_kept_as_a_hash(node: &Node) {
    let dev = guest(node, "files-pass");
    let key = new_key();
    let ask = || {
        let request = dev.person().request("POST", &format!("{}/password", dev.path()));
        request.header("Idempotency-Key", &key).json(&json!({})).send()
    };
    let made = ask().done();
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!((made["login"].clone(), password.len()), (account(&dev)["login"].clone(), 24));
    assert_eq!(made["ended"]["closed"]["sftp"], 0, "{made}");
    // A repeat neither tells it again nor makes another one.
    ask().refused(409, "conflict");
    assert_eq!(account(&dev)["has_password"], true);
    let other = Api::panel(node).post(&format!("{}/password", dev.path()), &json!({})).done();
    assert_ne!(other["password"], made["password"]);
    audited(node, "files-pass", "share.password", "allowed", |row| row["actor"] == dev.email.as_str());
    // It is in no reply, no row and no letter; what is kept is a hash.
    assert!(!dev.shown().to_string().contains(&password));
    assert!(all_rows(node).iter().all(|row| !row.to_string().contains(&password)));
    let letters = node.mails().unwrap().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    assert!(letters.into_iter().all(|letter| !letter.contains(&password)));
    let state = node.agent().unwrap().paths().state.clone();
    let files = ["latchkey.db", "latchkey.db-wal"].map(|name| std::fs::read(state.join(name)).unwrap());
    let holds = |words: &str| files.iter().any(|bytes| bytes.windows(words.len()).any(|part| part == words.as_bytes()));
    assert!(holds("$argon2id$v=19$m=19456,t=2,p=1$") && !holds(&password));
}

/// A browser that is signed in by a link of the panel.
#[track_caller]
fn signed_in(node: &Node, email: &str) -> Browser {
    let link = Api::panel(node).post("/v1/gateway/links", &json!({ "person": email })).done();
    let mut browser = Browser::at_gateway(node);
    assert_eq!(browser.submit(link["url"].as_str().unwrap(), &[]).status, 303);
    browser
}

fn the_page_of_an_account_is_for_its_person_only(node: &Node) {
    let dev = guest(node, "files-own");
    let page = format!("/shares/{}/files", dev.id);
    let mut own = signed_in(node, &dev.email);
    let shown = own.open(&page);
    assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-store")));
    assert!(shown.body.contains(account(&dev)["login"].as_str().unwrap()), "{}", shown.body);
    assert!(own.open("/").body.contains(&page));
    let csrf = field_of(&shown.body, "csrf").unwrap();
    // Nobody who is not signed in, and nobody else.
    assert_eq!(Browser::at_gateway(node).open(&page).location(), "/sign-in");
    let other = share(node, "files-own", &person("other"), &developer());
    let mut stranger = signed_in(node, &other.email);
    assert_eq!(stranger.open(&page).status, 404);
    let theirs = field_of(&stranger.open("/").body, "csrf").unwrap();
    for form in ["keys", "password"] {
        let target = format!("{page}/{form}");
        assert_eq!(stranger.submit(&target, &[("csrf", &theirs)]).status, 404);
        // And no form of another site, or without its token.
        let gateway = node.agent().unwrap().urls().gateway.clone();
        let forged: [(&str, Request); 3] = [
            (
                "another origin",
                own.request("POST", &target).header("Origin", "https://evil.example").form(&[("csrf", &csrf)]),
            ),
            ("no origin", own.request("POST", &target).form(&[("csrf", &csrf)])),
            ("a wrong token", own.request("POST", &target).header("Origin", &gateway).form(&[("csrf", &theirs)])),
        ];
        for (what, request) in forged {
            assert_eq!(request.send().status, 403, "{form}: {what}");
        }
    }
    assert_eq!((&account(&dev)["has_password"], &account(&dev)["keys"]), (&json!(false), &json!([])));
    // A share without files has no page.
    let viewer = share(node, "files-own", &person("viewer"), &json!({ "role": "view_only" }));
    let mut browser = signed_in(node, &viewer.email);
    let page = format!("/shares/{}/files", viewer.id);
    assert_eq!(browser.open(&page).status, 404);
    assert!(!browser.open("/").body.contains(&page));
}

fn the_page_takes_keys_and_shows_a_password_once(node: &Node) {
    let dev = guest(node, "files-page");
    let page = format!("/shares/{}/files", dev.id);
    let mut browser = signed_in(node, &dev.email);
    let csrf = field_of(&browser.open(&page).body, "csrf").unwrap();
    let wrong = browser.submit(&format!("{page}/keys"), &[("csrf", &csrf), ("keys", &format!("{KEY}\r\nhello"))]);
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    assert!(wrong.body.contains("Line 2: ") && wrong.body.contains("hello"), "{}", wrong.body);
    let saved = browser.submit(&format!("{page}/keys"), &[("csrf", &csrf), ("keys", &format!("# mine\r\n{KEY}\r\n"))]);
    assert_eq!((saved.status, saved.location()), (303, page.as_str()));
    assert!(browser.open(&page).body.contains("SHA256:"));
    assert_eq!(account(&dev)["keys"].as_array().unwrap().len(), 1);
    let made = browser.submit(&format!("{page}/password"), &[("csrf", &csrf)]);
    assert_eq!((made.status, made.header("cache-control")), (200, Some("no-store")));
    let secret = made.body.split_once("class=\"secret\"").unwrap().1.split_once("<code>").unwrap().1;
    let password = secret.split_once("</code>").unwrap().0;
    assert_eq!(password.len(), 24);
    assert_eq!(account(&dev)["has_password"], true);
    let later = browser.open(&page);
    assert!(!later.body.contains(password) && later.body.contains("cannot be shown again"), "{}", later.body);
    // What does not let in at the moment says so.
    dev.update(&json!({ "file_access": { "kind": "ftp" } }));
    assert!(!browser.open(&page).body.contains("Keys for SFTP"));
}

fn accounts_of_the_hosting_need_their_privilege(node: &Node) {
    let dev = guest(node, "files-may");
    let full = share(node, "files-may", &person("full"), &json!({ "role": "full_access" }));
    for (noun, privilege) in [("sftp_account", "hosting.manage_sftp"), ("ftp_account", "hosting.manage_ftp")] {
        for (verb, input) in [
            ("list", json!({})),
            ("create", json!({ "name": "x" })),
            ("update", json!({ "login": "x" })),
            ("delete", json!({ "login": "x" })),
        ] {
            let operation = format!("{noun}.{verb}");
            let problem = dev.person().operate("files-may", &operation, &input).refused_by("A1", 403, "forbidden");
            assert_eq!(problem["privilege"], privilege, "{operation}");
            let stranger = Api::acting_as(node, &person("stranger"));
            stranger.operate("files-may", &operation, &input).refused_by("A2", 404, "not_found");
            // An owner of one instance of several does not own the hosting.
            let owner = Api::acting_as(node, &sites::owner_of("files-may"));
            owner.operate("files-may", &operation, &input).refused_by("A3", 403, "forbidden");
        }
        full.person().operate("files-may", &format!("{noun}.list"), &json!({})).done();
    }
}

fn accounts_of_the_hosting_are_made_changed_and_deleted(node: &Node) {
    paper(node, "files-ops", PAPERS);
    let full = share(node, "files-ops", &person("full"), &json!({ "role": "full_access" }));
    let run = |operation: &str, input: Value| full.person().operate("files-ops", operation, &input);
    let made = run("sftp_account.create", json!({ "name": "ops", "directory": "files-ops", "keys": [KEY] })).done();
    let login = format!("ops.{PAPERS}");
    assert_eq!(made["account"]["login"], login.as_str(), "{made}");
    assert_eq!((&made["account"]["has_password"], made.get("password")), (&json!(false), None));
    assert_eq!(made["account"]["creator"], full.email.as_str());
    run("sftp_account.create", json!({ "name": "ops", "password": true })).refused(409, "conflict");
    // One list for each protocol, and nothing of it in the other.
    let ftp = run("ftp_account.create", json!({ "name": "ops-ftp" })).done();
    assert_eq!(ftp["password"].as_str().unwrap().len(), 24);
    let listed = |noun: &str| -> Vec<String> {
        let reply = run(&format!("{noun}.list"), json!({})).done();
        assert!(!reply.to_string().contains(ftp["password"].as_str().unwrap()));
        reply["items"].as_array().unwrap().iter().map(|one| one["login"].as_str().unwrap().to_owned()).collect()
    };
    assert!(listed("sftp_account").contains(&login) && !listed("ftp_account").contains(&login));
    run("ftp_account.update", json!({ "login": login })).refused(404, "not_found");
    run("ftp_account.delete", json!({ "login": login })).refused(404, "not_found");
    // Nor from another hosting.
    let elsewhere = Api::panel(node).operate("live", "sftp_account.delete", &json!({ "login": login }));
    elsewhere.refused(404, "not_found");
    let changed = run("sftp_account.update", json!({ "login": login, "read_only": true, "new_password": true })).done();
    assert_eq!(
        (&changed["account"]["read_only"], &changed["account"]["directory"]),
        (&json!(true), &json!("files-ops"))
    );
    assert_eq!(changed["account"]["keys"].as_array().unwrap().len(), 1);
    assert!(changed["password"].is_string() && changed["ended"]["closed"]["sftp"] == 0, "{changed}");
    let ended = run("sftp_account.delete", json!({ "login": login })).done();
    assert_eq!(ended["ended"]["residue"], json!([]));
    assert!(!listed("sftp_account").contains(&login));
    run("sftp_account.delete", json!({ "login": login })).refused(404, "not_found");
    run("ftp_account.delete", json!({ "login": format!("ops-ftp.{PAPERS}") })).done();
    for operation in ["sftp_account.create", "sftp_account.update", "sftp_account.delete"] {
        audited(node, "files-ops", operation, "allowed", |row| row["detail"] == login.as_str());
    }
    // What holds a password is not kept for a repeat.
    let key = new_key();
    let ask = || {
        let path = "/v1/instances/files-ops/operations/ftp_account.create";
        let request = full.person().request("POST", path).header("Idempotency-Key", &key);
        request.json(&json!({ "name": "ops-once" })).send()
    };
    ask().done();
    ask().refused(409, "conflict");
    run("ftp_account.delete", json!({ "login": format!("ops-once.{PAPERS}") })).done();
}

fn what_an_account_of_the_hosting_may_be_is_checked(node: &Node) {
    paper(node, "files-check", PAPERS);
    let create = |operation: &str, input: Value| {
        let problem = Api::panel(node).operate("files-check", operation, &input).refused(400, "invalid");
        problem["field"].as_str().unwrap_or_default().to_owned()
    };
    for (input, field) in [
        (json!({ "name": "Ops", "password": true }), "name"),
        (json!({ "name": "", "password": true }), "name"),
        (json!({ "name": "a.b", "password": true }), "name"),
        (json!({ "name": "a".repeat(25), "password": true }), "name"),
        (json!({ "name": "check", "password": true, "directory": "../other" }), "directory"),
        (json!({ "name": "check", "password": true, "directory": "/etc" }), "directory"),
        (json!({ "name": "check" }), "keys"),
        (json!({ "name": "check", "keys": ["x"] }), "keys[0]"),
        (json!({ "name": "check", "password": true, "quota": 1 }), "quota"),
    ] {
        assert_eq!(create("sftp_account.create", input.clone()), field, "{input}");
    }
    assert_eq!(create("ftp_account.create", json!({ "name": "check", "read_only": true })), "read_only");
    let listed = Api::panel(node).operate("files-check", "sftp_account.list", &json!({})).done();
    assert!(!listed.to_string().contains("check."), "{listed}");
}

fn an_account_of_the_hosting_is_residue_of_whoever_made_it(node: &Node) {
    paper(node, "files-left", PAPERS);
    let full = share(node, "files-left", &person("full"), &json!({ "role": "full_access" }));
    let login = format!("left.{PAPERS}");
    full.person().operate("files-left", "sftp_account.create", &json!({ "name": "left", "keys": [KEY] })).done();
    let ended = full.revoke();
    let residue = ended["residue"].as_array().unwrap().clone();
    let named = residue.iter().find(|one| one["kind"] == "file_account").expect("the account among the residue");
    assert!(named["what"].as_str().unwrap().contains(&login), "{named}");
    assert!(named["undo"].as_str().unwrap().contains("sftp_account.delete"), "{named}");
    assert!(full.shown()["residue"].to_string().contains(&login));
    // It goes on until it is deleted; then nothing of it is left.
    let list = || Api::panel(node).operate("files-left", "sftp_account.list", &json!({})).done().to_string();
    assert!(list().contains(&login));
    Api::panel(node).operate("files-left", "sftp_account.delete", &json!({ "login": login })).done();
    assert!(!list().contains(&login));
    assert!(!full.shown().to_string().contains(&login));
}

fn the_command_line_sets_keys_and_prints_a_password(node: &Node) {
    let dev = guest(node, "files-cli");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id.pub");
    std::fs::write(&file, format!("# mine\n{KEY}\n")).unwrap();
    let keys = ["share", "keys", "files-cli", &dev.id, file.to_str().unwrap(), "--as", &dev.email];
    assert!(latchkey(node, &keys).done().contains("SHA256:"));
    let printed = latchkey(node, &["share", "password", "files-cli", &dev.id, "--as", &dev.email, "--json"]).json();
    assert_eq!(printed["password"].as_str().unwrap().len(), 24);
    let login = account(&dev)["login"].as_str().unwrap().to_owned();
    let printed = latchkey(node, &["share", "password", "files-cli", &dev.id, "--as", &dev.email]);
    let told = |name: &str| printed.done().lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    assert_eq!((told("login"), told("password").map(str::len)), (Some(login.as_str()), Some(24)), "{}", printed.text);
    assert!(printed.text.contains("Nothing was open."), "{}", printed.text);
    assert!(latchkey(node, &["share", "show", "files-cli", &dev.id]).done().contains(&login));
    let _ = latchkey(node, &["share", "keys", "files-cli", &dev.id, "--as", &dev.email]).done();
    assert_eq!(account(&dev)["keys"], json!([]));
}
