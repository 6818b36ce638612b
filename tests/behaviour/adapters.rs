//! Adapters come and go: who may install them, what is refused, and what is left after that.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use latchkey_tests::adapters::{Adapter, Components, Signer, marked};
use latchkey_tests::api::Api;
use latchkey_tests::audit::all_rows;
use latchkey_tests::command_line::latchkey;
use latchkey_tests::sites::owner_of;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::ONE;

crate::trials! { beside_others:
    what_nobody_has_signed_takes_a_flag_and_the_audit_says_so,
    what_a_listed_key_has_signed_is_taken_and_nothing_else,
    one_is_called_updated_and_removed_while_serve_runs,
    an_update_that_does_not_load_leaves_the_one_before_working,
    what_does_not_fit_is_refused_by_what_it_lacks,
    what_somebody_else_could_have_written_is_not_loaded,
    only_the_operator_on_the_node_loads_unloads_and_calls,
}

const LIST: [&str; 2] = ["databases", "list-databases"];

/// What the audit says about an adapter, in order: operation, outcome, detail without the name.
fn audited(node: &Node, adapter: &str) -> Vec<[String; 3]> {
    let rows = all_rows(node).into_iter().filter_map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let detail = text("detail");
        let rest = detail.strip_prefix(adapter)?;
        let is_about_it = rest.is_empty() || rest.starts_with(": ");
        let rest = rest.trim_start_matches(": ").to_owned();
        (text("operation").starts_with("adapter.") && is_about_it).then(|| [text("operation"), text("outcome"), rest])
    });
    rows.collect()
}

#[track_caller]
fn last_audited(node: &Node, adapter: &str, expected: [&str; 3]) {
    let rows = audited(node, adapter);
    assert_eq!(rows.last().unwrap().each_ref().map(String::as_str), expected, "{rows:?}");
}

#[track_caller]
fn is_nowhere(adapter: &Adapter<'_>) {
    assert_eq!((adapter.places(), adapter.listed()), (vec![], None));
    assert_eq!(adapter.runners(), []);
}

