//! The command line against a fake agent: what it asks, what it shows, how it exits.

mod fake;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;

use clap::Parser as _;
use serde_json::json;

use self::fake::{Asked, Line, Paper, agent, check, refused_usage, run, run_texts};
use super::*;

#[test]
fn every_command_calls_its_path() {
    let nothing = || Value::Null;
    check("hosting list", "GET /v1/hostings", nothing());
    check("hosting show h1", "GET /v1/hostings/h1", nothing());
    check("hosting delete h1", "DELETE /v1/hostings/h1", nothing());
    check("instance list", "GET /v1/instances", nothing());
    check("instance show live", "GET /v1/instances/live", nothing());
    check("instance delete live", "DELETE /v1/instances/live", nothing());
    check("share list live", "GET /v1/instances/live/shares", nothing());
    check("share show live s1", "GET /v1/instances/live/shares/s1", nothing());
    for verb in ["resend", "suspend", "reinstate", "accept"] {
        check(&format!("share {verb} live s1"), &format!("POST /v1/instances/live/shares/s1/{verb}"), json!({}));
    }
    check("share revoke live s1", "DELETE /v1/instances/live/shares/s1", nothing());
    check(
        "share revoke live s1 --everywhere --adopt s2 --adopt s3",
        "DELETE /v1/instances/live/shares/s1?everywhere=true&adopt=s2%2Cs3",
        nothing(),
    );
    check("op list", "GET /v1/operations", nothing());
    check("job show j1", "GET /v1/jobs/j1", nothing());
    check("job cancel j1", "DELETE /v1/jobs/j1", nothing());
    check("people list", "GET /v1/people", nothing());
    check("people list a&b", "GET /v1/people?query=a%26b", nothing());
    check("people rename p1 --name Eve", "PATCH /v1/people/p1", json!({ "name": "Eve" }));
    check("people end-shares p1", "DELETE /v1/people/p1/shares", nothing());
    check("sessions list", "GET /v1/sessions", nothing());
    check("sessions end c1", "DELETE /v1/sessions/c1", nothing());
    check("gateway-link a@b.example", "POST /v1/gateway/links", json!({ "person": "a@b.example" }));
    check(
        "explain live a@b.example site_name.set",
        "POST /v1/instances/live/explain",
        json!({ "person": "a@b.example", "operation": "site_name.set" }),
    );
    check("status", "GET /v1/health", nothing());
}

#[test]
fn an_argument_cannot_leave_its_place_in_the_path() {
    check("share show ../x?y s/1", "GET /v1/instances/..%2Fx%3Fy/shares/s%2F1", Value::Null);
    check("instance show ..", "GET /v1/instances/%2E%2E", Value::Null);
}

#[test]
fn an_invitation_carries_what_was_named_and_nothing_else() {
    check(
        "share invite live a@b.example --role developer",
        "POST /v1/instances/live/shares",
        json!({ "email": "a@b.example", "role": "developer" }),
    );
    check(
        "share invite live a@b.example --role custom --privilege wordpress.create_sso_link --privilege wordpress.update_site_name \
         --log-in-as 2:editor --apply-to-staging --file-access sftp --file-path wp-content --file-read-only \
         --expires-at 2030-01-31T12:00:00Z --note hello",
        "POST /v1/instances/live/shares",
        json!({
            "email": "a@b.example", "role": "custom", "privileges": ["wordpress.create_sso_link", "wordpress.update_site_name"],
            "log_in_as": { "id": 2, "login": "editor" }, "apply_to_staging": true,
            "file_access": { "kind": "sftp", "path": "wp-content", "read_only": true },
            "expires_at": "2030-01-31T12:00:00Z", "note": "hello",
        }),
    );
}

