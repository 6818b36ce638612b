//! `file.search`, and downloads of folders: what is found and sent, by whom, and for how long.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use latchkey_tests::archives::{files_workers, noise};
use latchkey_tests::audit::audited;
use latchkey_tests::exchange::{Request, Response};
use latchkey_tests::file_manager::Managed;
use latchkey_tests::shares::{person, share};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;
use xtask::process::Program;

use crate::{ARCHIVED, MANAGED_TOO};

crate::trials! { beside_others:
    files_are_found_by_names_and_by_what_they_hold,
    a_search_ends_in_time_and_with_its_share,
    a_folder_is_downloaded_as_a_zip,
    a_folder_is_downloaded_by_whoever_may_and_as_long,
}

fn paths(found: &Value) -> Vec<String> {
    let mut paths: Vec<_> =
        found["items"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

fn files_are_found_by_names_and_by_what_they_hold(node: &Node) {
    let may = Managed::new(node, "arc-found", ARCHIVED);
    may.does("file.make_dir", &json!({ "path": may.at("Theme") }));
    may.plant("Theme/style.css", "body {}\nh1 { color: RED }\n");
    may.plant("Theme/functions.php", "<?php\n");
    may.plant("binary", b"color: red\0");
    may.plant("\u{c4}rger.txt", "line\r\n\u{dc}BER color: blue\r\n");
    may.plant("long", format!("{} color: red {}", "x".repeat(5000), "y".repeat(5000)));
    may.plant("longer", "color: red\n".repeat(800_000));
    symlink(&may.folder, may.folder.join("Theme/again")).unwrap();
    symlink("/etc", may.folder.join("etc")).unwrap();
    let search = |input: Value| {
        let mut input = input;
        input["path"] = json!(may.path);
        may.does("file.search", &input)
    };
    let at = |names: &[&str]| names.iter().map(|name| may.at(name)).collect::<Vec<_>>();
    assert_eq!(paths(&search(json!({ "name": "STYLE" }))), at(&["Theme/style.css"]));
    assert_eq!(paths(&search(json!({ "name": "*.php" }))), at(&["Theme/functions.php"]));
    assert_eq!(paths(&search(json!({ "name": "?tc" }))), at(&["etc"]));
    assert_eq!(paths(&search(json!({ "name": "passwd" }))), Vec::<String>::new(), "no link is followed");
    assert_eq!(paths(&search(json!({ "name": "theme" }))), at(&["Theme"]));
    assert_eq!(paths(&search(json!({ "name": "\u{e4}RGER" }))), at(&["%C3%84rger.txt"]));
    let red = search(json!({ "content": "color: red" }));
    assert_eq!(paths(&red), at(&["Theme/style.css", "long"]));
    assert_eq!((&red["is_complete"], &red["left_out"]), (&json!(true), &json!(1)), "one is too long");
    let item = |found: &Value, name: &str| {
        let path = may.at(name);
        found["items"].as_array().unwrap().iter().find(|one| one["path"] == path.as_str()).unwrap().clone()
    };
    let style = item(&red, "Theme/style.css");
    assert_eq!((&style["line_number"], &style["line"]), (&json!(2), &json!("h1 { color: RED }")));
    assert_eq!((&style["kind"], &style["owner"]), (&json!("file"), &json!(may.user.name)));
    let line = item(&red, "long")["line"].as_str().unwrap().to_owned();
    assert!(line.len() <= 200 && line.contains("color: red"), "{line}");
    assert_eq!(paths(&search(json!({ "content": "color: red", "case_sensitive": true }))), at(&["long"]));
    assert_eq!(paths(&search(json!({ "content": "\u{fc}ber C", "name": "*.txt" }))), at(&["%C3%84rger.txt"]));
    let limited = search(json!({ "name": "*", "limit": 2 }));
    assert_eq!(paths(&limited).len(), 2);
    assert_eq!((&limited["is_complete"], &limited["ended_by"]), (&json!(false), &json!("limit")));
    // What is kept out of sight is not found, from wherever one looks.
    may.plant("deleted-needle", "");
    may.does("file.delete", &json!({ "path": may.at("deleted-needle") }));
    let all = may.does("file.search", &json!({ "name": "deleted-needle" }));
    assert_eq!(paths(&all), Vec::<String>::new());
    for (input, field) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x".repeat(257) }), "name"),
        (json!({ "content": "a\nb" }), "content"),
        (json!({ "name": "x", "limit": 0 }), "limit"),
        (json!({ "name": "x", "limit": 1001 }), "limit"),
        (json!({ "name": "x", "path": "../x" }), "path"),
    ] {
        assert_eq!(may.asks("file.search", &input).refused(400, "invalid")["field"], field);
    }
    may.asks("file.search", &json!({ "path": may.at("nothing"), "name": "x" })).refused(404, "not_found");
    may.asks("file.search", &json!({ "path": may.at("etc"), "name": "x" })).refused(403, "forbidden");
    may.asks("file.search", &json!({ "path": may.at("long"), "name": "x" })).refused(409, "conflict");
}

fn a_search_ends_in_time_and_with_its_share(node: &Node) {
    let may = Managed::new(node, "arc-slow", ARCHIVED);
    may.plant("0", "\u{e4}bcdefg\n".repeat(800_000));
    for number in 1..3000 {
        fs::hard_link(may.folder.join("0"), may.folder.join(number.to_string())).unwrap();
    }
    let input = json!({ "path": may.path, "content": "nowhere" });
    let found = may.does("file.search", &input);
    assert_eq!((&found["is_complete"], &found["ended_by"]), (&json!(false), &json!("time")));
    thread::scope(|scope| {
        let searching = scope.spawn(|| may.asks("file.search", &input));
        let sessions = || latchkey_tests::api::Api::acting_as(node, &may.share.email).get("/v1/sessions").done();
        eventually("it is under way", || !sessions()["items"].as_array().unwrap().is_empty());
        let ended = may.share.revoke();
        assert_eq!((&ended["closed"]["job"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
        searching.join().unwrap().refused(403, "forbidden");
    });
}

/// Downloads into a file.
fn into_file(request: Request, file: &std::path::Path) -> Result<Response, String> {
    let request = request.option("--no-include").option("--dump-header").option("-");
    request.option("--output").option(file.to_str().unwrap()).try_send()
}

fn zip_of(may: &Managed<'_>, name: &str) -> Request {
    let path = format!("/v1/instances/{}/files/{}/{name}?format=zip", may.instance, may.path);
    may.share.person().request("GET", &path)
}

fn scratch(node: &Node, name: &str) -> PathBuf {
    node.root().join(name)
}

fn a_folder_is_downloaded_as_a_zip(node: &Node) {
    let may = Managed::new(node, "arc-sent", "arc-sent");
    for folder in ["a \u{fc}", "a \u{fc}/empty"] {
        fs::create_dir(may.folder.join(folder)).unwrap();
        may.user.own(&may.folder.join(folder)).unwrap();
    }
    may.plant("a \u{fc}/noise", noise(3_000_000));
    may.plant("a \u{fc}/text", "text\n".repeat(10_000));
    symlink("text", may.folder.join("a \u{fc}/link")).unwrap();
    let file = scratch(node, "arc-sent.zip");
    let reply = into_file(zip_of(&may, "a%20%C3%BC"), &file).unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/zip")));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename*=UTF-8''a%20%C3%BC.zip"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!((reply.header("content-length"), reply.header("accept-ranges")), (None, None));
    let back = scratch(node, "arc-sent");
    let unzip = Program::new("unzip").arg("-q").arg(&file).arg("-d").arg(&back);
    unzip.env("LC_ALL", "C.UTF-8").text().unwrap();
    for name in ["a \u{fc}/noise", "a \u{fc}/text"] {
        assert!(fs::read(back.join(name)).unwrap() == fs::read(may.folder.join(name)).unwrap(), "{name}");
    }
    assert!(back.join("a \u{fc}/empty").is_dir() && !back.join("a \u{fc}/link").exists());
    audited(node, "arc-sent", "file.download", "allowed", |row| row["share"] == may.share.id.as_str());
    // The home as a whole, without what is kept out of sight.
    let request = may.share.person().request("GET", "/v1/instances/arc-sent/files/.?format=zip");
    let reply = into_file(request.option("--path-as-is"), &file).unwrap();
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename*=UTF-8''home.zip"));
    let listed = Program::new("unzip").arg("-Z1").arg(&file).text().unwrap();
    assert!(listed.contains("paper/arc-sent/") && !listed.contains(".latchkey"), "{listed}");
    for (name, status, code) in [("nothing", 404, "not_found"), ("a%20%C3%BC/text", 409, "conflict")] {
        zip_of(&may, name).send().refused(status, code);
    }
    let path = format!("/v1/instances/arc-sent/files/{}?format=rar", may.at("a%20%C3%BC"));
    assert_eq!(may.share.person().request("GET", &path).send().refused(400, "invalid")["field"], "format");
    fs::remove_file(file).unwrap();
    fs::remove_dir_all(back).unwrap();
}

fn a_folder_is_downloaded_by_whoever_may_and_as_long(node: &Node) {
    let may = Managed::new(node, "arc-sending", "arc-sending");
    latchkey_tests::sites::folder(node, "arc-not-sent", MANAGED_TOO);
    may.plant("noise", noise(30_000_000));
    let may_not = share(node, "arc-sending", &person("may-not"), &json!({ "role": "developer" }));
    let path = format!("/v1/instances/arc-sending/files/{}?format=zip", may.path);
    may_not.person().request("GET", &path).send().refused_by("A1", 403, "forbidden");
    let elsewhere = "/v1/instances/arc-not-sent/files/.?format=zip";
    may.share.person().request("GET", elsewhere).option("--path-as-is").send().refused_by("A2", 404, "not_found");
    let sessions = || latchkey_tests::api::Api::acting_as(node, &may.share.email).get("/v1/sessions").done();
    let of_transfers = || sessions()["items"].as_array().unwrap().len();
    // Whoever hangs up ends it at once.
    let short = zip_of(&may, ".").option("--limit-rate").option("100K").option("--max-time").option("1");
    assert!(into_file(short, &scratch(node, "arc-hung-up.zip")).is_err());
    eventually("it is over", || of_transfers() == 0);
    a_download_that_has_not_begun_ends_with_its_share(node, &may);
    let files = [0, 1, 2].map(|number| scratch(node, &format!("arc-sending-{number}.zip")));
    thread::scope(|scope| {
        let slow: Vec<_> = files
            .iter()
            .map(|file| {
                let request = zip_of(&may, ".").option("--limit-rate").option("200K");
                scope.spawn(move || into_file(request, file))
            })
            .collect();
        eventually("three downloads", || of_transfers() == 3);
        let ended = may.share.revoke();
        assert_eq!((&ended["closed"]["transfer"], &ended["unconfirmed"]), (&json!(3), &json!([])), "{ended}");
        for one in slow {
            assert!(one.join().unwrap().is_err(), "it was not cut off");
        }
    });
    for file in files {
        // What came has no end.
        assert!(Program::new("unzip").arg("-tq").arg(&file).text().is_err());
        fs::remove_file(file).unwrap();
    }
    let _ = fs::remove_file(scratch(node, "arc-hung-up.zip"));
}

/// Nothing comes from a worker that stands still; whoever waits for it is told at once.
fn a_download_that_has_not_begun_ends_with_its_share(node: &Node, may: &Managed<'_>) {
    let other = share(
        node,
        may.instance,
        &person("other"),
        &json!({ "role": "custom", "privileges": ["hosting.manage_file_manager"] }),
    );
    let path = format!("/v1/instances/{}/files/{}?format=zip", may.instance, may.path);
    let workers = files_workers(&may.user);
    let all = |signal: &str| {
        workers.iter().for_each(|worker| drop(Program::new("kill").args([signal, &worker.to_string()]).text()));
    };
    assert!(!workers.is_empty());
    all("-STOP");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| other.person().request("GET", &path).send());
        let sessions = || latchkey_tests::api::Api::acting_as(node, &other.email).get("/v1/sessions").done();
        eventually("it waits", || !sessions()["items"].as_array().unwrap().is_empty());
        let ended = other.revoke();
        assert_eq!((&ended["closed"]["transfer"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
        waiting.join().unwrap().refused(403, "forbidden");
    });
    all("-CONT");
}
