//! What a site and its mail need is stopped, or hangs: each step says so or goes on without it, nothing wrong is granted,
//! and all of it recovers without a restart of the agent.

use std::fs;
use std::thread;
use std::time::Duration;

use latchkey_tests::api::Api;
use latchkey_tests::browser::Browser;
use latchkey_tests::exchange::Response;
use latchkey_tests::shares::{Share, invite, person, pinned_editor, share};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::{Daemon, MailServer, Node};

crate::trials! { alone:
    a_stopped_database,
    a_hung_database,
    a_stopped_php_fpm,
    a_hung_php_fpm,
    a_stopped_web_server,
    a_hung_web_server,
    a_mail_server_that_is_stopped_or_hangs_delays_nothing_and_gets_its_mails_afterwards,
}

/// What the agent answers without asking a site takes no longer, whatever hangs.
const AT_ONCE: Duration = Duration::from_secs(2);
/// A pinned WordPress user is looked up first; a site that does not answer is not waited for any longer.
const LOOKED_UP: Duration = Duration::from_secs(12);
/// How long a browser waits in these trials.
const PATIENCE_S: &str = "4";

/// How something is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Stopped,
    Hung,
}

/// What a browser that presents its token sees meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redeeming {
    /// No answer, or none in time.
    Nothing,
    /// The web server's error.
    Status(u16),
    /// A page that refuses with these words.
    Refused(&'static str),
}

/// What becomes of a session whose share ends meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Closed,
    Unconfirmed,
}

/// One row of the matrix.
struct Row {
    daemon: fn(&Node) -> &Daemon,
    how: How,
    redeeming: Redeeming,
    ending: Ending,
    /// What an operation of the site answers; not asked where that takes the whole deadline of an operation.
    operation: Option<(u16, &'static str)>,
}

fn a_stopped_database(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::database,
            how: How::Stopped,
            redeeming: Redeeming::Refused("could not be started"),
            ending: Ending::Unconfirmed,
            operation: Some((503, "database")),
        },
    );
}

fn a_hung_database(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::database,
            how: How::Hung,
            redeeming: Redeeming::Nothing,
            ending: Ending::Unconfirmed,
            operation: None,
        },
    );
}

fn a_stopped_php_fpm(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::php_fpm,
            how: How::Stopped,
            redeeming: Redeeming::Status(502),
            ending: Ending::Closed,
            operation: Some((200, "")),
        },
    );
}

fn a_hung_php_fpm(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::php_fpm,
            how: How::Hung,
            redeeming: Redeeming::Nothing,
            ending: Ending::Closed,
            operation: Some((200, "")),
        },
    );
}

fn a_stopped_web_server(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::web,
            how: How::Stopped,
            redeeming: Redeeming::Nothing,
            ending: Ending::Closed,
            operation: Some((200, "")),
        },
    );
}

fn a_hung_web_server(node: &Node) {
    check(
        node,
        &Row {
            daemon: Node::web,
            how: How::Hung,
            redeeming: Redeeming::Nothing,
            ending: Ending::Closed,
            operation: Some((200, "")),
        },
    );
}

/// Puts something out of order until it is dropped.
struct Outage<'d> {
    daemon: &'d Daemon,
    how: How,
}

impl<'d> Outage<'d> {
    #[track_caller]
    fn of(daemon: &'d Daemon, how: How) -> Self {
        match how {
            How::Stopped => daemon.stop().unwrap(),
            How::Hung => daemon.hang_whole().unwrap(),
        }
        Self { daemon, how }
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        drop(match self.how {
            How::Stopped => self.daemon.start(),
            How::Hung => self.daemon.resume_whole(),
        });
    }
}

#[track_caller]
fn at_once<T>(what: &str, step: impl FnOnce() -> T) -> T {
    within(AT_ONCE, what, step)
}

#[track_caller]
fn within<T>(limit: Duration, what: &str, step: impl FnOnce() -> T) -> T {
    let stopwatch = Stopwatch::start();
    let value = step();
    assert!(stopwatch.elapsed() <= limit, "{what} took {:?}", stopwatch.elapsed());
    value
}