#[track_caller]
fn lists(adapter: &Adapter<'_>, name: &str) {
    let printed = adapter.call(ONE, LIST, &["--json"]).json();
    let listed: Vec<&str> =
        printed["returned"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(matches!(listed[..], [only] if only.ends_with(&format!("_{name}"))), "{listed:?}");
}

fn what_nobody_has_signed_takes_a_flag_and_the_audit_says_so(node: &Node) {
    let adapter = Adapter::packed(node, "unsigned");
    adapter.install(&[]).failed(5, "an adapter that nobody has signed takes --unsigned");
    is_nowhere(&adapter);
    assert_eq!(audited(node, "unsigned"), Vec::<[String; 3]>::new());
    let installed = adapter.install(&["--unsigned"]);
    assert!(installed.done().contains("unsigned 1.0.0 is loaded: it serves databases, logs."), "{}", installed.text);
    last_audited(node, "unsigned", ["adapter.load", "allowed", "nobody has signed it"]);
    lists(&adapter, "shop");
    last_audited(node, "unsigned", ["adapter.call", "allowed", "databases.list-databases for one"]);
}

fn what_a_listed_key_has_signed_is_taken_and_nothing_else(node: &Node) {
    let adapter = Adapter::packed(node, "signed");
    let ours = Signer::with_key("ed25519", "releases@adapters.example");
    let other = Signer::with_key("ed25519", "somebody@else.example");
    let of_another_kind = Signer::with_key("ecdsa", "ecdsa@adapters.example");
    let listed = ours.list(node);
    let _not_taken = of_another_kind.list(node);
    let keys = listed.parent().unwrap();
    let refused = |words: &str| {
        adapter.install(&[]).failed(5, words);
        // The flag is for what has no signature, not for one that is wrong.
        adapter.install(&["--unsigned"]).failed(5, words);
        is_nowhere(&adapter);
    };
    let not_ours = "was not made with an Ed25519 key in";
    adapter.sign(&other, "latchkey-adapter");
    refused(not_ours);
    adapter.sign(&of_another_kind, "latchkey-adapter");
    refused(not_ours);
    adapter.sign(&ours, "file");
    refused(not_ours);
    adapter.sign(&ours, "latchkey-adapter");
    let [manifest, component, sums] = ["adapter.toml", "adapter.wasm", "adapter.sums"].map(|name| adapter.file(name));
    for file in [&manifest, &component] {
        let before = fs::read(file).unwrap();
        fs::write(file, [&before[..], b"\n"].concat()).unwrap();
        refused("expected the lines that `sha256sum adapter.toml adapter.wasm` prints");
        fs::write(file, before).unwrap();
    }
    // Sums that are right, and a signature of others.
    let signature = fs::read(adapter.file("adapter.sums.sig")).unwrap();
    adapter.describe("1.0.1", "state = true");
    adapter.sign(&other, "latchkey-adapter");
    fs::write(adapter.file("adapter.sums.sig"), signature).unwrap();
    refused(not_ours);
    fs::remove_file(adapter.file("adapter.sums.sig")).unwrap();
    refused("adapter.sums.sig");
    fs::write(adapter.file("adapter.sums.sig"), "no signature").unwrap();
    refused("is no signature of ssh-keygen -Y sign");
    fs::write(&sums, "").unwrap();
    adapter.sign(&ours, "latchkey-adapter");
    let not_roots = "has to belong to root and to be writable by root alone";
    for place in [&listed, keys] {
        let mode = fs::metadata(place).unwrap().permissions();
        fs::set_permissions(place, Permissions::from_mode(mode.mode() | 0o020)).unwrap();
        refused(not_roots);
        fs::set_permissions(place, mode).unwrap();
        chown(place, Some(node.hosting(ONE).unwrap().user.uid), None).unwrap();
        refused(not_roots);
        chown(place, Some(0), None).unwrap();
    }
    assert_eq!(audited(node, "signed"), Vec::<[String; 3]>::new());
    let _ = adapter.install(&[]).done();
    last_audited(node, "signed", ["adapter.load", "allowed", "signed by releases@adapters.example"]);
    lists(&adapter, "shop");
    // Who is not listed any more is nobody.
    let _ = adapter.remove().done();
    fs::remove_file(listed).unwrap();
    refused(not_ours);
}

fn one_is_called_updated_and_removed_while_serve_runs(node: &Node) {
    let starts = node.serve().unwrap().starts();
    let adapter = Adapter::installed(node, "updated");
    let row = adapter.listed().unwrap();
    let expected = json!({
        "name": "updated", "version": "1.0.0", "title": "For trials", "state": "ready",
        "exports": ["databases", "logs"], "imports": ["clock", "log", "state"], "missing": [], "operators_file": adapter.operators_file(),
    });
    assert_eq!(row, expected);
    lists(&adapter, "shop");
    let _ = adapter.keeps(ONE, "kept", "over the update").done();
    let (runner, first) = (adapter.runner(), fs::read(adapter.file("adapter.wasm")).unwrap());

    adapter.describe("2.0.0", "state = true");
    adapter.put_component_that_lists("mart");
    let _ = adapter.install(&["--unsigned"]).done();
    assert_eq!(adapter.listed().unwrap()["version"], "2.0.0");
    lists(&adapter, "mart");
    assert!(!runner.is_there() && adapter.runner() != runner);
    assert_eq!(adapter.kept(ONE, ""), [("kept".to_owned(), "over the update".to_owned())]);
    assert_eq!(adapter.places(), [adapter.place()]);

    // What is of no use any more does not stay in the cache.
    let of_no_use = adapter.compiled();
    adapter.put_component(&first);
    let _ = adapter.install(&["--unsigned"]).done();
    lists(&adapter, "shop");
    assert!(adapter.compiled() != of_no_use && !of_no_use.exists() && !of_no_use.with_extension("sha256").exists());

    let runner = adapter.runner();
    assert!(adapter.remove().done().contains("Removed."));
    is_nowhere(&adapter);
    assert!(!runner.is_there());
    adapter.call(ONE, LIST, &[]).failed(3, "there is no such adapter");
    assert!(adapter.remove().done().contains("it was not loaded"));
    last_audited(node, "updated", ["adapter.unload", "allowed", ""]);
    // What it kept is gone with it.
    let _ = adapter.install(&["--unsigned"]).done();
    assert_eq!(adapter.kept(ONE, ""), []);
    assert_eq!(node.serve().unwrap().starts(), starts);
}

fn an_update_that_does_not_load_leaves_the_one_before_working(node: &Node) {
    let adapter = Adapter::installed(node, "bad-update");
    let before = fs::read(adapter.file("adapter.wasm")).unwrap();
    let row = adapter.listed();
    for (component, words) in
        [(&b"no component"[..], "cannot be compiled"), (&Components::get().too_new, "state.rename")]
    {
        adapter.describe("2.0.0", "state = true");
        adapter.put_component(component);
        adapter.install(&["--unsigned"]).failed(5, words);
        assert_eq!(adapter.listed(), row);
        lists(&adapter, "shop");
        assert_eq!(adapter.places(), [adapter.place()]);
        assert_eq!(fs::read(adapter.place().join("adapter.wasm")).unwrap(), before);
    }
    // Nor does an operator's file that is none.
    adapter.put_component(&before);
    adapter.write_operators_file("[limits]\ncpu_ms = 1\n");
    adapter.install(&["--unsigned"]).failed(5, "limits.cpu_ms: expected 10 to 60000");
    // While it is none nothing is granted, so nothing is called.
    adapter.does(ONE, "nothing").failed(5, "limits.cpu_ms: expected 10 to 60000");
    adapter.write_operators_file("[limits]\ncpu_ms = 100\n");
    lists(&adapter, "shop");
    assert_eq!(adapter.listed().unwrap()["version"], "1.0.0");
    let _ = adapter.install(&["--unsigned"]).done();
    assert_eq!(adapter.listed().unwrap()["version"], "2.0.0");
    adapter.does(ONE, "loop").failed(12, "the adapter ran for longer than 100 ms of processor time (cpu_ms)");
}

fn what_does_not_fit_is_refused_by_what_it_lacks(node: &Node) {
    let adapter = Adapter::packed(node, "misfit");
    let refused = |words: &str| {
        adapter.install(&["--unsigned"]).failed(5, words);
        assert_eq!((adapter.places(), adapter.listed()), (vec![], None));
    };
    let whole = fs::read(adapter.file("adapter.wasm")).unwrap();
    adapter.put_component(&whole[..whole.len() / 2]);
    refused("the component cannot be compiled: ");
    adapter.put_component(&marked(b"\0asm\x01\0\0\0", "a module"));
    refused("the component cannot be compiled: ");
    adapter.put_component(&Components::get().too_new);
    refused("it needs the function state.rename of latchkey:adapter 0.1.1; this agent has latchkey:adapter 0.1.0");
    File::options().write(true).open(adapter.file("adapter.wasm")).unwrap().set_len((32 << 20) + 1).unwrap();
    refused("is longer than 33554432 bytes");
    adapter.put_component(&whole);
    for asks in ["state = 7", "everything = true"] {
        adapter.describe("1.0.0", asks);
        refused("adapter.toml is not valid");
    }
    adapter.describe("1.0.0", "state = true");
    let _ = adapter.install(&["--unsigned"]).done();
    lists(&adapter, "shop");
}

fn what_somebody_else_could_have_written_is_not_loaded(node: &Node) {
    let adapter = Adapter::installed(node, "roots");
    let somebody = node.hosting(ONE).unwrap().user.uid;
    // As at a start of serve: what lies there, without the command line having looked at it.
    let load = || {
        let socket = node.agent().unwrap().paths().cli_socket.display().to_string();
        let request = latchkey_tests::exchange::Request::new("PUT", "http://node/v1/adapters/roots");
        request.option("--unix-socket").option(&socket).json(&json!({ "signed_by": null })).send()
    };
    load().done();
    for file in [adapter.place().join("adapter.wasm"), adapter.place().join("adapter.toml"), adapter.operators_file()] {
        let mode = fs::metadata(&file).unwrap().permissions();
        fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
        let said = load().refused(400, "invalid").to_string();
        assert!(said.contains("root"), "{said}");
        fs::set_permissions(&file, mode).unwrap();
        chown(&file, Some(somebody), None).unwrap();
        load().refused(400, "invalid");
        chown(&file, Some(0), None).unwrap();
        load().done();
    }
    let component = adapter.place().join("adapter.wasm");
    File::options().write(true).open(&component).unwrap().set_len((32 << 20) + 1).unwrap();
    load().refused(400, "invalid");
    let elsewhere = adapter.file("adapter.wasm");
    fs::remove_file(&component).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &component).unwrap();
    assert!(load().status >= 400);
    fs::remove_file(&component).unwrap();
    load().refused(404, "not_found");
    fs::copy(&elsewhere, &component).unwrap();
    load().done();
    lists(&adapter, "shop");
}

