//! Adapters that send requests: to granted origins and no other, with secrets that they never see, within limits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use latchkey_tests::adapters::Adapter;
use latchkey_tests::audit;
use latchkey_tests::command_line::{Printed, latchkey_told};
use latchkey_tests::platform::{Answer, Platform, ok};
use serde_json::Value;
use xtask::node::Node;

use crate::{ONE, TWO};

crate::trials! {
    beside_others:
        requests_go_to_granted_origins_and_nowhere_else,
        redirects_are_answers_and_are_not_followed,
        secrets_reach_the_platform_and_nobody_else,
        requests_and_answers_are_bounded;
}

/// The status and the body of an answer.
#[track_caller]
fn answered(printed: &Printed) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = &printed.json()["returned"][0];
    (text(&told["title"]), text(&told["path"]))
}

fn granted(platform: &Platform, more: &str) -> String {
    format!("[grants]\nhttp = [\"{}\"]\n{more}", platform.origin())
}

fn requests_go_to_granted_origins_and_nowhere_else(node: &Node) {
    let platform = Platform::answering(|_| ok("here"));
    let other = Platform::answering(|_| ok("there"));
    let adapter = Adapter::calling(node, "origins", "");
    let [here, there] = [&platform, &other].map(|platform| format!("GET {}/v1?q=1", platform.origin()));
    let file = adapter.operators_file().display().to_string();
    let missing = |origins: &str| format!("it takes `http = [{origins}]` under [grants] in {file}");
    let [one, two] = [&platform, &other].map(|platform| format!("\"{}\"", platform.origin()));
    adapter.sends(ONE, &here).failed(4, &missing(&one));
    assert_eq!(adapter.listed().unwrap()["missing"][0], "http = [\"https://*\"]");
    adapter.write_operators_file(&granted(&platform, ""));
    assert_eq!(answered(&adapter.sends(ONE, &here)), ("200".to_owned(), "here".to_owned()));
    assert_eq!(adapter.listed().unwrap()["missing"].as_array().unwrap().len(), 0);
    adapter.sends(ONE, &there).failed(4, &missing(&format!("{one}, {two}")));
    // Other ways to write the same place are that place, and others are not.
    let port = platform.port;
    assert_eq!(answered(&adapter.sends(ONE, &format!("GET http://0x7f.1:{port}/"))).1, "here");
    for url in [
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@127.0.0.2/"),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let refused = adapter.sends(ONE, &format!("GET {url}"));
        assert!([4, 5].contains(&refused.code), "{url}: {}", refused.text);
    }
    // A name that leads to this node, though it is granted.
    adapter.write_operators_file(&format!("[grants]\nhttp = [\"https://localhost:{port}\"]\n"));
    adapter.sends(ONE, &format!("GET https://localhost:{port}/")).failed(4, "which is not public");
    adapter.write_operators_file("");
    adapter.sends(ONE, &here).failed(4, &missing(&one));
    let received = platform.received();
    assert!(received.len() == 2 && received[0].starts_with("GET /v1?q=1 HTTP/1.1\r\n"), "{received:?}");
    assert_eq!(other.received(), Vec::<String>::new());
}

fn redirects_are_answers_and_are_not_followed(node: &Node) {
    let inside = Platform::answering(|_| ok("inside"));
    let to = inside.origin();
    let platform = Platform::answering(move |_| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}/\r\nContent-Length: 0\r\n\r\n");
        Answer::Bytes(head.into_bytes())
    });
    let both = format!("[grants]\nhttp = [\"{}\", \"{}\"]\n", platform.origin(), inside.origin());
    let adapter = Adapter::calling(node, "redirected", &both);
    assert_eq!(answered(&adapter.sends(ONE, &format!("GET {}/", platform.origin()))).0, "302");
    assert_eq!((platform.received().len(), inside.received().len()), (1, 0));
    assert_eq!(answered(&adapter.sends(ONE, &format!("GET {}/", inside.origin()))).1, "inside");
}

fn secrets_reach_the_platform_and_nobody_else(node: &Node) {
    let platform = Platform::answering(|request| ok(format!("echo {request}")));
    let kept = granted(&platform, "[hostings.h1.secrets]\ntoken = \"kept-t0ken\"\n").replace("h1", ONE);
    let adapter = Adapter::calling(node, "secrets", &kept);
    let request = format!(
        "domain=POST {}/\nAuthorization: cpanel a:{{plain:token:}}\nX-Both: {{base64:token:user:}}\n\npass={{percent:new:}}",
        platform.origin()
    );
    let run = |hosting, more: &[&str], input: &str| {
        let line = ["adapter", "run", adapter.name, hosting, "logs", "locate", &request, "--json"];
        latchkey_told(node, &[&line[..], more].concat(), input)
    };
    let (_, echoed) = answered(&run(ONE, &["--secret", "new"], "new p&ss\n"));
    let received = platform.received().remove(0);
    // printf user:kept-t0ken | base64
    for part in ["authorization: cpanel a:kept-t0ken\r\n", "x-both: dXNlcjprZXB0LXQwa2Vu\r\n", "pass=new%20p%26ss"] {
        assert!(received.contains(part), "{part}: {received}");
    }
    assert!(echoed.contains("authorization: cpanel a:**********"), "{echoed}");
    let told_nobody = ["kept-t0ken", "dXNlcjprZXB0LXQwa2Vu", "new p&ss", "new%20p%26ss"];
    let audited = format!("{:?}", audit::all_rows(node));
    let logged = fs::read_to_string(node.serve().unwrap().log()).unwrap();
    for secret in told_nobody {
        assert!(!echoed.contains(secret) && !audited.contains(secret) && !logged.contains(secret), "{secret}");
    }
    run(ONE, &[], "").failed(5, "secret \"new\": expected one of this call or of the operator's for this hosting");
    run(TWO, &["--secret", "new"], "new\n").failed(5, "secret \"token\": expected one of this call");
    run(ONE, &["--secret", "new"], "").failed(2, "expected its value as a line of standard input");
    fs::set_permissions(adapter.operators_file(), fs::Permissions::from_mode(0o644)).unwrap();
    run(ONE, &["--secret", "new"], "new\n").failed(5, "holds secrets: expected that only root");
    assert_eq!(platform.received().len(), 1);
}

fn requests_and_answers_are_bounded(node: &Node) {
    let platform = Platform::answering(|request| match request.split([' ', '/']).nth(2) {
        Some("silence") => Answer::Silence,
        Some(length) => ok("x".repeat(length.parse().unwrap())),
        None => unreachable!("every request has a path"),
    });
    let limits = "[limits]\nhttp_requests = 3\nresponse_bytes = 1024\nwall_ms = 3000\n";
    let adapter = Adapter::calling(node, "bounded", &granted(&platform, limits));
    let get = |times: usize, path: &str| adapter.sends(ONE, &format!("{times} times GET {}/{path}", platform.origin()));
    let _ = get(3, "1").done();
    get(4, "1").failed(6, "too many");
    assert_eq!(platform.received().len(), 6);
    let _ = get(1, "1024").done();
    get(1, "1025").failed(12, "longer than 1024");
    get(1, "silence").failed(8, "no whole answer came in time");
    let _ = get(1, "1").done();
}
