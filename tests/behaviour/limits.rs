//! Limits: what the many and the slow may take, and that whoever behaves gets through beside them.
//!
//! Those who behave badly have an address of loopback of their own; whoever behaves well comes from the same one.

use latchkey_tests::api::Api;
use latchkey_tests::browser::Browser;
use latchkey_tests::exchange::Request;
use latchkey_tests::hostile::Hostile;
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::shares::{invite, person, share};
use latchkey_tests::sites::{PAPERS, paper};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { alone:
    silent_connections_make_place_for_a_good_client_of_their_address,
    idle_connections_make_place_for_a_good_client_of_their_address;
    beside_others:
    headers_and_bodies_that_come_bit_by_bit_are_cut_off,
    a_handshake_and_a_body_of_the_api_that_come_bit_by_bit_are_cut_off_at_their_deadlines,
    bodies_are_bounded_to_the_byte,
    wrong_tokens_stop_being_looked_up_and_good_ones_go_on_working,
    an_address_gets_so_many_pages_a_minute,
    a_person_gets_so_many_pages_a_minute,
    a_person_gets_so_many_changes_a_minute_and_reads_beyond,
    a_certificate_has_a_rate_if_one_is_configured,
    an_address_gets_so_many_letters_an_hour_and_the_share_says_so,
}

/// As `[limits]` and `[mail]` say for this node.
const HANDSHAKES_OF_ONE: usize = 128;
const CONNECTIONS_OF_ONE: usize = 256;
const PAGES_OF_ADDRESS: usize = 3000;
const PAGES_OF_PERSON: usize = 1200;
const LETTERS: usize = 40;

fn gateway(node: &Node) -> String {
    node.agent().unwrap().urls().gateway.clone()
}

/// A refusal for its frequency: the status, the header and, in a problem document, the field.
#[track_caller]
fn is_limited(saw: &Value, after: usize) {
    // A slow machine is given some more in between.
    let allowed = after as u64..after as u64 + 5;
    assert!(saw["limited"]["after"].as_u64().is_some_and(|number| allowed.contains(&number)), "{saw}");
    assert!(saw["limited"]["retry_after"].as_str().is_some_and(|wait| wait.parse::<u64>().unwrap() >= 1), "{saw}");
}

fn silent_connections_make_place_for_a_good_client_of_their_address(node: &Node) {
    for (number, origin) in [gateway(node), node.agent().unwrap().urls().panel.clone()].iter().enumerate() {
        let panel = node.agent().unwrap().panel_certificate();
        let client = Hostile::new("silent", origin, &format!("127.0.1.{number}"), HANDSHAKES_OF_ONE + 50)
            .with("cert", panel.certificate.to_str().unwrap())
            .with("key", panel.key.to_str().unwrap());
        let saw = client.with("path", if number == 0 { "/sign-in" } else { "/v1/health" }).with("closed", "50").saw();
        assert_eq!(saw["status"], 200, "{saw}");
        // The good client needed one place more.
        assert!(matches!(saw["closed"].as_u64(), Some(50 | 51)), "{saw}");
    }
}

fn idle_connections_make_place_for_a_good_client_of_their_address(node: &Node) {
    let client = Hostile::new("idle", &gateway(node), "127.0.1.3", CONNECTIONS_OF_ONE + 50).with("path", "/sign-in");
    let saw = client.with("closed", "51").saw();
    assert_eq!(saw["status"], 200, "{saw}");
    assert!(saw["closed"].as_u64().is_some_and(|closed| closed >= 51), "{saw}");
}

fn headers_and_bodies_that_come_bit_by_bit_are_cut_off(node: &Node) {
    for (mode, address, answers) in
        [("headers", "127.0.1.4", json!({})), ("body", "127.0.1.5", json!({ "HTTP/1.1 408": 5 }))]
    {
        let saw = Hostile::new(mode, &gateway(node), address, 5).saw();
        assert_eq!(saw["ended"], 5, "{mode}: {saw}");
        assert_eq!(saw["answers"], answers, "{mode}: {saw}");
        let seconds = |which: &str| saw[which].as_f64().unwrap();
        assert!(seconds("shortest_s") >= 13.0 && seconds("longest_s") <= 30.0, "{mode}: {saw}");
    }
}

