//! `log.*`, `activity.list`: the logs that nginx writes for a site, and nobody else's.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use latchkey_tests::api::Api;
use latchkey_tests::command_line::latchkey;
use latchkey_tests::exchange::Request;
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::{owner_of, paper};
use latchkey_tests::streams::OperationStream;
use latchkey_tests::waiting::eventually;
use rustix::process::Signal;
use serde_json::{Value, json};
use xtask::node::Node;
use xtask::process::Program;

crate::trials! { beside_others:
    a_request_is_in_the_log_of_its_site_and_its_secrets_are_not,
    logs_take_the_privilege_and_an_instance_that_one_sees,
    what_php_says_and_the_debug_log_of_wordpress_are_read,
    only_the_logs_of_the_instance_are_listed_and_read,
    a_log_of_the_whole_hosting_is_for_who_may_see_all_its_sites,
    nothing_that_a_hostings_user_plants_in_a_log_folder_is_read,
    a_log_is_paged_backwards_while_it_grows_and_rotation_is_told,
    a_log_is_followed_over_renaming_and_emptying_until_the_share_ends,
    a_share_follows_so_many_logs_at_once_and_leaves_places_for_others,
    the_command_line_follows_a_log,
    activity_says_what_was_done_and_to_guests_no_more_than_that,
}

/// Somebody who may see logs, and nothing else.
#[track_caller]
fn reader<'n>(node: &'n Node, instance: &str) -> Share<'n> {
    share(node, instance, &person("reader"), &json!({ "role": "custom", "privileges": ["general.view_logs"] }))
}

