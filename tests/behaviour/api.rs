//! The panel's API itself: who gets a connection, who may act for whom, once, how much, and how refusals look.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use latchkey_tests::api::{Api, new_key};
use latchkey_tests::audit::audited;
use latchkey_tests::exchange::Request;
use latchkey_tests::shares::{person, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use serde_json::json;
use xtask::node::{Certificate, MONITORING_URI, Node, OWNER};
use xtask::process::Program;

crate::trials! { beside_others:
    without_a_certificate_of_the_own_root_there_is_no_connection,
    a_certificate_that_is_not_listed_may_do_nothing,
    every_call_names_its_actor,
    a_certificate_acts_only_within_its_scopes,
    a_monitoring_certificate_reads_metrics_and_nothing_else,
    refusals_come_before_the_input_is_parsed,
    an_unknown_address_is_a_person_without_shares,
    a_repeated_post_gets_the_first_reply_and_does_nothing,
    a_key_for_another_request_is_refused,
    faults_name_the_field,
    too_much_is_refused,
    what_is_no_call_is_a_problem_document,
    lists_come_in_pages,
    the_openapi_document_lists_every_call,
    health_says_how_the_agent_is,
    old_tls_and_plain_http_get_nothing,
    the_socket_of_the_command_line_is_for_root_alone,
}

fn without_a_certificate_of_the_own_root_there_is_no_connection(node: &Node) {
    let agent = node.agent().unwrap();
    let url = format!("{}/v1/health", agent.urls().panel);
    let request = || Request::new("GET", &url).trusting(&agent.ca());
    let error = request().try_send().unwrap_err();
    assert!(error.contains("certificate required"), "{error}");
    let foreign = foreign_certificate(node);
    let error = request().identified_by(&foreign).try_send().unwrap_err();
    assert!(error.contains("unknown ca") || error.contains("decrypt error"), "{error}");
    // A server's certificate of the right root is none for clients.
    let server = Certificate { certificate: "pki/panel.pem".into(), key: "pki/panel.key".into() };
    let server = Certificate { certificate: node.root().join(server.certificate), key: node.root().join(server.key) };
    request().identified_by(&server).try_send().unwrap_err();
    assert_eq!(request().identified_by(agent.panel_certificate()).send().status, 200);
    // And our client would not talk to a server of another root.
    let elsewhere = foreign.certificate.with_file_name("ca.pem");
    Request::new("GET", &url).trusting(&elsewhere).identified_by(agent.panel_certificate()).try_send().unwrap_err();
}

/// A certificate with the panel's own URI, of another authority.
fn foreign_certificate(node: &Node) -> Certificate {
    let directory = node.root().join("foreign-pki");
    let latchkey = node.agent().unwrap().paths().programs.join("latchkey");
    let pki = |arguments: &[&str]| {
        let program = Program::new(&latchkey).args(["pki", arguments[0], "--dir"]).arg(&directory);
        program.args(arguments[1..].iter().copied()).text().unwrap();
    };
    std::fs::create_dir_all(&directory).unwrap();
    pki(&["init"]);
    pki(&["issue", "--name", "panel", "--client-uri", xtask::node::PANEL_URI]);
    Certificate { certificate: directory.join("panel.pem"), key: directory.join("panel.key") }
}

fn a_certificate_that_is_not_listed_may_do_nothing(node: &Node) {
    let stranger = Api::panel(node).with_uri("stranger", "urn:latchkey:panel:stranger");
    for path in ["/v1/health", "/v1/privileges", "/v1/instances", "/metrics", "/v1/audit"] {
        let problem = stranger.get(path).refused(403, "forbidden");
        assert!(problem["detail"].as_str().unwrap().contains("not listed"), "{problem}");
    }
    // To the letter: no prefix, no case.
    for (name, uri) in [("prefix", "urn:latchkey:panel:demo2"), ("case", "urn:latchkey:panel:DEMO")] {
        Api::panel(node).with_uri(name, uri).get("/v1/health").refused(403, "forbidden");
    }
}

fn every_call_names_its_actor(node: &Node) {
    let nobody = Api::panel(node).without_actor();
    for (method, path) in
        [("GET", "/v1/instances"), ("GET", "/v1/audit"), ("POST", "/v1/shares"), ("DELETE", "/v1/instances/live")]
    {
        let problem = nobody.request(method, path).send().refused(400, "invalid");
        assert_eq!(problem["field"], "Latchkey-Actor", "{problem}");
    }
    for wrong in ["nobody in particular", "Panel", "a@b@c"] {
        let problem = Api::acting_as(node, wrong).get("/v1/instances").refused(400, "invalid");
        assert_eq!(problem["field"], "Latchkey-Actor", "{wrong}: {problem}");
    }
    for open in ["/v1/health", "/v1/privileges", "/v1/roles", "/v1/operations", "/v1/openapi.json", "/metrics"] {
        assert_eq!(nobody.get(open).status, 200, "{open}");
    }
    assert_eq!(Api::owner(node).get("/v1/instances/live").status, 200);
}

fn a_certificate_acts_only_within_its_scopes(node: &Node) {
    let people = |actor: &str| Api::acting_as(node, actor).with_uri("people", crate::PEOPLE_URI);
    assert_eq!(people(OWNER).get("/v1/instances/live").done()["id"], "live");
    let problem = people("panel").get("/v1/instances/live").refused(403, "forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("`panel`"), "{problem}");
    let problem = people(OWNER).get("/metrics").refused(403, "forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("`metrics`"), "{problem}");
    people(OWNER).put("/v1/instances/live", &json!({})).refused(403, "forbidden");
}

fn a_monitoring_certificate_reads_metrics_and_nothing_else(node: &Node) {
    let monitoring = |actor: &str| Api::acting_as(node, actor).with_uri("monitoring", MONITORING_URI);
    for actor in ["panel", OWNER] {
        let problem = monitoring(actor).get("/v1/instances/live/shares").refused(403, "forbidden");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`panel`") && detail.contains("`people`"), "{problem}");
    }
    let problem = monitoring(OWNER).without_actor().get("/v1/instances/live/shares");
    assert_eq!(problem.status, 403, "{}", problem.body);
    let metrics = monitoring("panel").without_actor().get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"), "{metrics:?}");
    for line in ["latchkey_instances ", "latchkey_shares{state=\"active\"}", "latchkey_unconfirmed "] {
        assert!(metrics.body.contains(line), "{}", metrics.body);
    }
    assert!(!metrics.body.contains('@'));
    audited(node, "live", "GET /v1/instances/{instance}/shares", "denied", |row| {
        row["via"].as_str().unwrap().contains(MONITORING_URI)
    });
}

fn refusals_come_before_the_input_is_parsed(node: &Node) {
    paper(node, "garbage", PAPERS);
    let guest = share(node, "garbage", &person("guest"), &json!({ "role": "view_only" }));
    let send = |actor: &str, method: &str, path: &str| {
        let request = Api::acting_as(node, actor).request(method, path);
        request.body("application/json", &b"\xff\xfe{ not json"[..]).send()
    };
    let stranger = person("stranger");
    let share_path = guest.path();
    for (method, path) in [
        ("POST", "/v1/instances/garbage/shares"),
        ("POST", "/v1/instances/garbage/explain"),
        ("POST", "/v1/instances/garbage/operations/site_name.set"),
        ("PATCH", &share_path),
    ] {
        send(&guest.email, method, path).refused_by("A1", 403, "forbidden");
        send(&stranger, method, path).refused(404, "not_found");
        send(&sites::owner_of("garbage"), method, path).refused(400, "invalid");
    }
    for path in ["/v1/hostings/papers", "/v1/instances/garbage"] {
        send(&guest.email, "PUT", path).refused(403, "forbidden");
        send("panel", "PUT", path).refused(400, "invalid");
    }
}

fn an_unknown_address_is_a_person_without_shares(node: &Node) {
    let stranger = Api::acting_as(node, &person("stranger"));
    for path in ["/v1/instances", "/v1/hostings", "/v1/sessions", "/v1/people"] {
        assert_eq!(stranger.get(path).done()["items"], json!([]), "{path}");
    }
    stranger.get("/v1/instances/live").refused(404, "not_found");
    stranger.get("/v1/audit").refused(403, "forbidden");
}

fn a_repeated_post_gets_the_first_reply_and_does_nothing(node: &Node) {
    paper(node, "repeat", PAPERS);
    let (key, guest) = (new_key(), person("guest"));
    let invite = || {
        let request = Api::panel(node).request("POST", "/v1/instances/repeat/shares").header("Idempotency-Key", &key);
        request.json(&json!({ "email": guest, "role": "view_only" })).send()
    };
    let (first, second) = (invite(), invite());
    assert_eq!((first.status, second.status), (201, 201), "{}", second.body);
    assert_eq!(first.json(), second.json());
    let listed = Api::panel(node).get("/v1/instances/repeat/shares").done();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    // Without the key it is a second invitation.
    let again = Api::panel(node)
        .request("POST", "/v1/instances/repeat/shares")
        .json(&json!({ "email": guest, "role": "view_only" }))
        .send();
    again.refused(409, "conflict");
    // Another actor's key of the same name is another key.
    let owner = Api::acting_as(node, &sites::owner_of("repeat"));
    let other = owner.request("POST", "/v1/instances/repeat/shares").header("Idempotency-Key", &key);
    assert_eq!(other.json(&json!({ "email": person("guest"), "role": "view_only" })).send().status, 201);
}

fn a_key_for_another_request_is_refused(node: &Node) {
    paper(node, "keys", PAPERS);
    let key = new_key();
    let invite = |email: &str| {
        let request = Api::panel(node).request("POST", "/v1/instances/keys/shares").header("Idempotency-Key", &key);
        request.json(&json!({ "email": email, "role": "view_only" })).send()
    };
    assert_eq!(invite(&person("one")).status, 201);
    assert_eq!(invite(&person("other")).refused(409, "conflict")["field"], "Idempotency-Key");
    let long = "k".repeat(201);
    let request = Api::panel(node).request("POST", "/v1/instances/keys/shares").header("Idempotency-Key", &long);
    assert_eq!(request.json(&json!({})).send().refused(400, "invalid")["field"], "Idempotency-Key");
    // A refused request may be corrected under the same key.
    let key = new_key();
    let invite = |role: &str| {
        let request = Api::panel(node).request("POST", "/v1/instances/keys/shares").header("Idempotency-Key", &key);
        request.json(&json!({ "email": "third@guests.example", "role": role })).send()
    };
    invite("view-only").refused(400, "invalid");
    assert_eq!(invite("view_only").status, 201);
}

fn faults_name_the_field(node: &Node) {
    paper(node, "fields", PAPERS);
    let post = |body: &str| {
        let request = Api::panel(node).request("POST", "/v1/instances/fields/shares");
        request.body("application/json", body).send().refused(400, "invalid")
    };
    assert_eq!(post(r#"{"role":"view_only"}"#)["field"], "email");
    assert_eq!(post(r#"{"email":"a@b.example","role":"view_only","rolle":1}"#)["field"], "rolle");
    assert_eq!(post(r#"{"email":7,"role":"view_only"}"#)["field"], "email");
    for body in ["{", "[]", "null", "{}{}", "{\"email\":\"a@b.example\",\"role\":\"view_only\"} x"] {
        post(body);
    }
    Api::panel(node).get("/v1/instances?limit=0").refused(400, "invalid");
    Api::panel(node).get("/v1/audit?after=x").refused(400, "invalid");
}

fn too_much_is_refused(node: &Node) {
    let api = Api::panel(node);
    let large = format!("{{\"email\":\"{}\"}}", "a".repeat(2 << 20));
    let answer = api.request("POST", "/v1/instances/live/shares").body("application/json", large).send();
    answer.refused(413, "too_large");
    let nested = "[".repeat(200_000);
    api.request("POST", "/v1/instances/live/shares").body("application/json", nested).send().refused(400, "invalid");
    let long = "a".repeat(120_000);
    let headers = api.request("GET", "/v1/health").header("X-Long", &long).header("X-Longer", &long).try_send();
    assert!(headers.is_err() || headers.is_ok_and(|answer| answer.status >= 400));
    assert_eq!(api.get("/v1/health").status, 200);
}

fn what_is_no_call_is_a_problem_document(node: &Node) {
    let api = Api::panel(node);
    api.get("/v1/nothing").refused(404, "not_found");
    api.get("/").refused(404, "not_found");
    api.request("TRACE", "/v1/health").send().refused(405, "invalid");
    api.request("POST", "/v1/health").send().refused(405, "invalid");
    api.request("GET", "/v1/instances/../audit").option("--path-as-is").send().refused(404, "not_found");
    api.get("/v1/instances/live%2F..%2Fsecond").refused(404, "not_found");
    let problem = api.get("/v1/instances/none");
    let document = problem.refused(404, "not_found");
    assert_eq!(document["title"], "Not Found", "{document}");
    assert_eq!(problem.header("latchkey-request-id"), document["request_id"].as_str());
    assert_eq!(problem.header("cache-control"), Some("no-store"));
}

fn lists_come_in_pages(node: &Node) {
    let names = ["page-a", "page-b", "page-c"];
    for id in names {
        sites::put_paper(node, id, PAPERS, &json!({ "owners": ["pages@owners.example"] })).done();
    }
    let api = Api::acting_as(node, "pages@owners.example");
    let mut seen = Vec::new();
    let mut path = "/v1/instances?limit=2".to_owned();
    loop {
        let page = api.get(&path).done();
        seen.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/instances?limit=2&cursor={next}");
    }
    assert_eq!(seen, names);
}

fn the_openapi_document_lists_every_call(node: &Node) {
    let document = Api::panel(node).without_actor().get("/v1/openapi.json").done();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths = document["paths"].as_object().unwrap();
    for (path, method) in [
        ("/v1/health", "get"),
        ("/v1/instances/{instance}/shares", "post"),
        ("/v1/instances/{instance}/shares/{share}", "delete"),
        ("/v1/instances/{instance}/shares/{share}/resend", "post"),
        ("/v1/instances/{instance}/operations/sso.open", "post"),
        ("/v1/gateway/links", "post"),
    ] {
        let found = paths.iter().any(|(known, calls)| known == path && calls[method].is_object());
        let generic =
            path.contains("sso.open") && paths.contains_key("/v1/instances/{instance}/operations/{operation}");
        assert!(found || generic, "{method} {path}: {:?}", paths.keys());
    }
}

fn health_says_how_the_agent_is(node: &Node) {
    let health = Api::panel(node).without_actor().get("/v1/health").done();
    assert!(["ok", "degraded"].contains(&health["state"].as_str().unwrap()), "{health}");
    assert!(health["version"].is_string() && health["started_at"].is_string(), "{health}");
}

fn old_tls_and_plain_http_get_nothing(node: &Node) {
    let api = Api::panel(node);
    api.request("GET", "/v1/health").option("--tls-max").option("1.1").try_send().unwrap_err();
    assert_eq!(api.request("GET", "/v1/health").option("--tls-max").option("1.2").send().status, 200);
    let address = node.agent().unwrap().urls().panel.trim_start_matches("https://").to_owned();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

fn the_socket_of_the_command_line_is_for_root_alone(node: &Node) {
    let socket = node.agent().unwrap().paths().cli_socket.clone();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let curl =
        || Program::new("curl").args(["--silent", "--show-error", "--max-time", "5", "--unix-socket"]).arg(&socket);
    let ask =
        |program: Program| program.args(["--header", "Latchkey-Actor: panel", "http://agent/v1/instances/live"]).text();
    assert!(ask(curl()).unwrap().contains("\"live\""));
    let user = node.hosting("demo").unwrap().user;
    ask(curl().directory("/").run_as(user.identity())).unwrap_err();
    let broker: &Path = &node.agent().unwrap().paths().broker_socket;
    assert_eq!(std::fs::metadata(broker).unwrap().permissions().mode() & 0o777, 0o660);
}
