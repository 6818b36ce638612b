//! The audit: complete, chained, out of serve's own reach, and streamed.

use latchkey_tests::api::Api;
use latchkey_tests::audit::{all_rows, audited, rows_about};
use latchkey_tests::command_line::latchkey;
use latchkey_tests::shares::{person, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use latchkey_tests::waiting::eventually;
use serde_json::json;
use xtask::node::{Node, PANEL_URI};
use xtask::process::Program;

crate::trials! {
    beside_others:
        every_change_and_every_refusal_is_a_row,
        the_rows_are_numbered_without_a_gap_and_the_chain_holds,
        only_the_panel_reads_it,
        rows_are_streamed_as_they_come,
        no_row_holds_a_secret,
        an_export_is_checked_by_a_program_that_knows_nothing_of_ours,
        a_failing_request_is_followed_by_its_id_through_both_logs;
    alone:
        the_head_of_the_chain_is_with_the_broker,
        an_older_state_put_in_place_of_the_newest_is_found_by_root_and_by_serve,
}

fn every_change_and_every_refusal_is_a_row(node: &Node) {
    paper(node, "noted", PAPERS);
    let owner = sites::owner_of("noted");
    let share = share(node, "noted", &person("guest"), &json!({ "role": "view_only" }));
    share.update(&json!({ "note": "x" }));
    share.suspend();
    share.reinstate();
    share.person().operate("noted", "site_name.set", &json!({})).refused_by("A1", 403, "forbidden");
    let stranger = person("stranger");
    Api::acting_as(node, &stranger).get("/v1/instances/noted/shares").refused_by("A2", 404, "not_found");
    Api::acting_as(node, &owner).delete(&share.path()).done();
    for (operation, actor) in [
        ("instance.put", "panel"),
        ("share.invite", "panel"),
        ("share.accept", &share.email),
        ("share.update", "panel"),
        ("share.suspend", "panel"),
        ("share.reinstate", "panel"),
        ("share.revoke", &owner),
    ] {
        let row = audited(node, "noted", operation, "allowed", |row| row["actor"] == actor);
        assert_eq!((&row["via"], &row["address"]), (&json!(PANEL_URI), &json!("127.0.0.1")), "{row}");
        assert!(row["request_id"].is_string(), "{row}");
    }
    for (actor, rule) in [(&share.email, "A1"), (&stranger, "A2")] {
        let rows =
            || rows_about(node, "noted").into_iter().filter(|row| row["outcome"] == "denied").collect::<Vec<_>>();
        eventually("a row about a refusal", || {
            rows().iter().any(|row| row["actor"] == actor.as_str() && row["rule"] == rule)
        });
    }
}

fn the_rows_are_numbered_without_a_gap_and_the_chain_holds(node: &Node) {
    let rows = all_rows(node);
    for (expected, row) in (1..).zip(&rows) {
        assert_eq!(row["seq"], expected, "{row}");
    }
    let verified = Api::panel(node).get("/v1/audit/verify").done();
    assert_eq!(verified["ok"], true, "{verified}");
    assert!(verified["rows"].as_u64().unwrap() >= rows.len() as u64, "{verified}");
}

fn only_the_panel_reads_it(node: &Node) {
    for path in ["/v1/audit", "/v1/audit/verify", "/v1/audit?instance=live"] {
        Api::owner(node).get(path).refused(403, "forbidden");
        assert_eq!(Api::panel(node).get(path).status, 200);
    }
}

fn rows_are_streamed_as_they_come(node: &Node) {
    paper(node, "streamed", PAPERS);
    let agent = node.agent().unwrap();
    let client = agent.panel_certificate();
    let curl = "curl --silent --no-buffer --max-time 4 --cacert \"$1\" --cert \"$2\" --key \"$3\" --header 'Latchkey-Actor: panel' \
                --header 'Accept: text/event-stream' \"$4/v1/audit?instance=streamed\"; true";
    let shell = Program::new("sh").args(["-c", curl, "sh"]).arg(agent.ca()).arg(&client.certificate).arg(&client.key);
    let text = std::thread::scope(|scope| {
        let listener = scope.spawn(|| shell.arg(&agent.urls().panel).text().unwrap());
        let share = share(node, "streamed", &person("guest"), &json!({ "role": "view_only" }));
        share.revoke();
        listener.join().unwrap()
    });
    let data: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let operations: Vec<&str> = data.iter().map(|row| row["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["instance.put", "share.invite", "share.accept", "share.revoke"], "{text}");
}

fn no_row_holds_a_secret(node: &Node) {
    let share = share(node, "live", &person("guest"), &latchkey_tests::shares::pinned_editor());
    let hand_over = latchkey_tests::wp_admin::link(node, &share.email, "live", None);
    let live = node.instance("live").unwrap();
    assert_eq!(latchkey_tests::wp_admin::redeem(node, &live, &hand_over.token).status, 302);
    audited(node, "live", "sso.redeem", "allowed", |row| row["share"] == share.id.as_str());
    let log = std::fs::read_to_string(node.serve().unwrap().log()).unwrap();
    for text in [serde_json::to_string(&rows_about(node, "live")).unwrap(), log] {
        assert!(!text.contains(&hand_over.token));
        assert!(!text.contains(&live.user("editor").unwrap().password));
    }
}

fn the_head_of_the_chain_is_with_the_broker(node: &Node) {
    use std::os::unix::fs::MetadataExt;
    paper(node, "headed", PAPERS);
    let verified = Api::panel(node).get("/v1/audit/verify").done();
    let hash = verified["head"]["hash"].as_str().unwrap().to_owned();
    let file = node.agent().unwrap().paths().broker_state.join("audit-heads");
    eventually("the broker's copy of the head", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&hash))
    });
    let found = std::fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o077), (0, 0));
}

