//! The redeemer `sso.php` against a real WordPress, with a stand-in for the agent at the other end of the socket.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

mod site;
mod system_user;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use site::Site;
use system_user::until;

const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const GATEWAY: &str = "https://127.0.0.1:8444";
const MARK: &str = "0123456789abcdef0123456789abcdef";

/// Counting sessions of one user goes on in one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A web server that runs the redeemer for every request, as the site's user.
struct Web {
    server: Child,
    port: u16,
    agent: UnixListener,
    dir: tempfile::TempDir,
    site: Arc<Site>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Web {
    fn start() -> Web {
        Web::start_at("public")
    }

    fn start_at(docroot: &str) -> Web {
        let site = Site::shared();
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let socket = dir.path().join("redeem.sock");
        let agent = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        let redeemer = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/sso.php");
        let router = format!(
            "<?php $_SERVER['LATCHKEY_INSTANCE'] = 'live'; $_SERVER['LATCHKEY_ABSPATH'] = '{}'; $_SERVER['LATCHKEY_SOCKET'] = '{}';\n\
             $_SERVER['LATCHKEY_GATEWAY'] = '{GATEWAY}'; require '{}';",
            site.home.join(docroot).display(),
            socket.display(),
            redeemer.display(),
        );
        fs::write(dir.path().join("router.php"), router).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = site.php();
        command.args(["-S", &format!("127.0.0.1:{port}")]).arg(dir.path().join("router.php"));
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the web server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Web { server, port, agent, dir, site }
    }

    fn request(&self, method: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} /.well-known/latchkey-sso HTTP/1.0\r\nHost: 127.0.0.1:8081\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Posts a token while the agent answers as told; returns the page and what the agent was told.
    fn redeem(&self, answers: Vec<Value>) -> (Answer, Vec<Value>) {
        let listener = self.agent.try_clone().unwrap();
        let agent = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve_agent(stream, answers)
        });
        let answer = self.request("POST", &format!("Origin: {GATEWAY}\r\n"), &format!("token={TOKEN}"));
        (answer, agent.join().unwrap())
    }

    fn session_count(&self) -> String {
        self.site.wordpress("echo '|', count(WP_Session_Tokens::get_instance(2)->get_all());")
    }

    /// Nobody may have spoken to the agent.
    fn check_not_presented(&self, answer: &Answer, status: u16) {
        self.agent.set_nonblocking(true).unwrap();
        assert!(self.agent.accept().is_err(), "the token was presented");
        self.agent.set_nonblocking(false).unwrap();
        check_page(answer, status);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn serve_agent(stream: UnixStream, answers: Vec<Value>) -> Vec<Value> {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut heard = Vec::new();
    for answer in answers {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        heard.push(serde_json::from_str(&line).unwrap());
        writeln!(stream, "{answer}").unwrap();
    }
    heard
}

fn granted(id: u32, login: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"ok": true, "user": {"id": id, "login": login}, "mark": MARK, "expires_at": now + 600})
}

#[track_caller]
fn check_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.head);
    assert!(!answer.head.to_lowercase().contains("set-cookie"), "{}", answer.head);
    assert!(answer.body.starts_with("<!doctype html>") && answer.body.contains(GATEWAY), "{}", answer.body);
    assert!(!answer.body.contains(TOKEN) && !answer.head.contains(TOKEN));
}