/// Where an instance's access log is, or would be.
fn access_log(node: &Node, hosting: &str, instance: &str) -> PathBuf {
    node.hosting(hosting).unwrap().logs.join(format!("{instance}.access.log"))
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[track_caller]
fn list(api: &Api<'_>, instance: &str) -> Vec<Value> {
    api.operate(instance, "log.list", &json!({})).done()["items"].as_array().unwrap().clone()
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

/// The last lines of a log.
#[track_caller]
fn read(api: &Api<'_>, instance: &str, log: &str) -> String {
    texts(&api.operate(instance, "log.read", &json!({ "log": log })).done()).join("\n")
}

fn a_request_is_in_the_log_of_its_site_and_its_secrets_are_not(node: &Node) {
    let site = node.instance("log1").unwrap();
    let guest = reader(node, "log1");
    let url = format!("{}/?marker=first&key=Kx81jQpm2s&rest=shown", site.url);
    let visited = Request::new("GET", url).header("Referer", "https://a.example/?token=refsecret").send();
    assert!(visited.status < 500, "{visited:?}");
    let log = access_log(node, "logs1", "log1");
    eventually("nginx has written it", || fs::read_to_string(&log).unwrap().contains("marker=first"));
    assert!(fs::read_to_string(&log).unwrap().contains("Kx81jQpm2s"));
    let items = list(&guest.person(), "log1");
    let access = items.iter().find(|item| item["id"] == "access").unwrap();
    assert_eq!((&access["kind"], &access["title"]), (&json!("access"), &json!("log1.access.log")));
    assert_eq!(access["size_bytes"], fs::metadata(&log).unwrap().len());
    let shown = read(&guest.person(), "log1", "access");
    let line = shown.lines().find(|line| line.contains("marker=first")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("/?marker=first&key=***&rest=shown"), "{line}");
    assert!(!shown.contains("Kx81jQpm2s") && !shown.contains("refsecret"), "{shown}");
}

fn logs_take_the_privilege_and_an_instance_that_one_sees(node: &Node) {
    let may_not = share(node, "log1", &person("may-not"), &json!({ "role": "view_only" }));
    let stranger = Api::acting_as(node, &person("stranger"));
    let elsewhere = reader(node, "followed");
    for (operation, input) in [
        ("log.list", json!({})),
        ("log.read", json!({ "log": "access" })),
        ("log.follow", json!({ "log": "access" })),
        ("activity.list", json!({})),
    ] {
        let problem = may_not.person().operate("log1", operation, &input).refused_by("A1", 403, "forbidden");
        assert_eq!(problem["privilege"], "general.view_logs", "{problem}");
        for nobody in [&stranger, &elsewhere.person()] {
            nobody.operate("log1", operation, &input).refused_by("A2", 404, "not_found");
        }
    }
    let guest = reader(node, "log1");
    for (operation, input, field) in [
        ("log.read", json!({}), "log"),
        ("log.read", json!({ "log": "access", "limit": 0 }), "limit"),
        ("log.read", json!({ "log": "access", "limit": 1001 }), "limit"),
        ("log.read", json!({ "log": "access", "before": "1-2" }), "before"),
        ("log.follow", json!({ "log": "access", "after": "x" }), "after"),
        ("log.list", json!({ "path": "/etc/shadow" }), "path"),
        ("activity.list", json!({ "limit": 501 }), "limit"),
        ("activity.list", json!({ "cursor": "x" }), "cursor"),
    ] {
        let problem = guest.person().operate("log1", operation, &input).refused(400, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
    }
}

fn what_php_says_and_the_debug_log_of_wordpress_are_read(node: &Node) {
    let (site, owner) = (node.instance("log1").unwrap(), Api::acting_as(node, &owner_of("log1")));
    let script = "<?php error_log('boom password: hunter2 in ' . __FILE__);";
    fs::write(site.docroot.join("says.php"), script).unwrap();
    node.hosting("logs1").unwrap().user.own(&site.docroot.join("says.php")).unwrap();
    assert_eq!(Request::new("GET", format!("{}/says.php", site.url)).send().status, 200);
    eventually("nginx has what PHP said", || read(&owner, "log1", "error").contains("PHP message: boom password: ***"));
    assert!(!read(&owner, "log1", "error").contains("hunter2"));
    let debug = site.docroot.join("wp-content/debug.log");
    assert!(!ids(&list(&owner, "log1")).contains(&"debug"));
    owner.operate("log1", "log.read", &json!({ "log": "debug" })).refused(404, "not_found");
    fs::write(&debug, "#0 db.php(3): mysqli_real_connect('localhost', 'user', 'pass')\nhalf a line").unwrap();
    node.hosting("logs1").unwrap().user.own(&debug).unwrap();
    let items = list(&owner, "log1");
    assert!(items.iter().any(|item| item["id"] == "debug" && item["kind"] == "debug"), "{items:?}");
    assert_eq!(read(&owner, "log1", "debug"), "#0 db.php(3): mysqli_real_connect(***)");
    // A link could make another file pass for it.
    fs::rename(&debug, site.docroot.join("wp-content/kept.log")).unwrap();
    symlink("../wp-config.php", &debug).unwrap();
    assert!(!ids(&list(&owner, "log1")).contains(&"debug"));
    owner.operate("log1", "log.read", &json!({ "log": "debug" })).refused(404, "not_found");
    fs::remove_file(&debug).unwrap();
}

fn only_the_logs_of_the_instance_are_listed_and_read(node: &Node) {
    // Beside `log1`: on the same hosting, and on one whose name begins like its hosting's.
    paper(node, "log10", "logs1");
    paper(node, "log1-other", "logs10");
    for (hosting, instance) in [("logs1", "log10"), ("logs10", "log1-other")] {
        append(&access_log(node, hosting, instance), &format!("marker-of-{instance}\n"));
    }
    let (guest, of_ten) = (reader(node, "log1"), reader(node, "log10"));
    assert_eq!(read(&of_ten.person(), "log10", "access"), "marker-of-log10");
    assert_eq!(read(&Api::acting_as(node, &owner_of("log1-other")), "log1-other", "access"), "marker-of-log1-other");
    let items = list(&guest.person(), "log1");
    for id in ids(&items) {
        let shown = guest.person().operate("log1", "log.read", &json!({ "log": id, "limit": 1000 }));
        assert!(!shown.body.contains("marker-of-log1"), "{id}");
    }
    let long = "a".repeat(64 << 10);
    let path = access_log(node, "logs1", "log10").display().to_string();
    for id in [
        "",
        "access-2",
        "log10",
        "access.0/../log10.access.log",
        "../log10.access",
        "access.",
        "access.01",
        "access..1",
        "ACCESS",
        "acces",
        "access\0",
        "access.1.gz.1",
        "*",
        &path,
        &long,
    ] {
        for operation in ["log.read", "log.follow"] {
            guest.person().operate("log1", operation, &json!({ "log": id })).refused(404, "not_found");
        }
    }
}

fn a_log_of_the_whole_hosting_is_for_who_may_see_all_its_sites(node: &Node) {
    let hosting = node.hosting("whole").unwrap();
    paper(node, "whole-a", "whole");
    paper(node, "whole-b", "whole");
    append(&hosting.logs.join("php.log"), "of all sites\n");
    let mut body = Api::panel(node).get("/v1/hostings/whole").done();
    body["log_paths"] = json!([hosting.logs.join("{instance}.access.log"), hosting.logs.join("php.log")]);
    Api::panel(node).put("/v1/hostings/whole", &body).done();
    let email = person("both");
    let terms = json!({ "role": "custom", "privileges": ["general.view_logs"] });
    let _on_a = share(node, "whole-a", &email, &terms);
    let both = Api::acting_as(node, &email);
    assert!(!ids(&list(&both, "whole-a")).contains(&"php"));
    for operation in ["log.read", "log.follow"] {
        both.operate("whole-a", operation, &json!({ "log": "php" })).refused(404, "not_found");
    }
    assert_eq!(read(&Api::panel(node), "whole-a", "php"), "of all sites");
    let on_b = share(node, "whole-b", &email, &terms);
    assert_eq!(read(&both, "whole-a", "php"), "of all sites");
    // The stream rests on both.
    let stream = OperationStream::open(node, &email, "whole-a", "log.follow", &json!({ "log": "php" }));
    assert_eq!(on_b.revoke()["closed"]["stream"], 1);
    eventually("the stream has ended", || stream.is_closed());
    both.operate("whole-a", "log.read", &json!({ "log": "php" })).refused(404, "not_found");
}

fn nothing_that_a_hostings_user_plants_in_a_log_folder_is_read(node: &Node) {
    let hosting = node.hosting("planted").unwrap();
    paper(node, "planted", "planted");
    let own = hosting.logs.join("own");
    fs::create_dir(&own).unwrap();
    hosting.user.own(&own).unwrap();
    let log = own.join("planted.log");
    let mut body = Api::panel(node).get("/v1/hostings/planted").done();
    body["log_paths"] = json!([own.join("{instance}.log"), "/etc/passwd", "/var/log/dpkg.log"]);
    Api::panel(node).put("/v1/hostings/planted", &body).done();
    let guest = reader(node, "planted");
    fs::write(&log, "its own\n").unwrap();
    hosting.user.own(&log).unwrap();
    assert_eq!(ids(&list(&guest.person(), "planted")), ["other"]);
    assert_eq!(read(&guest.person(), "planted", "other"), "its own");
    let printed = latchkey(node, &["doctor", "logs"]);
    assert!(printed.code == 1 && printed.text.contains("/etc/passwd is not opened: "), "{}", printed.text);
    assert!(printed.text.contains("`log_roots`") && !printed.text.contains("planted.log"), "{}", printed.text);
    let other = access_log(node, "logs1", "log1");
    let as_user = |program: &str| Program::new(program).run_as(hosting.user.identity()).directory(&own);
    for plant in [
        as_user("ln").args(["-s", "/etc/passwd", "planted.log"]),
        as_user("ln").arg("-s").arg(&other).arg("planted.log"),
        as_user("ln").args(["-s", "/dev/zero", "planted.log"]),
        as_user("mkfifo").arg("planted.log"),
        as_user("mkdir").arg("planted.log"),
        as_user("ln").args(["-s", "/etc/passwd", "planted.log.1"]),
    ] {
        as_user("rm").args(["-rf", "planted.log"]).text().unwrap();
        plant.text().unwrap();
        assert_eq!(ids(&list(&guest.person(), "planted")), Vec::<&str>::new(), "{plant:?}");
        for id in ["other", "other.1", "other-2", "other-3"] {
            guest.person().operate("planted", "log.read", &json!({ "log": id })).refused(404, "not_found");
        }
        guest.person().operate("planted", "log.follow", &json!({ "log": "other" })).refused(404, "not_found");
    }
}

fn a_log_is_paged_backwards_while_it_grows_and_rotation_is_told(node: &Node) {
    paper(node, "log-pages", "logs1");
    let (log, guest) = (access_log(node, "logs1", "log-pages"), reader(node, "log-pages"));
    let page = |log: &str, before: Option<&Value>| {
        let mut input = json!({ "log": log, "limit": 100 });
        if let Some(before) = before {
            input["before"] = before.clone();
        }
        guest.person().operate("log-pages", "log.read", &input)
    };
    let lines: Vec<String> = (0..250).map(|number| format!("line {number}")).collect();
    fs::write(&log, lines.join("\n") + "\n").unwrap();
    let newest = page("access", None).done();
    assert_eq!(texts(&newest), lines[150..]);
    append(&log, "one more\n");
    let middle = page("access", Some(&newest["next"])).done();
    assert_eq!(texts(&middle), lines[50..150]);
    let oldest = page("access", Some(&middle["next"])).done();
    assert_eq!((texts(&oldest), oldest.get("next")), (lines[..50].iter().map(String::as_str).collect(), None));
    // Emptied in place, and written to a length beyond the place.
    fs::write(&log, lines.join("\n").replace("line", "other") + "\n").unwrap();
    let problem = page("access", Some(&newest["next"])).refused(409, "conflict");
    assert_eq!(problem["field"], "before", "{problem}");
    // Renamed, as logrotate does.
    let newest = page("access", None).done();
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    append(&log, "new\n");
    fs::write(log.with_extension("log.2.gz"), "not looked into").unwrap();
    page("access", Some(&newest["next"])).refused(409, "conflict");
    assert_eq!(texts(&page("access.1", Some(&newest["next"])).done()).len(), 100);
    assert_eq!(texts(&page("access", None).done()), ["new"]);
    let items = list(&guest.person(), "log-pages");
    assert_eq!(ids(&items), ["access", "access.1", "access.2.gz"]);
    assert_eq!(items[2]["is_compressed"], true, "{items:?}");
    assert_eq!(page("access.2.gz", None).refused(400, "invalid")["field"], "log");
}

fn a_log_is_followed_over_renaming_and_emptying_until_the_share_ends(node: &Node) {
    let site = node.instance("followed").unwrap();
    let (log, guest) = (access_log(node, "logs1", "followed"), reader(node, "followed"));
    let visit = |marker: &str| {
        let _ = Request::new("GET", format!("{}/?marker={marker}&token=s3cret", site.url)).send();
    };
    visit("before");
    eventually("nginx has written it", || fs::read_to_string(&log).unwrap().contains("marker=before"));
    let input = json!({ "log": "access" });
    let stream = OperationStream::open(node, &guest.email, "followed", "log.follow", &input);
    visit("first");
    eventually("the request is told", || stream.tells("marker=first&token=***"));
    // Renamed; nginx writes into the old one until it is told.
    let rotated = log.with_extension("log.1");
    fs::rename(&log, &rotated).unwrap();
    visit("late");
    eventually("what is written after the renaming is told", || stream.tells("marker=late"));
    node.web().signal(Signal::USR1).unwrap();
    eventually("nginx has begun another", || log.exists());
    visit("renamed");
    eventually("the new log is told of", || stream.tells("marker=renamed"));
    // Emptied in place.
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    visit("emptied");
    eventually("the emptied log is told of", || stream.tells("marker=emptied"));
    let lines = stream.lines();
    assert_eq!(lines.iter().filter(|line| *line == "event: rotated").count(), 2, "{lines:#?}");
    for marker in ["first", "late", "renamed", "emptied"] {
        assert_eq!(lines.iter().filter(|line| line.contains(&format!("marker={marker}&"))).count(), 1, "{lines:#?}");
    }
    assert!(!stream.tells("s3cret") && !stream.tells("marker=before"), "{lines:#?}");
    // From the last event on.
    let last = lines.iter().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    visit("again");
    let input = json!({ "log": "access", "after": last });
    let later = OperationStream::open(node, &guest.email, "followed", "log.follow", &input);
    eventually("what came meanwhile is told", || later.tells("marker=again"));
    assert!(!later.tells("marker=emptied"));
    drop(later);
    eventually("whoever hung up has no stream", || streams_of(node, &guest.email) == 1);
    let ended = guest.revoke();
    assert_eq!((&ended["closed"]["stream"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    eventually("the stream has ended", || stream.is_closed());
    assert_eq!(streams_of(node, &guest.email), 0);
    visit("after-the-end");
    assert!(!stream.tells("after-the-end"));
}

fn a_share_follows_so_many_logs_at_once_and_leaves_places_for_others(node: &Node) {
    let site = node.instance("log1").unwrap();
    drop(Request::new("GET", &site.url).send());
    eventually("nginx has written it", || access_log(node, "logs1", "log1").exists());
    let (guest, other) = (reader(node, "log1"), reader(node, "log1"));
    let input = json!({ "log": "access" });
    let follow = |share: &Share<'_>| OperationStream::open(node, &share.email, "log1", "log.follow", &input);
    let mut streams: Vec<_> = (0..16).map(|_| follow(&guest)).collect();
    let refused = guest.person().operate("log1", "log.follow", &input).refused(429, "busy");
    assert!(refused["retry_after_s"].is_u64(), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("at most 16"), "{refused}");
    assert_eq!(streams_of(node, &guest.email), 16);
    drop(follow(&other));
    read(&guest.person(), "log1", "access");
    drop(streams.pop());
    eventually("whoever hung up has no stream", || streams_of(node, &guest.email) == 15);
    streams.push(follow(&guest));
    guest.person().operate("log1", "log.follow", &input).refused(429, "busy");
    let ended = guest.revoke();
    assert_eq!((&ended["closed"]["stream"], &ended["unconfirmed"]), (&json!(16), &json!([])), "{ended}");
}

/// How many streams of a person the node has open.
#[track_caller]
fn streams_of(node: &Node, email: &str) -> usize {
    let sessions = Api::panel(node).get("/v1/sessions?limit=500").done();
    let is_theirs = |one: &&Value| one["kind"] == "stream" && one["person"] == email;
    sessions["items"].as_array().unwrap().iter().filter(is_theirs).count()
}

fn the_command_line_follows_a_log(node: &Node) {
    paper(node, "typed", "logs1");
    let log = access_log(node, "logs1", "typed");
    append(&log, "first\n");
    let shown = latchkey(node, &["op", "run", "typed", "log.read", "log=access"]);
    assert!(shown.done().contains("first"), "{}", shown.text);
    let agent = node.agent().unwrap();
    let program = agent.paths().programs.join("latchkey");
    let follow = Program::new("sh")
        .args(["-c", "exec \"$@\" | head -n 1", "sh"])
        .arg(program)
        .args(["op", "run", "typed", "log.follow", "log=access", "--config"])
        .arg(&agent.paths().serve_config);
    let reader = std::thread::spawn(move || follow.text().unwrap());
    let mut count = 0;
    eventually("a line was shown", || {
        count += 1;
        append(&log, &format!("typed {count} key=abc\n"));
        reader.is_finished()
    });
    let shown = reader.join().unwrap();
    assert!(shown.starts_with("typed ") && shown.ends_with(" key=***\n"), "{shown}");
}

fn activity_says_what_was_done_and_to_guests_no_more_than_that(node: &Node) {
    paper(node, "active", "logs1");
    let owner = Api::acting_as(node, &owner_of("active"));
    let guest = reader(node, "active");
    let other = share(node, "active", &person("other"), &json!({ "role": "view_only" }));
    other.person().operate("active", "log.list", &json!({})).refused_by("A1", 403, "forbidden");
    guest.person().operate("active", "site_name.show", &json!({})).refused_by("A1", 403, "forbidden");
    let seen = |api: &Api<'_>| -> Vec<Value> {
        api.operate("active", "activity.list", &json!({})).done()["items"].as_array().unwrap().clone()
    };
    let denied = |items: &[Value], email: &str| {
        items.iter().filter(|one| one["outcome"] == "denied" && one["actor"] == email).count()
    };
    // A denial is written a moment later.
    eventually("the owner sees who was refused", || denied(&seen(&owner), &other.email) == 1);
    eventually("a guest sees that they were refused", || denied(&seen(&guest.person()), &guest.email) == 1);
    let (all, of_guest) = (seen(&owner), seen(&guest.person()));
    assert!(
        all.iter().any(|one| one["operation"] == "share.accept" && one["actor"] == other.email.as_str()),
        "{all:#?}"
    );
    assert_eq!(denied(&of_guest, &other.email), 0);
    let text = json!(of_guest).to_string();
    assert!(!text.contains(&other.email) && !text.contains(&owner_of("active")), "{text}");
    assert!(of_guest.iter().any(|one| one["operation"] == "share.accept" && one.get("actor").is_none()), "{text}");
    let mut times: Vec<jiff::Timestamp> = all.iter().map(|one| one["at"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    times.dedup();
    // In pages, each row once.
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let mut input = json!({ "limit": 2 });
        if let Some(cursor) = &cursor {
            input["cursor"] = json!(cursor);
        }
        let page = owner.operate("active", "activity.list", &input).done();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    assert_eq!(paged, all);
    // Another instance of the same name begins anew.
    Api::panel(node).delete("/v1/instances/active").done();
    paper(node, "active", "logs1");
    let fresh = seen(&Api::acting_as(node, &owner_of("active")));
    assert!(!json!(fresh).to_string().contains("share."), "{fresh:#?}");
}