#[test]
fn an_update_takes_away_by_naming_nothing() {
    check(
        "share update live s1 --log-in-as none --expires-at never --note= --apply-to-staging=false --file-access none",
        "PATCH /v1/instances/live/shares/s1",
        json!({
            "log_in_as": null, "expires_at": null, "note": null, "apply_to_staging": false,
            "file_access": { "kind": "none" },
        }),
    );
    check(
        "share update live s1 --role view_only --log-in-as all",
        "PATCH /v1/instances/live/shares/s1",
        json!({ "role": "view_only", "log_in_as": "all" }),
    );
}

#[test]
fn registrations_are_sent_whole() {
    check(
        "hosting put h1 --system-user alice --home /home/alice --db-prefix alice_ --owner a@b.example \
         --php-binary /usr/bin/php8.2",
        "PUT /v1/hostings/h1",
        json!({
            "system_user": "alice", "home": "/home/alice", "db_prefix": "alice_", "owners": ["a@b.example"],
            "adapters": [], "state": "active", "php": { "binary": "/usr/bin/php8.2" },
            "web": { "kind": "nginx", "sso": "location" }, "log_paths": [],
        }),
    );
    check(
        "instance put stage --hosting h1 --docroot /home/alice/stage --url https://stage.example --database alice_s \
         --staging-of live",
        "PUT /v1/instances/stage",
        json!({
            "hosting": "h1", "docroot": "/home/alice/stage", "url": "https://stage.example",
            "label": "https://stage.example", "database": "alice_s", "owners": [], "staging_of": "live",
        }),
    );
    check(r#"hosting put h1 --input {"home":"/x"}"#, "PUT /v1/hostings/h1", json!({ "home": "/x" }));
}

#[test]
fn an_operation_takes_fields_or_json() {
    let line = "POST /v1/instances/live/operations/site_name.set";
    check("op run live site_name.set name=Shop", line, json!({ "name": "Shop" }));
    check(
        "op run live site_name.set name=a=b on=true n=5 t=\"5\"",
        line,
        json!({ "name": "a=b", "on": true, "n": 5, "t": "5" }),
    );
    check(r#"op run live site_name.set --input {"name":"Shop"}"#, line, json!({ "name": "Shop" }));
    check("op run live site_name.set", line, json!({}));
}

#[test]
fn wrong_usage_is_found_before_anything_is_asked() {
    refused_usage("share invite live a@b.example");
    refused_usage("share invite live a@b.example --role x --log-in-as editor");
    refused_usage("share invite live a@b.example --role x --expires-at tomorrow");
    refused_usage("share invite live a@b.example --role x --file-path y");
    refused_usage("op run live site_name.set --input [1]");
    refused_usage("op run live site_name.set name");
    refused_usage("hosting put h1 --system-user alice");
    refused_usage("hosting put h1 --input {} --home /x");
    refused_usage("instance put live");
    refused_usage("people rename p1");
    refused_usage("status --as nobody");
}

#[test]
fn a_call_names_its_actor_and_posts_carry_a_fresh_key() {
    let panel = run("share suspend live s1", 200, json!({}));
    let person = run("share suspend live s1 --as a@b.example", 200, json!({}));
    let (panel, person) = (panel.asked_once(), person.asked_once());
    assert_eq!(panel.header("latchkey-actor"), Some("panel"));
    assert_eq!(person.header("latchkey-actor"), Some("a@b.example"));
    let key = |asked: &Asked| asked.header("idempotency-key").unwrap().to_owned();
    assert_eq!(key(panel).len(), 32);
    assert_ne!(key(panel), key(person));
    assert_eq!(panel.header("content-type"), Some("application/json"));
    let read = run("share list live", 200, json!({}));
    assert_eq!(read.asked_once().header("idempotency-key"), None);
}

#[test]
fn people_see_a_table() {
    let items = json!({ "items": [{
        "id": "s1", "person": { "id": "p1", "email": "a@b.example", "name": "Ann" }, "state": "active",
        "role": "developer", "log_in_as": { "id": 2, "login": "editor" }, "file_access": { "kind": "sftp", "path": "", "read_only": true },
        "reach": { "effective_admin": true, "destroys": false, "because": [] },
    }] });
    let ran = run("share list live", 200, items);
    let lines: Vec<_> = ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "SHARE PERSON STATE ROLE LOG IN AS FILES EXPIRES REACH",
            "s1 Ann <a@b.example> active developer 2:editor sftp, read only - effective admin",
        ]
    );
    assert_eq!(run("share list live", 200, json!({ "items": [] })).out, "Nobody has access but the owners.\n");
}