#[track_caller]
fn check(node: &Node, row: &Row) {
    let live = node.instance("live").unwrap();
    // Other trials' shares may be signed in.
    let before = wp_admin::marked_sessions_of(node, &live, 2);
    let ending = share(node, "live", &person("ending"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &ending.email, &live, None);
    let redeeming = share(node, "live", &person("redeeming"), &pinned_editor());
    let starts = node.serve().unwrap().starts();
    let outage = Outage::of((row.daemon)(node), row.how);

    let newcomer = at_once("invite", || invite(node, "live", &person("newcomer"), &pinned_editor()));
    at_once("accept", || newcomer.accept());
    at_once("edit", || newcomer.update(&json!({ "note": "during an outage" })));
    let hand_over = within(LOOKED_UP, "sso.open", || wp_admin::link(node, &redeeming.email, "live", None));
    let page = at_once("the page", || Browser::at_gateway(node).open(&hand_over.url));
    assert_eq!(page.status, 200, "{}", page.body);
    let origin = node.agent().unwrap().urls().gateway.clone();
    let redeemed = thread::scope(|scope| {
        let redemption = wp_admin::redemption(&live, &hand_over.token).header("Origin", &origin);
        let redemption = redemption.option("--max-time").option(PATIENCE_S);
        let redeemed = scope.spawn(|| redemption.try_send());
        if let Some((status, words)) = row.operation {
            let answer = Api::panel(node).operate("live", "site_name.show", &json!({}));
            assert_eq!(answer.status, status, "{}", answer.body);
            assert!(answer.body.contains(words), "{}", answer.body);
        }
        redeemed.join().unwrap()
    });
    is_as_expected(row.redeeming, redeemed);
    let stopwatch = Stopwatch::start();
    let ended = ending.revoke();
    assert!(stopwatch.elapsed() <= Duration::from_secs(3), "{:?}", stopwatch.elapsed());
    let unconfirmed = ended["unconfirmed"].as_array().unwrap().len();
    match row.ending {
        Ending::Closed => assert_eq!((&ended["closed"]["wordpress"], unconfirmed), (&json!(1), 0), "{ended}"),
        Ending::Unconfirmed => assert_eq!((&ended["closed"]["wordpress"], unconfirmed), (&json!(0), 1), "{ended}"),
    }

    drop(outage);
    eventually("the end of what was unconfirmed", || ending.shown().get("unconfirmed").is_none());
    eventually("the end of the session", || wp_admin::is_sent_to_login(&mut browser));
    // What was granted meanwhile is good, and what was presented meanwhile opened nothing that outlives its share.
    let mut newcomer_browser = wp_admin::log_in(node, &newcomer.email, &live, None);
    wp_admin::is_in_as(&mut newcomer_browser, "editor");
    newcomer.revoke();
    redeeming.revoke();
    wp_admin::is_out(&mut newcomer_browser);
    eventually("no session of ours", || wp_admin::marked_sessions_of(node, &live, 2) <= before);
    assert_eq!(node.serve().unwrap().starts(), starts);
}

#[track_caller]
fn is_as_expected(expected: Redeeming, seen: Result<Response, String>) {
    match (expected, seen) {
        (Redeeming::Nothing, Err(_)) => {}
        (Redeeming::Status(status), Ok(response)) => assert_eq!(response.status, status, "{}", response.body),
        (Redeeming::Refused(words), Ok(response)) => {
            assert!(response.status >= 400, "{response:?}");
            assert!(response.body.to_lowercase().contains(words), "expected {words:?}: {}", response.body);
            assert!(response.header("set-cookie").is_none(), "{response:?}");
        }
        (expected, seen) => panic!("expected {expected:?}: {seen:?}"),
    }
}

/// Has the agent send its mail by SMTP until it is dropped.
struct BySmtp<'n> {
    node: &'n Node,
    before: String,
}

impl<'n> BySmtp<'n> {
    #[track_caller]
    fn to(node: &'n Node, server: &MailServer) -> Self {
        let paths = node.agent().unwrap().paths();
        let before = fs::read_to_string(&paths.serve_config).unwrap();
        let directory = format!("directory = \"{}\"", paths.mail.display());
        assert!(before.contains(&directory), "{before}");
        let after = before.replace(&directory, &format!("smtp = \"{}\"", server.url()));
        fs::write(&paths.serve_config, after).unwrap();
        node.serve().unwrap().restart().unwrap();
        Self { node, before }
    }
}

impl Drop for BySmtp<'_> {
    fn drop(&mut self) {
        drop(fs::write(&self.node.agent().unwrap().paths().serve_config, &self.before));
        drop(self.node.serve().unwrap().restart());
    }
}

fn has_mail(server: &MailServer, share: &Share<'_>) -> bool {
    let to = format!("To: {}", share.email);
    server.received().unwrap().iter().any(|mail| mail.lines().any(|line| line.trim_end() == to))
}

fn mail_of(share: &Share<'_>) -> Value {
    share.shown()["mail"].clone()
}

fn a_mail_server_that_is_stopped_or_hangs_delays_nothing_and_gets_its_mails_afterwards(node: &Node) {
    let server = node.add_mail_server().unwrap();
    let by_smtp = BySmtp::to(node, &server);
    let first = invite(node, "live", &person("mailed"), &pinned_editor());
    eventually("the first mail", || has_mail(&server, &first));
    eventually("the note that it was sent", || mail_of(&first)["state"] == "sent");
    for how in [How::Stopped, How::Hung] {
        let starts = node.serve().unwrap().starts();
        let outage = Outage::of(server.daemon(), how);
        let waiting = at_once("invite", || invite(node, "live", &person("waiting"), &pinned_editor()));
        assert_eq!(mail_of(&waiting)["state"], "queued", "{how:?}");
        if how == How::Stopped {
            eventually("the reason", || {
                mail_of(&waiting)["error"].as_str().is_some_and(|error| error.contains("mail server"))
            });
        }
        let other = at_once("invite", || invite(node, "live", &person("other"), &pinned_editor()));
        at_once("accept", || other.accept());
        at_once("edit", || other.update(&json!({ "note": "no mail" })));
        at_once("revoke", || other.revoke());
        assert!(!has_mail(&server, &waiting));
        drop(outage);
        eventually("the mail afterwards", || has_mail(&server, &waiting));
        eventually("the note that it was sent", || mail_of(&waiting)["state"] == "sent");
        assert_eq!(node.serve().unwrap().starts(), starts);
        waiting.revoke();
    }
    first.revoke();
    drop(by_smtp);
    drop(server.daemon().stop());
}