fn a_handshake_and_a_body_of_the_api_that_come_bit_by_bit_are_cut_off_at_their_deadlines(node: &Node) {
    let seconds = |saw: &Value, which: &str| saw[which].as_f64().unwrap();
    for (number, origin) in [gateway(node), node.agent().unwrap().urls().panel.clone()].iter().enumerate() {
        let saw = Hostile::new("handshake", origin, &format!("127.0.1.{}", 20 + number), 5).saw();
        assert_eq!(saw["ended"], 5, "{saw}");
        assert!(seconds(&saw, "shortest_s") >= 9.0 && seconds(&saw, "longest_s") <= 15.0, "{saw}");
    }
    let panel = node.agent().unwrap().panel_certificate();
    let saw = Hostile::new("body", &node.agent().unwrap().urls().panel, "127.0.1.22", 5)
        .with("cert", panel.certificate.to_str().unwrap())
        .with("key", panel.key.to_str().unwrap())
        .with("path", "/v1/instances/live/explain")
        .saw();
    assert_eq!((&saw["ended"], &saw["answers"]), (&json!(5), &json!({ "HTTP/1.1 408": 5 })), "{saw}");
    assert!(seconds(&saw, "shortest_s") >= 28.0 && seconds(&saw, "longest_s") <= 40.0, "{saw}");
}

fn bodies_are_bounded_to_the_byte(node: &Node) {
    const API: usize = 1 << 20;
    const FORM: usize = 32 << 10;
    let panel = Api::panel(node);
    let path = "/v1/instances/live/explain";
    let post = |length: usize| panel.request("POST", path).body("application/json", " ".repeat(length)).send();
    // All spaces is an empty object: what is missing is said.
    post(API).refused(400, "invalid");
    post(API + 1).refused(413, "too_large");
    let ca = node.agent().unwrap().ca();
    let form = |length: usize| {
        let kind = "application/x-www-form-urlencoded";
        let body = format!("email={}", "a".repeat(length - "email=".len()));
        Request::new("POST", format!("{}/sign-in", gateway(node))).trusting(&ca).body(kind, body).send().status
    };
    assert_eq!((form(FORM), form(FORM + 1)), (400, 413));
}

fn wrong_tokens_stop_being_looked_up_and_good_ones_go_on_working(node: &Node) {
    let address = "127.0.1.6";
    paper(node, "guessed", PAPERS);
    let invited = invite(node, "guessed", &person("guest"), &json!({ "role": "view_only" }));
    let link = mail_to(node, &invited.email, "invitation", 1).link(node, "/i/");
    let guess =
        |address: &str, path: &str| Hostile::new("requests", &gateway(node), address, 500).with("path", path).saw();
    let saw = guess(address, "/i/NUMBER");
    is_limited(&saw, 30);
    // Of all kinds together, and whether they look like tokens or not.
    for path in ["/s/NUMBER", "/sso/NUMBER", "/i/short"] {
        is_limited(&guess(address, path), 0);
    }
    let from_there = |method: &str, url: &str| {
        let request = Request::new(method, url).trusting(&node.agent().unwrap().ca());
        request.option("--interface").option(address).send()
    };
    assert_eq!(from_there("GET", &format!("{}/sign-in", gateway(node))).status, 200);
    eventually("the good link works from there", || from_there("GET", &link).status == 200);
    let accepted = from_there("POST", &link);
    assert_eq!((accepted.status, accepted.location()), (303, "/"), "{}", accepted.body);
    // Nobody else is slowed down.
    assert_eq!(Browser::at_gateway(node).open(&link).status, 404);
}

fn an_address_gets_so_many_pages_a_minute(node: &Node) {
    let pages = |count| Hostile::new("requests", &gateway(node), "127.0.1.7", count).with("path", "/style.css").saw();
    let saw = pages(PAGES_OF_ADDRESS);
    assert_eq!(saw["statuses"], json!({ "200": PAGES_OF_ADDRESS }), "{saw}");
    let saw = pages(PAGES_OF_ADDRESS);
    assert!(saw["limited"]["retry_after"].is_string(), "{saw}");
    assert_eq!(Browser::at_gateway(node).open("/sign-in").status, 200);
}

