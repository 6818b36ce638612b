//! The panel's port from outside: the OpenAPI document against what the agent answers (schemathesis), nobody shown another
//! customer's data on the way, and the TLS of both ports (sslyze).
//!
//! Two customers: the owner of `demo` and its real sites, and one of `other`, whose data carry a marker. The panel comes
//! last, as it may delete what the others look at.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use latchkey_tests::api::Api;
use latchkey_tests::exchange::Request;
use latchkey_tests::shares::{person, share};
use latchkey_tests::sites::{add_hostings, owner_of, put_paper};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use xtask::build::workspace;
use xtask::node::{AgentOptions, Certificate, Node, OWNER, Options};
use xtask::process::Program;
use xtask::{python, random};

/// A certificate that may act for persons only.
const PEOPLE_URI: &str = "urn:latchkey:panel:people";
/// The other customer's hosting.
const OTHER: &str = "other";
/// Seconds that each of the four actors explores.
const SECONDS: u64 = 12;
/// What stands in data of the customer who owns `demo`.
const OURS: &str = "marker-of-ours";
/// What stands in labels, addresses, names and notes of the other one.
const THEIRS: &str = "marker-of-theirs";

/// The node with both customers.
struct World {
    node: Node,
    guest: String,
    /// Ids of `live` and of the guest's share of it, and of theirs.
    ids: Value,
    spared: Vec<String>,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = vec![
        trial("without_a_certificate_no_call_is_answered", without_a_certificate_no_call_is_answered),
        trial("the_panel_port_takes_tls_1_3_and_aead_suites_of_1_2_only", the_panel_port_takes_good_tls_only),
        trial("the_gateway_port_takes_tls_1_3_and_aead_suites_of_1_2_only", the_gateway_port_takes_good_tls_only),
        trial("a_person_without_shares_gets_what_is_documented_and_nothing_of_others", a_person_without_shares),
        trial("a_guest_gets_what_is_documented_and_nothing_of_others", a_guest),
        trial("an_owner_gets_what_is_documented_and_nothing_of_others", an_owner),
        trial("the_panel_gets_what_is_documented", the_panel),
        Trial::test("what_was_started_leaves_nothing_behind", leaves_nothing_behind),
    ];
    if !arguments.list {
        *WORLD.lock().unwrap() = Some(World::start());
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // If it was filtered out.
    drop(WORLD.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

fn trial(name: &str, run: fn(&World)) -> Trial {
    Trial::test(name, move || {
        run(WORLD.lock().unwrap_or_else(PoisonError::into_inner).as_ref().unwrap());
        Ok(())
    })
}

fn leaves_nothing_behind() -> Result<(), Failed> {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
    let leftovers = world.node.take_down()?;
    if leftovers.is_empty() { Ok(()) } else { Err(format!("{leftovers:#?}").into()) }
}

impl World {
    fn start() -> Self {
        let serve_config_more = format!(
            "\n[[panel.peers]]\nuri = \"{PEOPLE_URI}\"\nscopes = [\"people\"]\n\
             \n[limits]\napi_per_person = 1000000\n"
        );
        let agent = AgentOptions { serve_config_more, resend_after_s: 1, ..AgentOptions::default() };
        let node = Node::start(Options { agent: Some(agent), ..Options::tests() }).unwrap();
        add_hostings(&node, &[OTHER]);
        let label = json!({ "label": THEIRS, "url": format!("https://{THEIRS}.example.org") });
        put_paper(&node, "theirs", OTHER, &label).done();
        let note = |marker: &str| json!({ "role": "full_access", "note": marker });
        let (ours, theirs) = (person(OURS), person(THEIRS));
        let of_ours = share(&node, "live", &ours, &note(OURS)).id;
        let of_theirs = share(&node, "theirs", &theirs, &note(THEIRS)).id;
        for whose in [theirs.clone(), owner_of(OTHER)] {
            Api::panel(&node).patch(&format!("/v1/people/{whose}"), &json!({ "name": THEIRS })).done();
        }
        let ids = json!({
            "hosting": ["demo", OTHER],
            "instance": ["live", "theirs"],
            "share": [of_theirs, of_ours],
            "person": [theirs, ours],
            "instances": [["live"], ["live", "theirs"]],
            "email": [person("invited"), person("invited")],
            "role": ["view_only", "full_access"],
            "operation": ["sso.open", "share.list"],
        });
        Self { node, guest: ours, ids, spared: vec![of_ours] }
    }

    /// Explores as an actor with a certificate; what came of it.
    #[track_caller]
    fn explore(&self, actor: &str, certificate: &Certificate) -> Value {
        let agent = self.node.agent().unwrap();
        let options = json!({
            "origin": agent.urls().panel,
            "ca": agent.ca(),
            "cert": certificate.certificate,
            "key": certificate.key,
            "actor": actor,
            "document": self.document(),
            "ids": self.ids,
            "spared": self.spared,
            "markers": [OURS, THEIRS],
            "seconds": SECONDS,
            "seed": random::below(u16::MAX).unwrap(),
        });
        let file = self.node.root().join("explore.json");
        std::fs::write(&file, options.to_string()).unwrap();
        let saw = script("explore.py", &[file.to_str().unwrap()]);
        println!("{actor}, seed {}: {} calls, {}", options["seed"], saw["calls"], saw["statuses"]);
        assert_eq!(saw["failures"], json!([]), "{saw:#}");
        assert_eq!(saw["never_called"], json!([]));
        assert!(saw["statuses"]["200"].as_u64() > Some(0), "{saw}");
        saw
    }

    /// Explores as a person. In how many replies data of our customer stood; of the other there must be none.
    #[track_caller]
    fn explore_as(&self, person: &str) -> u64 {
        let certificate = self.node.agent().unwrap().certificate("people", PEOPLE_URI).unwrap();
        let saw = self.explore(person, &certificate);
        assert_eq!(saw["marked"][THEIRS], 0, "{saw}");
        saw["marked"][OURS].as_u64().unwrap()
    }

    fn document(&self) -> Value {
        Api::panel(&self.node).without_actor().get("/v1/openapi.json").done()
    }
}

#[track_caller]
fn script(name: &str, arguments: &[&str]) -> Value {
    let program = Program::new(python::environment().unwrap()).arg(workspace().join("tests/schemathesis").join(name));
    let text = program.args(arguments.iter().copied()).text().unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn without_a_certificate_no_call_is_answered(world: &World) {
    let agent = world.node.agent().unwrap();
    let document = world.document();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for method in calls.as_object().unwrap().keys() {
            let url = format!("{}{}", agent.urls().panel, path.replace(['{', '}'], ""));
            let request = Request::new(&method.to_uppercase(), url).trusting(&agent.ca());
            let error = request.header("Latchkey-Actor", "panel").try_send().unwrap_err();
            assert!(error.contains("certificate required"), "{method} {path}: {error}");
        }
    }
}

fn a_person_without_shares(world: &World) {
    assert_eq!(world.explore_as(&person("stranger")), 0);
}

fn a_guest(world: &World) {
    assert!(world.explore_as(&world.guest) > 0);
}

fn an_owner(world: &World) {
    assert!(world.explore_as(OWNER) > 0);
}

fn the_panel(world: &World) {
    let saw = world.explore("panel", world.node.agent().unwrap().panel_certificate());
    // The markers would be seen if they were shown.
    for marker in [OURS, THEIRS] {
        assert!(saw["marked"][marker].as_u64() > Some(0), "{saw}");
    }
}

fn the_panel_port_takes_good_tls_only(world: &World) {
    let agent = world.node.agent().unwrap();
    let own = agent.panel_certificate();
    takes_good_tls_only(&agent.urls().panel, &[own.certificate.to_str().unwrap(), own.key.to_str().unwrap()]);
}

fn the_gateway_port_takes_good_tls_only(world: &World) {
    takes_good_tls_only(&world.node.agent().unwrap().urls().gateway, &[]);
}

#[track_caller]
fn takes_good_tls_only(origin: &str, certificate: &[&str]) {
    let port = origin.rsplit(':').next().unwrap();
    let saw = script("tls.py", &[&[port], certificate].concat());
    for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
        assert_eq!(saw[old], json!([]), "{saw}");
    }
    let suites = |version: &str| saw[version].as_array().unwrap().clone();
    assert!(!suites("tls_1_2").is_empty() && !suites("tls_1_3").is_empty(), "{saw}");
    for suite in suites("tls_1_2") {
        let name = suite.as_str().unwrap();
        let is_aead = ["_GCM_", "_CHACHA20_POLY1305_"].iter().any(|one| name.contains(one));
        assert!(is_aead && name.starts_with("TLS_ECDHE_"), "{name}");
    }
}
