//! The command line: what it prints for people and for scripts, and its exit codes.

use latchkey_tests::api::Api;
use latchkey_tests::command_line::{Printed, latchkey, run};
use latchkey_tests::shares::{Share, person};
use latchkey_tests::sites::{self, PAPERS, paper};
use serde_json::json;
use xtask::node::Node;

crate::trials! { beside_others:
    a_share_is_invited_shown_changed_and_revoked,
    hostings_and_instances_are_listed_and_registered,
    operations_run_and_print_their_output,
    somebodys_rights_are_exactly_theirs_with_as,
    exit_codes_say_what_kind_of_refusal_it_was,
    wrong_usage_and_an_agent_out_of_reach_have_codes_of_their_own,
    the_audit_is_shown_and_verified,
    a_sign_in_link_and_the_live_sessions_are_printed,
}

fn a_share_is_invited_shown_changed_and_revoked(node: &Node) {
    paper(node, "cli", PAPERS);
    let anna = person("anna");
    let invited = latchkey(
        node,
        &["share", "invite", "cli", &anna, "--role", "view_and_sso", "--log-in-as", "2:editor", "--json"],
    )
    .json();
    let share = Share::known(node, "cli", invited["id"].as_str().unwrap(), &anna);
    assert_eq!(invited["log_in_as"], json!({ "id": 2, "login": "editor" }));
    let _ = latchkey(node, &["share", "accept", "cli", &share.id, "--as", &anna]).done();
    let table = latchkey(node, &["share", "list", "cli"]);
    for expected in ["PERSON", "REACH", &anna, "active", "view_and_sso", "editor"] {
        assert!(table.done().contains(expected), "{expected}: {}", table.text);
    }
    let _ = latchkey(node, &["share", "update", "cli", &share.id, "--role", "developer"]).done();
    let shown = latchkey(node, &["share", "show", "cli", &share.id]);
    assert!(shown.done().contains("developer") && shown.text.contains("Why it reaches that far"), "{}", shown.text);
    assert!(latchkey(node, &["share", "suspend", "cli", &share.id]).done().contains("suspended"));
    assert!(latchkey(node, &["share", "reinstate", "cli", &share.id]).done().contains("active"));
    let revoked = latchkey(node, &["share", "revoke", "cli", &share.id]);
    assert!(revoked.done().contains("revoked") && revoked.text.contains("Nothing was open."), "{}", revoked.text);
    assert_eq!(share.state(), "revoked");
    assert!(latchkey(node, &["share", "list", "cli"]).done().contains("Nobody has access but the owners."));
}

fn hostings_and_instances_are_listed_and_registered(node: &Node) {
    let hostings = latchkey(node, &["hosting", "list"]);
    let demo = node.hosting("demo").unwrap();
    for expected in ["SYSTEM USER", "demo", &demo.user.name, PAPERS] {
        assert!(hostings.done().contains(expected), "{expected}: {}", hostings.text);
    }
    let home = node.hosting(PAPERS).unwrap().user.home.join("by-cli").display().to_string();
    let put = [
        "instance",
        "put",
        "by-cli",
        "--hosting",
        PAPERS,
        "--docroot",
        &home,
        "--url",
        "https://cli.example.org",
        "--label",
        "By CLI",
        "--database",
        "papers_by_cli",
    ];
    let _ = latchkey(node, &put).done();
    assert!(latchkey(node, &["instance", "list"]).done().contains("by-cli"));
    let shown = latchkey(node, &["instance", "show", "by-cli", "--json"]).json();
    assert_eq!(shown["label"], "By CLI");
    let _ = latchkey(node, &["instance", "delete", "by-cli"]).done();
    latchkey(node, &["instance", "show", "by-cli"]).failed(3, "not_found");
}