fn a_person_gets_so_many_pages_a_minute(node: &Node) {
    paper(node, "paged", PAPERS);
    let guest = share(node, "paged", &person("guest"), &json!({ "role": "view_only" }));
    let link = Api::panel(node).post("/v1/gateway/links", &json!({ "person": guest.email })).done();
    let mut browser = Browser::at_gateway(node);
    let _in = browser.submit(link["url"].as_str().unwrap(), &[]);
    let (name, value) = browser.cookies().iter().next().unwrap();
    let pages = |address: &str, count: usize| {
        let client = Hostile::new("requests", &gateway(node), address, count).with("path", "/");
        client.with("h.Cookie", &format!("{name}={value}")).saw()
    };
    let saw = pages("127.0.1.8", 2 * PAGES_OF_PERSON);
    assert!(saw["statuses"]["200"].as_u64().unwrap() >= PAGES_OF_PERSON as u64, "{saw}");
    assert!(saw["limited"]["retry_after"].is_string(), "{saw}");
    // It is the person, wherever they are; and nobody else.
    assert!(pages("127.0.1.11", 400)["limited"].is_object());
    assert_eq!(Browser::at_gateway(node).open("/sign-in").status, 200);
}

fn a_person_gets_so_many_changes_a_minute_and_reads_beyond(node: &Node) {
    paper(node, "hurried", PAPERS);
    let guest = share(node, "hurried", &person("guest"), &json!({ "role": "view_only" }));
    let panel = node.agent().unwrap().panel_certificate();
    let client = |method: &str, count: usize| {
        Hostile::new("requests", &node.agent().unwrap().urls().panel, "127.0.1.9", count)
            .with("cert", panel.certificate.to_str().unwrap())
            .with("key", panel.key.to_str().unwrap())
            .with("h.Latchkey-Actor", &guest.email)
            .with("method", method)
            .with("path", "/v1/instances/hurried")
            .saw()
    };
    let saw = client("DELETE", 2 * crate::CHANGES_OF_PERSON);
    assert!(saw["statuses"]["403"].as_u64().unwrap() >= crate::CHANGES_OF_PERSON as u64, "{saw}");
    let problem: Value = serde_json::from_str(saw["limited"]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&json!("busy"), &json!(429)), "{problem}");
    assert!(problem["retry_after_s"].as_u64().unwrap() >= 1, "{problem}");
    assert_eq!(client("GET", 100)["statuses"], json!({ "200": 100 }));
}

fn a_certificate_has_a_rate_if_one_is_configured(node: &Node) {
    let certificate = node.agent().unwrap().certificate("hurried", crate::HURRIED_URI).unwrap();
    let saw = Hostile::new("requests", &node.agent().unwrap().urls().panel, "127.0.1.10", 40)
        .with("cert", certificate.certificate.to_str().unwrap())
        .with("key", certificate.key.to_str().unwrap())
        .with("path", "/v1/health")
        .saw();
    is_limited(&saw, crate::REQUESTS_OF_HURRIED);
}

fn an_address_gets_so_many_letters_an_hour_and_the_share_says_so(node: &Node) {
    paper(node, "bombed", PAPERS);
    let victim = person("victim");
    let terms = json!({ "role": "view_only" });
    for number in 1..=LETTERS {
        let share = invite(node, "bombed", &victim, &terms);
        let _mail = mail_to(node, &victim, "invitation", number);
        share.revoke();
    }
    let one_more = invite(node, "bombed", &victim, &terms);
    eventually("the share says that its letter waits", || {
        let mail = one_more.shown()["mail"].clone();
        let said = mail["error"].as_str().is_some_and(|why| why.contains("within an hour"));
        mail["state"] == "queued" && said && mail["next_at"].is_string()
    });
    // Another's does not wait with it.
    let other = invite(node, "bombed", &person("other"), &terms);
    let _mail = mail_to(node, &other.email, "invitation", 1);
    assert_eq!(mails_to(node, &victim, "invitation").len(), LETTERS);
}