#[test]
fn a_row_stays_a_row_whatever_its_text_holds() {
    let items = json!({ "items": [{ "id": "live", "label": "a\nb\u{1b}[2J" }] });
    let out = run("instance list", 200, items).out;
    assert!(out.contains("a\\nb\\u{1b}[2J"), "{out}");
    assert_eq!(out.lines().count(), 2);
}

#[test]
fn json_is_the_reply_as_it_came() {
    let reply = "{\"items\": [ ],  \"x\":1}";
    let ran = run_texts("instance list --json", vec![(200, reply.to_owned())]);
    assert_eq!(ran.out, format!("{reply}\n"));
}

#[test]
fn a_list_of_several_pages_is_shown_whole() {
    let page = |id: &str, next: Option<&str>| (200, json!({ "items": [{ "id": id }], "next": next }).to_string());
    let ran = run_texts("sessions list", vec![page("c1", Some("x y")), page("c2", None)]);
    assert_eq!(ran.asked[1].line, "GET /v1/sessions?cursor=x%20y HTTP/1.1");
    assert!(ran.out.contains("c1") && ran.out.contains("c2"), "{}", ran.out);
}

#[test]
fn a_job_is_waited_for_and_shown_with_the_exit_code_of_its_fault() {
    let told = |job: Value| vec![(200, "event: job\ndata: {}\n\n".to_owned()), (200, job.to_string())];
    let well =
        json!({ "id": "j1", "state": "succeeded", "output": { "code": 3, "stdout": "one\ntwo\n" }, "log": ["ran"] });
    let ran = run_texts("job wait j1", told(well.clone()));
    let lines: Vec<_> = ran.asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["GET /v1/jobs/j1/events HTTP/1.1", "GET /v1/jobs/j1 HTTP/1.1"]);
    assert_eq!(ran.exit, 0, "{}", ran.err);
    for words in ["j1", "succeeded", "stdout:\none\ntwo\n", "ran"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let started = vec![(202, json!({ "job": "j1" }).to_string())];
    let ran = run_texts("op run live cron.run id=e1 --wait", [started.clone(), told(well)].concat());
    assert!(ran.exit == 0 && ran.out.contains("succeeded"), "{}{}", ran.out, ran.err);
    let ran = run_texts("op run live cron.run id=e1", started);
    assert!(ran.out.contains("latchkey job show j1"), "{}", ran.out);
    let fault = json!({ "code": "quota", "detail": "the hosting has no room left" });
    let ran = run_texts("job wait j1", told(json!({ "id": "j1", "state": "failed", "error": fault, "log": [] })));
    assert!(ran.exit == 10 && ran.out.contains("no room left"), "{}{}", ran.out, ran.err);
}

#[test]
fn the_end_of_a_share_is_told_in_words() {
    let reply = json!({
        "share": { "id": "s1", "person": { "email": "a@b.example" }, "state": "revoked", "role": "developer" },
        "ended": {
            "closed": { "sftp": 2, "ftp": 0, "wordpress": 1 },
            "unconfirmed": [{ "channel": "database", "what": "MariaDB does not answer" }],
            "disabled": [{ "kind": "cron_entry", "id": "e1", "what": "it is out", "undo": "forget it" }],
            "residue": [{ "kind": "password_changed", "what": "of editor", "undo": "set a new one" }],
        },
        "others": [{ "id": "s7", "instance": "stage" }],
    });
    let out = run("share revoke live s1", 200, reply).out;
    for expected in [
        "revoked",
        "Closed: 2 SFTP sessions, 1 WordPress session.",
        "  - database: MariaDB does not answer",
        "Does not run any more:",
        "  - cron entry: it is out (to undo: forget it)",
        "  - password changed: of editor (to undo: set a new one)",
        "  - s7 on stage",
    ] {
        assert!(out.contains(expected), "{expected:?} in {out}");
    }
    let quiet =
        json!({ "share": { "state": "suspended" }, "ended": { "closed": {}, "unconfirmed": [], "residue": [] } });
    assert!(run("share suspend live s1", 200, quiet).out.ends_with("Nothing was open.\n"));
}