fn operations_run_and_print_their_output(node: &Node) {
    let listed = latchkey(node, &["op", "list"]);
    assert!(listed.done().contains("sso.open") && listed.text.contains("wordpress.create_sso_link"), "{}", listed.text);
    let name = latchkey(node, &["op", "run", "second", "site_name.show", "--json"]).json();
    assert_eq!(name["name"], "Second site");
    assert!(latchkey(node, &["op", "run", "second", "sso.users"]).done().contains("Edith Editor"));
}

fn somebodys_rights_are_exactly_theirs_with_as(node: &Node) {
    paper(node, "cli-as", PAPERS);
    let owner = sites::owner_of("cli-as");
    let listed = latchkey(node, &["instance", "list", "--as", &owner]);
    assert!(listed.done().contains("cli-as") && !listed.text.contains("Live site"), "{}", listed.text);
    let explained = latchkey(node, &["explain", "cli-as", &owner, "site_name.set"]);
    assert!(explained.done().contains("allow") && explained.text.contains("A3"), "{}", explained.text);
    latchkey(node, &["instance", "show", "live", "--as", &owner]).failed(3, "there is no such instance");
    latchkey(node, &["hosting", "list", "--as", "nobody"]).failed(2, "expected an email address");
}

fn exit_codes_say_what_kind_of_refusal_it_was(node: &Node) {
    paper(node, "codes", PAPERS);
    let anna = person("anna");
    let invite = |role: &str| latchkey(node, &["share", "invite", "codes", &anna, "--role", role]);
    invite("god").failed(5, "field: role");
    let _ = invite("view_only").done();
    invite("view_only").failed(6, "(conflict)");
    let id = Api::panel(node).get("/v1/instances/codes/shares").done()["items"][0]["id"].as_str().unwrap().to_owned();
    latchkey(node, &["share", "resend", "codes", &id]).failed(7, "try again in");
    let _ = latchkey(node, &["share", "accept", "codes", &id, "--as", &anna]).done();
    latchkey(node, &["op", "run", "codes", "site_name.show", "--as", &anna]).failed(4, "rule: A1");
    latchkey(node, &["op", "run", "codes", "backup.create"]).failed(11, "unsupported");
    latchkey(node, &["op", "run", "codes", "site_name.show"]).failed(12, "unavailable");
    let json: Printed = latchkey(node, &["share", "show", "codes", "nonsense", "--json"]);
    json.failed(3, "not_found");
}

fn wrong_usage_and_an_agent_out_of_reach_have_codes_of_their_own(node: &Node) {
    run(node, &["share", "frobnicate"]).failed(2, "frobnicate");
    run(node, &["status", "--socket", "/nonexistent/cli.sock"]).failed(13, "/nonexistent/cli.sock");
    assert!(latchkey(node, &["status"]).done().contains("version"));
    assert!(run(node, &["--help"]).done().contains("Exit codes"));
}

fn the_audit_is_shown_and_verified(node: &Node) {
    for n in 0..20 {
        paper(node, &format!("cli-audit-{n}"), PAPERS);
    }
    assert!(latchkey(node, &["audit", "verify"]).done().contains("The audit is whole"));
    let tail = latchkey(node, &["audit", "tail", "--json"]);
    let rows: Vec<serde_json::Value> = tail.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Twenty, and what came while it was read.
    assert!((20..200).contains(&rows.len()), "{}", tail.text);
    assert!(rows.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()), "{}", tail.text);
    assert!(!latchkey(node, &["audit", "tail"]).done().is_empty());
    latchkey(node, &["audit", "verify", "--as", &sites::owner_of("cli-audit-0")]).failed(4, "forbidden");
}

fn a_sign_in_link_and_the_live_sessions_are_printed(node: &Node) {
    paper(node, "cli-link", PAPERS);
    let link = latchkey(node, &["gateway-link", &sites::owner_of("cli-link")]);
    assert!(link.done().contains(&format!("{}/s/", node.agent().unwrap().urls().gateway)), "{}", link.text);
    let _ = latchkey(node, &["sessions", "list"]).done();
    assert!(latchkey(node, &["people", "list", "owner-of-cli-link"]).done().contains("owner-of-cli-link@"));
}
