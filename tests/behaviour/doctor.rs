//! `latchkey doctor`: well on a node that is well, and truthful when a part is down.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use latchkey_tests::adapters::Adapter;
use latchkey_tests::command_line::{Printed, latchkey};
use latchkey_tests::sites::put_hosting_with;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::build::NODES_ADAPTER;
use xtask::node::Node;

use crate::caches::cache_behind_a_shutter;
use crate::recovery::RunsAgain;

crate::trials! { alone:
    a_node_that_is_well_has_no_failure,
    it_looks_at_the_rest_when_serve_or_the_broker_is_down,
    sftp_and_ftp_are_looked_at_where_they_are_served,
    a_site_whose_pool_cannot_be_asked_to_forget_is_named,
    adapters_that_are_not_called_are_named,
    metrics_are_lines_that_prometheus_reads,
}

fn rows(printed: &Printed) -> Vec<Value> {
    let report: Value = serde_json::from_str(&printed.text).unwrap();
    report["items"].as_array().unwrap().clone()
}

#[track_caller]
fn is(printed: &Printed, check: &str, state: &str) {
    let rows = rows(printed);
    let row = rows.iter().find(|row| row["check"] == check).unwrap();
    assert_eq!(row["state"], state, "{row}");
    assert_eq!(row["to_do"].is_string(), state != "well", "{row}");
}

fn a_node_that_is_well_has_no_failure(node: &Node) {
    eventually("a report without failures", || {
        let printed = latchkey(node, &["doctor", "--json"]);
        printed.code < 2 && rows(&printed).iter().all(|row| row["state"] != "failure")
    });
    let printed = latchkey(node, &["doctor", "--json"]);
    for check in [
        "config",
        "state_dir",
        "size",
        "database",
        "serve",
        "broker",
        "versions",
        "certificates",
        "audit",
        "php",
        "redeemer",
        "sso_scripts",
        "object_caches",
        "sftp",
        "ftp",
    ] {
        is(&printed, check, "well");
    }
    // Truly for the hostings of this node, of which there are some.
    let starts = rows(&printed).into_iter().find(|row| row["check"] == "php_starts").unwrap();
    let what = starts["what"].as_str().unwrap();
    assert!(starts["state"] == "well" && what != "for 0 of 0 hostings", "{starts}");
    let in_words = latchkey(node, &["doctor", "database", "serve"]);
    assert_eq!(in_words.done().lines().last(), Some("All is well."), "{}", in_words.text);
    assert_eq!(in_words.text.lines().count(), 3, "{}", in_words.text);
}

fn it_looks_at_the_rest_when_serve_or_the_broker_is_down(node: &Node) {
    for (daemon, check, others) in [
        (node.serve().unwrap(), "serve", ["database", "audit", "broker", "certificates"]),
        (node.broker().unwrap(), "broker", ["database", "audit", "serve", "certificates"]),
    ] {
        let again = RunsAgain(daemon);
        daemon.kill().unwrap();
        let printed = latchkey(node, &["doctor", "--json"]);
        assert_eq!(printed.code, 2, "{}", printed.text);
        is(&printed, check, "failure");
        is(&printed, "versions", "warning");
        is(&printed, "sftp", if check == "serve" { "failure" } else { "well" });
        is(&printed, "php_starts", if check == "broker" { "warning" } else { "well" });
        others.iter().for_each(|other| is(&printed, other, "well"));
        drop(again);
        eventually("the part that was down", || latchkey(node, &["doctor", check]).code == 0);
    }
}

fn sftp_and_ftp_are_looked_at_where_they_are_served(node: &Node) {
    let doctor = || latchkey(node, &["doctor", "sftp", "ftp", "--json"]);
    let key = &node.agent().unwrap().paths().sftp_host_key;
    for (mode, sftp) in [(0o640, "failure"), (0o600, "well")] {
        fs::set_permissions(key, Permissions::from_mode(mode)).unwrap();
        let printed = doctor();
        is(&printed, "sftp", sftp);
        is(&printed, "ftp", "well");
    }
    let certificate = &node.agent().unwrap().paths().ftp_certificate;
    for (mode, ftp) in [(0o604, "failure"), (0o600, "well")] {
        fs::set_permissions(certificate, Permissions::from_mode(mode)).unwrap();
        is(&doctor(), "ftp", ftp);
    }
    for daemon in [node.ftpauth().unwrap(), node.ftp_server().unwrap()] {
        let again = RunsAgain(daemon);
        daemon.kill().unwrap();
        let printed = doctor();
        is(&printed, "ftp", "failure");
        is(&printed, "sftp", "well");
        drop(again);
        is(&doctor(), "ftp", "well");
    }
}

fn a_site_whose_pool_cannot_be_asked_to_forget_is_named(node: &Node) {
    let shut = cache_behind_a_shutter(&node.instance("in-apcu-shut").unwrap());
    let doctor = || latchkey(node, &["doctor", "object_caches", "--json"]);
    is(&doctor(), "object_caches", "well");
    fs::write(&shut, "").unwrap();
    // The pool reads a changed file anew after two seconds.
    eventually("the warning", || doctor().code == 1);
    let printed = doctor();
    is(&printed, "object_caches", "warning");
    assert!(printed.text.contains("in-apcu-shut caches in the memory of its PHP pool"), "{}", printed.text);
    fs::remove_file(&shut).unwrap();
    is(&doctor(), "object_caches", "well");
}

fn adapters_that_are_not_called_are_named(node: &Node) {
    let doctor = || latchkey(node, &["doctor", "adapters", "phpmyadmin", "--json"]);
    let adapter = Adapter::shipped_as(node, "linux", "linux-doctor");
    // Another trial may have restarted the agent.
    eventually("the adapters are loaded", || doctor().code == 0);
    is(&doctor(), "phpmyadmin", "well");
    for (file, state, says) in [
        ("[grants]\nstate = true\n", "warning", "linux-doctor asks for what is not granted: "),
        ("[grants]\nmysql = yes please\n", "failure", "linux-doctor is not called: "),
        ("[grants]\nmysql = true\ncrontab = true\nstate = true\n", "well", "linux-doctor"),
    ] {
        if state == "warning" {
            adapter.write_operators_file(file);
            let _ = adapter.install(&["--unsigned"]).done();
        }
        adapter.write_operators_file(file);
        let printed = doctor();
        is(&printed, "adapters", state);
        assert!(printed.text.contains(says), "{}", printed.text);
    }
    let hosting = node.hosting("bare").unwrap();
    for (adapters, state) in [(json!(["no-such"]), "failure"), (json!([NODES_ADAPTER]), "well")] {
        put_hosting_with(node, &hosting, &json!({ "adapters": adapters })).done();
        is(&doctor(), "adapters", state);
    }
}

fn metrics_are_lines_that_prometheus_reads(node: &Node) {
    let page = latchkey_tests::api::Api::panel(node).get("/metrics");
    let mut typed = std::collections::BTreeSet::new();
    for line in page.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "declared twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|name| typed.contains(*name));
            assert!(typed.contains(family.unwrap_or(name)), "no type: {line}");
            assert!(!series.contains('@'), "an address: {line}");
        }
    }
    for name in ["latchkey_build_info", "latchkey_calls_total", "latchkey_end_seconds", "latchkey_audit_recorded_row"] {
        assert!(typed.contains(name), "{name}: {}", page.body);
    }
}