#[test]
fn a_token_becomes_a_marked_session_that_ends_with_the_share() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::start();
    web.site.wordpress("WP_Session_Tokens::get_instance(2)->destroy_all();");
    // A plugin ends every such request, and an update of WordPress is going on.
    fs::write(web.site.docroot.join(".maintenance"), "<?php $upgrading = time();").unwrap();
    let (answer, heard) = web.redeem(vec![granted(2, "editor"), json!({"ok": true})]);
    fs::remove_file(web.site.docroot.join(".maintenance")).unwrap();
    assert_eq!(answer.status, 302, "{}{}", answer.head, answer.body);
    assert!(answer.head.contains("Location: http://127.0.0.1:8081/wp-admin/"), "{}", answer.head);
    assert!(answer.head.contains("wordpress_logged_in_") && answer.head.contains("Referrer-Policy: no-referrer"));
    assert!(answer.head.contains("no-store") || answer.head.contains("no-cache"), "{}", answer.head);
    assert_eq!(answer.body, "");
    assert_eq!(heard[0], json!({"redeem": {"instance": "live", "token": TOKEN}}));
    let opened = &heard[1]["opened"];
    assert_eq!(opened["administrator"], false);
    assert_eq!(opened["baseline"]["user"]["login"], "editor");
    assert_eq!(opened["baseline"]["user"]["sessions"], json!([]));
    assert_eq!(opened["baseline"]["administrators"][0]["login"], "owner");
    let verifier = opened["verifier"].as_str().unwrap();
    let stored = web.site.wordpress("echo '|', json_encode(get_user_meta(2, 'session_tokens', true));");
    let stored: Value = serde_json::from_str(stored.trim_start_matches('|')).unwrap();
    assert_eq!(stored[verifier]["latchkey"], MARK);
    assert_eq!(stored[verifier]["expiration"], opened["expires_at"]);
    let cookie = answer.head.lines().find(|line| line.contains("wordpress_logged_in_")).unwrap();
    assert!(cookie.contains(&format!("editor%7C{}", opened["expires_at"])), "{cookie}");
    web.site.wordpress("WP_Session_Tokens::get_instance(2)->destroy_all();");
}

#[test]
fn no_cookie_leaves_and_no_session_stays_unless_the_agent_agrees_at_the_end() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::start();
    web.site.wordpress("WP_Session_Tokens::get_instance(2)->destroy_all();");
    let ended = json!({"ok": false, "reason": "ended", "message": "The share has <ended>."});
    let (answer, _) = web.redeem(vec![granted(2, "editor"), ended]);
    check_page(&answer, 403);
    assert!(answer.body.contains("The share has &lt;ended&gt;."), "{}", answer.body);
    // The agent goes away instead of answering.
    let (answer, _) = web.redeem(vec![granted(2, "editor")]);
    check_page(&answer, 403);
    assert_eq!(web.session_count(), "|0");
}

#[test]
fn a_refused_token_starts_nothing_of_the_site() {
    let web = Web::start();
    let (answer, heard) = web.redeem(vec![json!({"ok": false, "reason": "used", "message": "It was used already."})]);
    check_page(&answer, 403);
    assert!(answer.body.contains("It was used already."));
    assert_eq!(heard.len(), 1);
}

#[test]
fn a_user_who_is_gone_or_another_is_refused_and_reported() {
    let web = Web::start();
    for (id, login, reason) in
        [(999, "editor", "user_missing"), (2, "editor2", "login_changed"), (1, "editor", "login_changed")]
    {
        let (answer, heard) = web.redeem(vec![granted(id, login), json!({"ok": true})]);
        check_page(&answer, 403);
        assert_eq!(heard[1], json!({"failed": {"reason": reason}}));
    }
}

#[test]
fn a_site_that_does_not_start_is_reported() {
    let web = Web::start_at("public/wp-includes");
    let (answer, heard) = web.redeem(vec![granted(2, "editor"), json!({"ok": true})]);
    check_page(&answer, 403);
    assert_eq!(heard[1], json!({"failed": {"reason": "boot_failed"}}));
}

#[test]
fn only_a_post_from_the_gateway_with_a_whole_token_is_presented() {
    let web = Web::start();
    let form = format!("token={TOKEN}");
    web.check_not_presented(&web.request("GET", "", ""), 405);
    assert!(web.request("GET", "", "").head.contains("Allow: POST"));
    for origin in ["https://evil.example", "null", "https://127.0.0.1:8444/", "https://127.0.0.1:84440"] {
        web.check_not_presented(&web.request("POST", &format!("Origin: {origin}\r\n"), &form), 403);
    }
    for body in ["", "token=", "token=short", "token[]=x", &format!("token={TOKEN}x"), &format!("token={TOKEN}%0A")] {
        web.check_not_presented(&web.request("POST", "", body), 403);
    }
}

#[test]
fn an_agent_that_is_away_is_told_as_such() {
    let web = Web::start();
    fs::remove_file(web.dir.path().join("redeem.sock")).unwrap();
    check_page(&web.request("POST", "", &format!("token={TOKEN}")), 403);
}