#[test]
fn a_share_says_why_it_reaches_so_far() {
    let reply = json!({ "id": "s1", "state": "active", "reach": { "effective_admin": true, "because": [
        { "flag": "effective_admin", "privilege": "wordpress.manage_plugins", "fact": "runs code" },
    ] } });
    let out = run("share show live s1", 200, reply).out;
    assert!(out.contains("  - effective admin (by wordpress.manage_plugins): runs code"), "{out}");
}

#[test]
fn every_code_has_its_exit_code() {
    let codes = [
        ("not_found", 3),
        ("forbidden", 4),
        ("invalid", 5),
        ("conflict", 6),
        ("busy", 7),
        ("timed_out", 8),
        ("too_large", 9),
        ("quota", 10),
        ("unsupported", 11),
        ("unavailable", 12),
        ("internal", 1),
    ];
    for (code, exit) in codes {
        let ran = run("status", 400, json!({ "code": code, "detail": "because" }));
        assert_eq!((ran.exit, ran.out.as_str()), (exit, ""), "{code}");
        assert!(EXIT_CODES.contains(code), "{code}");
    }
    let ran = run_texts("status", vec![(502, "<html>".to_owned())]);
    assert_eq!((ran.exit, ran.err.as_str()), (1, "latchkey: the agent answered 502 without saying why (internal)\n"));
}

#[test]
fn a_refusal_says_everything_the_agent_said() {
    let problem = json!({
        "status": 403, "code": "forbidden", "detail": "more than your own", "field": "privileges",
        "privilege": "wordpress.manage_plugins", "rule": "A10", "retry_after_s": 30, "request_id": "r1",
    });
    assert_eq!(
        run("share resend live s1", 403, problem).err,
        "latchkey: more than your own (forbidden)\n  field: privileges\n  privilege: wordpress.manage_plugins\n  rule: A10\n  \
         request id: r1\n  try again in 30 s\n"
    );
}

#[test]
fn an_agent_that_is_not_there_is_its_own_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let line = Line::try_parse_from(["latchkey", "status", "--socket", socket.to_str().unwrap()]).unwrap();
    let mut paper = Paper::default();
    assert_eq!(carry_out(&line.command, &mut paper), 13);
    assert!(paper.err.contains("cannot be reached at"), "{}", paper.err);
}

#[test]
fn the_socket_is_the_one_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, config) = (dir.path().join("own.sock"), dir.path().join("latchkey.toml"));
    std::fs::write(&config, format!("state_dir = \"/x\"\n[cli]\nsocket = {socket:?}\n")).unwrap();
    let agent = agent(&socket, vec![(200, json!({ "state": "ok" }).to_string())]);
    let line = Line::try_parse_from(["latchkey", "status", "--config", config.to_str().unwrap()]).unwrap();
    let mut paper = Paper::default();
    assert_eq!(carry_out(&line.command, &mut paper), 0, "{}", paper.err);
    agent.join().unwrap();
    std::fs::write(&config, "[cli]\nsocket = 5\n").unwrap();
    assert_eq!(carry_out(&line.command, &mut paper), 2);
    assert!(paper.err.contains("cli.socket: expected a text"), "{}", paper.err);
}