fn only_the_operator_on_the_node_loads_unloads_and_calls(node: &Node) {
    let adapter = Adapter::installed(node, "operators");
    let call: Value =
        json!({ "hosting": ONE, "interface": "databases", "function": "list-databases", "arguments": {} });
    let owner = Api::acting_as(node, &owner_of(ONE));
    let before = audited(node, "operators");
    for api in [Api::panel(node), owner.clone()] {
        api.put("/v1/adapters/operators", &json!({ "signed_by": "somebody" })).refused(403, "forbidden");
        api.delete("/v1/adapters/operators").refused(403, "forbidden");
        api.post("/v1/adapters/operators/calls", &call).refused(403, "forbidden");
    }
    assert_eq!(audited(node, "operators"), before);
    owner.get("/v1/adapters").refused(403, "forbidden");
    latchkey(node, &["adapter", "list", "--as", &owner_of(ONE)]).failed(4, "forbidden");
    let listed = Api::panel(node).get("/v1/adapters").done();
    assert!(listed["items"].as_array().unwrap().iter().any(|row| row["name"] == "operators"), "{listed}");
    assert!(latchkey(node, &["adapter", "list"]).done().contains("operators"));
    lists(&adapter, "shop");
    adapter.call("no-such", LIST, &[]).failed(3, "there is no such hosting");
    adapter.call(ONE, ["databases", "drop-everything"], &[]).failed(11, "has no function databases.drop-everything");
    adapter.call(ONE, ["mail", "list"], &[]).failed(11, "has no function mail.list");
    adapter.call(ONE, LIST, &["more=1"]).failed(5, "more: expected no parameter of this name");
    eventually("the rest of the agent", || Api::panel(node).get("/v1/health").status == 200);
}