/// The rule of the README, with coreutils: take `hash` out of the line, put the hash of the line before in front of it.
fn an_export_is_checked_by_a_program_that_knows_nothing_of_ours(node: &Node) {
    paper(node, "exported", PAPERS);
    let exported = latchkey(node, &["audit", "export"]);
    let lines = exported.done();
    let over_api = Api::panel(node).request("GET", "/v1/audit").header("Accept", "application/x-ndjson").send();
    assert_eq!((over_api.status, over_api.header("content-type")), (200, Some("application/jsonl")));
    assert!(over_api.body.starts_with(lines.lines().next().unwrap()));
    let check = r#"previous=""
        while IFS= read -r line; do
            row="${line%,\"hash\":*}}"
            said="${line##*,\"hash\":\"}"; said="${said%\"\}}"
            previous="$( { printf "$previous"; printf '%s' "$row"; } | sha256sum | cut -d' ' -f1)"
            [ "$previous" = "$said" ] || { echo "broken: $line"; exit 0; }
            previous="$(printf '%s' "$previous" | sed 's/../\\x&/g')"
        done; echo whole"#;
    let judge = |text: &str| Program::new("bash").args(["-c", check]).input(text).text().unwrap();
    let first: String = lines.lines().take(30).map(|line| format!("{line}\n")).collect();
    assert_eq!(judge(&first).trim(), "whole");
    let tampered = first.replacen("\"actor\":\"panel\"", "\"actor\":\"nobody\"", 1);
    assert!(judge(&tampered).starts_with("broken: "), "{tampered}");
}

fn a_failing_request_is_followed_by_its_id_through_both_logs(node: &Node) {
    // Its docroot does not exist: the broker's worker cannot go there.
    paper(node, "traced", PAPERS);
    let response = Api::panel(node).operate("traced", "site_name.show", &json!({}));
    assert_eq!(response.status, 503, "{}", response.body);
    let id = response.json()["request_id"].as_str().unwrap().to_owned();
    for daemon in [node.serve().unwrap(), node.broker().unwrap()] {
        eventually(&format!("the id {id} in the log of {}", daemon.name()), || {
            std::fs::read_to_string(daemon.log()).is_ok_and(|log| log.lines().any(|line| line.contains(&id)))
        });
    }
}

/// A copy of the state is a sound chain by itself: only what the broker recorded since shows that rows are gone.
fn an_older_state_put_in_place_of_the_newest_is_found_by_root_and_by_serve(node: &Node) {
    let state = node.agent().unwrap().paths().state.clone();
    let serve = node.serve().unwrap();
    let copy = |from: &str, to: &str| {
        let script =
            "cd \"$1\" && mkdir -p \"$2\" \"$3\" && rm -f \"$3\"/latchkey.db* && cp -a \"$2\"/latchkey.db* \"$3\"/";
        Program::new("sh").args(["-c", script, "sh"]).arg(&state).args([from, to]).text().unwrap();
    };
    serve.kill().unwrap();
    copy(".", "older");
    serve.start().unwrap();
    paper(node, "tail", PAPERS);
    eventually("every head with the broker", || {
        latchkey(node, &["audit", "verify", "--json"]).json()["unrecorded_rows"] == 0
    });
    serve.kill().unwrap();
    copy(".", "newest");
    copy("older", ".");
    let found = latchkey(node, &["audit", "verify"]);
    found.failed(1, "THE AUDIT IS BROKEN at row");
    found.failed(1, "missing");
    latchkey(node, &["doctor", "audit"]).failed(2, "FAILURE");
    serve.start().unwrap();
    let says = Api::panel(node).get("/v1/audit/verify").done();
    assert_eq!(says["ok"], false, "{says}");
    serve.kill().unwrap();
    copy("newest", ".");
    Program::new("rm").args(["-r"]).arg(state.join("older")).arg(state.join("newest")).text().unwrap();
    let _ = latchkey(node, &["audit", "verify"]).done();
    serve.start().unwrap();
    assert_eq!(Api::panel(node).get("/v1/audit/verify").done()["ok"], true);
    assert_eq!(Api::panel(node).get("/v1/instances/cut-off").status, 200);
}