#[test]
fn a_person_can_be_named_by_address() {
    let people = json!({ "items": [
        { "id": "p1", "email": "xa@b.example" }, { "id": "p2", "email": "a@b.example" },
    ] });
    let ran = run_texts("people end-shares A@b.example", vec![(200, people.to_string()), (200, "{}".to_owned())]);
    assert_eq!(ran.asked[0].line, "GET /v1/people?query=A%40b.example HTTP/1.1");
    assert_eq!(ran.asked[1].line, "DELETE /v1/people/p2/shares HTTP/1.1");
    assert_eq!(run("people end-shares z@b.example", 200, people).exit, 3);
}

#[test]
fn the_newest_audit_rows_are_shown_oldest_first() {
    let rows = |range: std::ops::RangeInclusive<u64>| {
        let rows = range.map(
            |seq| json!({ "seq": seq, "at": "t", "actor": "panel", "operation": "share.list", "outcome": "allowed" }),
        );
        (200, json!({ "items": rows.collect::<Vec<_>>() }).to_string())
    };
    let nothing = || (200, json!({ "items": [] }).to_string());
    let ran = run_texts("audit tail", vec![rows(1..=15), rows(16..=30), nothing(), nothing()]);
    let shown: Vec<_> = ran.out.lines().collect();
    assert_eq!((shown.len(), shown[0]), (20, "11  t  panel  share.list  allowed"));
    assert_eq!(ran.asked[2].line, "GET /v1/audit?after=30&limit=500 HTTP/1.1");
    let ran = run_texts("audit tail --after 28 --json", vec![rows(29..=30), nothing()]);
    assert_eq!(ran.asked[0].line, "GET /v1/audit?after=28&limit=500 HTTP/1.1");
    assert_eq!(ran.out.lines().count(), 2);
    assert_eq!(run_texts("audit tail --after 30", vec![rows(30..=30)]).exit, 1);
}

#[test]
fn a_broken_audit_is_shouted_and_fails() {
    let whole = run("audit verify", 200, json!({ "rows": 7, "head": "abc", "ok": true }));
    assert_eq!(
        (whole.exit, whole.out.as_str()),
        (
            0,
            "The audit is whole: 7 rows, head abc.\nThis is what the agent says of itself; root on the node can check it without the agent.\n"
        )
    );
    assert_eq!(whole.asked_once().line, "GET /v1/audit/verify HTTP/1.1");
    let broken = run("audit verify", 200, json!({ "rows": 7, "ok": false, "fault": { "seq": 3, "what": "changed" } }));
    assert_eq!((broken.exit, broken.out.lines().next()), (1, Some("THE AUDIT IS BROKEN at row 3: changed.")));
}

#[test]
fn a_gateway_link_stands_alone_on_its_line() {
    let ran = run("gateway-link a@b.example", 201, json!({ "url": "https://g/x", "expires_at": "soon" }));
    assert_eq!(ran.out, "https://g/x\nWorks once, until soon.\n");
}

#[test]
fn an_export_is_the_lines_as_they_came_and_one_that_breaks_off_fails() {
    let lines = "{\"seq\":5,\"hash\":\"a\"}\n{\"seq\":6,\"hash\":\"b\"}\n";
    let ran = run_texts("audit export --after 4", vec![(200, lines.to_owned())]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, lines));
    assert_eq!(ran.asked_once().line, "GET /v1/audit?after=4 HTTP/1.1");
    assert_eq!(ran.asked_once().header("accept"), Some("application/jsonl"));
    assert_eq!(run("audit export", 403, json!({ "code": "forbidden", "detail": "no" })).exit, 4);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cli.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let breaking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"seq\":1}\n").unwrap();
    });
    let line = Line::try_parse_from(["latchkey", "audit", "export", "--socket", socket.to_str().unwrap()]).unwrap();
    let mut paper = Paper::default();
    assert_eq!((carry_out(&line.command, &mut paper), paper.out.as_str()), (13, "{\"seq\":1}\n"));
    breaking.join().unwrap();
}
