//! What hangs, crashes and comes back: the end of access holds all the same, and nothing acknowledged is lost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::Browser;
use latchkey_tests::exchange::Response;
use latchkey_tests::mailbox::mail_to;
use latchkey_tests::shares::{Share, invite, person, pinned_editor, share};
use latchkey_tests::waiting::eventually;
use latchkey_tests::{sites, wp_admin};
use serde_json::{Value, json};
use xtask::clock::{Deadline, Stopwatch};
use xtask::node::{Daemon, Hosting, Instance, Node};

crate::trials! { alone:
    a_hung_database_delays_neither_the_reply_nor_the_end,
    what_was_unconfirmed_when_serve_was_killed_still_ends,
    nothing_acknowledged_is_lost_when_serve_is_killed,
    a_share_that_expires_while_serve_is_down_has_ended_when_it_is_back,
    a_broker_that_is_down_leaves_the_end_unconfirmed_until_it_is_back,
    a_broker_that_is_killed_comes_back_with_its_hostings,
    php_fpm_is_not_needed_to_end_a_session,
    a_link_outlives_a_restart_and_is_still_good_once,
    a_session_that_a_request_writes_back_ends_although_serve_was_killed_in_between,
    a_site_that_is_slow_and_not_gone_is_given_longer_until_its_end_is_confirmed,
    an_expiry_beside_a_site_that_hangs_ends_everything_else_in_time_and_that_later,
    a_hosting_is_not_forgotten_while_an_end_on_it_is_unconfirmed,
    a_hosting_whose_site_is_gone_for_good_is_abandoned_with_its_unconfirmed_ends,
    a_hosting_that_the_broker_could_not_forget_is_forgotten_by_the_next_request,
}

/// Has a daemon run again at the end, also of a trial that fails.
pub(crate) struct RunsAgain<'n>(pub(crate) &'n Daemon);

impl Drop for RunsAgain<'_> {
    fn drop(&mut self) {
        drop(self.0.resume());
        drop(self.0.start());
    }
}

#[track_caller]
fn editor_in(node: &Node) -> (Share<'_>, Browser) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, &live, None);
    wp_admin::is_in_as(&mut browser, "editor");
    (share, browser)
}

/// The reply came in time, and names the one session that could not be reached.
#[track_caller]
fn is_unconfirmed(ended: &Value, took: Duration) {
    assert!(took <= Duration::from_secs(3), "{took:?}");
    assert_eq!(ended["closed"]["wordpress"], 0, "{ended}");
    assert_eq!(
        ended["unconfirmed"],
        json!([{ "channel": "wordpress", "what": "the session as editor on live" }]),
        "{ended}"
    );
}

#[track_caller]
fn ends_by_itself(share: &Share<'_>, browser: &mut Browser) {
    eventually("the end of what was unconfirmed", || share.shown().get("unconfirmed").is_none());
    wp_admin::is_out(browser);
}

fn a_hung_database_delays_neither_the_reply_nor_the_end(node: &Node) {
    let (share, mut browser) = editor_in(node);
    node.database().hang().unwrap();
    let again = RunsAgain(node.database());
    let stopwatch = Stopwatch::start();
    let ended = share.revoke();
    is_unconfirmed(&ended, stopwatch.elapsed());
    let shown = share.shown();
    assert_eq!((&shown["state"], &shown["unconfirmed"]), (&json!("revoked"), &ended["unconfirmed"]), "{shown}");
    assert_eq!(Api::panel(node).get("/v1/health").done()["state"], "degraded");
    // Decisions need no site.
    wp_admin::ask(node, &share.email, "live", None).refused_by("A2", 404, "not_found");
    drop(again);
    ends_by_itself(&share, &mut browser);
    assert_eq!(Api::panel(node).get("/v1/health").done()["state"], "ok");
}

fn what_was_unconfirmed_when_serve_was_killed_still_ends(node: &Node) {
    let (share, mut browser) = editor_in(node);
    node.database().hang().unwrap();
    let again = RunsAgain(node.database());
    let stopwatch = Stopwatch::start();
    is_unconfirmed(&share.revoke(), stopwatch.elapsed());
    node.serve().unwrap().crash().unwrap();
    assert_eq!(share.state(), "revoked");
    assert_eq!(share.shown()["unconfirmed"].as_array().map(Vec::len), Some(1));
    drop(again);
    ends_by_itself(&share, &mut browser);
}

fn nothing_acknowledged_is_lost_when_serve_is_killed(node: &Node) {
    let (share, mut browser) = editor_in(node);
    let pending = invite(node, "live", &person("pending"), &pinned_editor());
    let mut gateway = share_session(node, &share);
    node.serve().unwrap().crash().unwrap();
    assert_eq!([share.state(), pending.state()], ["active", "pending"]);
    assert_eq!(gateway.open("/").status, 200);
    wp_admin::is_in_as(&mut browser, "editor");
    // The letter is sent, whether it was before or is now.
    let link = mail_to(node, &pending.email, "invitation", 1).link(node, "/i/");
    assert_eq!(Browser::at_gateway(node).open(&link).status, 200);
    let ended = share.revoke();
    assert_eq!((&ended["closed"]["wordpress"], &ended["closed"]["gateway"]), (&json!(1), &json!(1)), "{ended}");
    wp_admin::is_out(&mut browser);
    node.serve().unwrap().crash().unwrap();
    assert_eq!(share.state(), "revoked");
    assert_eq!(gateway.open("/").location(), "/sign-in");
    assert_eq!(Api::panel(node).get("/v1/audit/verify").done()["ok"], true);
}

#[track_caller]
fn share_session(node: &Node, share: &Share<'_>) -> Browser {
    let link = Api::panel(node).post("/v1/gateway/links", &json!({ "person": share.email })).done();
    let mut browser = Browser::at_gateway(node);
    assert_eq!(browser.submit(link["url"].as_str().unwrap(), &[]).status, 303);
    browser
}

fn a_share_that_expires_while_serve_is_down_has_ended_when_it_is_back(node: &Node) {
    let (share, mut browser) = editor_in(node);
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    share.update(&json!({ "expires_at": end.to_string() }));
    let serve = node.serve().unwrap();
    let again = RunsAgain(serve);
    serve.kill().unwrap();
    eventually("the end of the share", || Timestamp::now() > end);
    wp_admin::is_in_as(&mut browser, "editor");
    drop(again);
    // Swept before anything listens.
    wp_admin::is_out(&mut browser);
    assert_eq!(share.state(), "expired");
}

fn a_broker_that_is_down_leaves_the_end_unconfirmed_until_it_is_back(node: &Node) {
    let (share, mut browser) = editor_in(node);
    let broker = node.broker().unwrap();
    let again = RunsAgain(broker);
    broker.kill().unwrap();
    Api::panel(node).operate("live", "sso.users", &json!({})).refused(503, "unavailable");
    let stopwatch = Stopwatch::start();
    is_unconfirmed(&share.revoke(), stopwatch.elapsed());
    drop(again);
    ends_by_itself(&share, &mut browser);
}

fn a_broker_that_is_killed_comes_back_with_its_hostings(node: &Node) {
    let (share, mut browser) = editor_in(node);
    node.broker().unwrap().crash().unwrap();
    let users = Api::panel(node).operate("live", "sso.users", &json!({})).done();
    assert_eq!(users["items"].as_array().unwrap().len(), 3, "{users}");
    let ended = share.revoke();
    assert_eq!(ended["closed"]["wordpress"], 1, "{ended}");
    wp_admin::is_out(&mut browser);
}

fn php_fpm_is_not_needed_to_end_a_session(node: &Node) {
    let (share, mut browser) = editor_in(node);
    let again = RunsAgain(node.php_fpm());
    node.php_fpm().stop().unwrap();
    let ended = share.revoke();
    assert_eq!((&ended["closed"]["wordpress"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    drop(again);
    wp_admin::is_out(&mut browser);
}

fn a_link_outlives_a_restart_and_is_still_good_once(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let hand_over = wp_admin::link(node, &share.email, "live", None);
    node.serve().unwrap().restart().unwrap();
    assert_eq!(wp_admin::redeem(node, &live, &hand_over.token).status, 302);
    node.serve().unwrap().restart().unwrap();
    wp_admin::is_refused(&wp_admin::redeem(node, &live, &hand_over.token), node, "used already");
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
}

fn a_session_that_a_request_writes_back_ends_although_serve_was_killed_in_between(node: &Node) {
    let live = node.instance("live").unwrap();
    let (share, mut browser) = editor_in(node);
    // What a request holds that read the sessions before the end and writes them after it.
    let read = "echo base64_encode(serialize(get_user_meta(2, 'session_tokens', true)));";
    let held = node.php_as_site(&live, read).unwrap();
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
    let serve = node.serve().unwrap();
    let again = RunsAgain(serve);
    serve.kill().unwrap();
    let write = format!("update_user_meta(2, 'session_tokens', unserialize(base64_decode('{}')));", held.trim());
    node.php_as_site(&live, &write).unwrap();
    wp_admin::is_in_as(&mut browser, "editor");
    drop(again);
    eventually("a look at the site", || wp_admin::is_sent_to_login(&mut browser));
    assert!(Api::panel(node).get("/v1/health").done()["watched"].as_u64() > Some(0));
    audited(node, "live", "session.end", "allowed", |row| row["detail"].as_str().unwrap().contains("came back"));
}

/// The hosting `dark` with its one instance, registered again at the end.
struct Dark<'n>(&'n Node, Hosting, Instance);

impl<'n> Dark<'n> {
    fn of(node: &'n Node) -> Self {
        Self(node, node.hosting("dark").unwrap(), node.instance("dark").unwrap())
    }

    #[track_caller]
    fn forget(&self) -> Response {
        Api::panel(self.0).delete("/v1/hostings/dark")
    }
}

impl Drop for Dark<'_> {
    fn drop(&mut self) {
        sites::put_hosting(self.0, &self.1, "active");
        drop(self.0.agent().unwrap().register_instance(&self.2));
    }
}

fn a_hosting_is_not_forgotten_while_an_end_on_it_is_unconfirmed(node: &Node) {
    let dark = Dark::of(node);
    let share = share(node, "dark", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, &dark.2, None);
    node.database().hang().unwrap();
    let again = RunsAgain(node.database());
    let ended = Api::panel(node).delete("/v1/instances/dark").done();
    assert!(ended["ended"]["unconfirmed"].as_array().is_some_and(|those| !those.is_empty()), "{ended}");
    let problem = dark.forget().refused(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("the session as editor on dark"), "{problem}");
    drop(again);
    eventually("the end of the session", || dark.forget().status == 200);
    wp_admin::is_out(&mut browser);
    dark.forget().refused(404, "not_found");
}

fn a_hosting_whose_site_is_gone_for_good_is_abandoned_with_its_unconfirmed_ends(node: &Node) {
    let dark = Dark::of(node);
    let share = share(node, "dark", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, &dark.2, None);
    node.database().hang().unwrap();
    let again = RunsAgain(node.database());
    Api::panel(node).delete("/v1/instances/dark").done();
    dark.forget().refused(409, "conflict");
    Api::panel(node).delete("/v1/hostings/dark?unconfirmed=perhaps").refused(400, "invalid");
    assert_eq!(Api::panel(node).get("/v1/health").done()["state"], "degraded");
    Api::panel(node).delete("/v1/hostings/dark?unconfirmed=abandon").done();
    dark.forget().refused(404, "not_found");
    drop(again);
    // Nobody can end it any more, and nobody says otherwise.
    assert_eq!(Api::panel(node).get("/v1/health").done()["state"], "ok");
    wp_admin::is_in_as(&mut browser, "editor");
}

/// Has a site do this before WordPress starts in a call of the agent, until it is dropped.
struct Delayed(std::path::PathBuf, String);

impl Delayed {
    #[track_caller]
    fn by(site: &Instance, code: &str) -> Self {
        let file = site.docroot.join("wp-config.php");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("<?php", &format!("<?php if (PHP_SAPI === 'cli') {{ {code} }}"), 1))
            .unwrap();
        Self(file, text)
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        drop(std::fs::write(&self.0, &self.1));
    }
}

fn a_site_that_is_slow_and_not_gone_is_given_longer_until_its_end_is_confirmed(node: &Node) {
    let live = node.instance("live").unwrap();
    let (share, mut browser) = editor_in(node);
    let _delayed = Delayed::by(&live, "sleep(3);");
    let stopwatch = Stopwatch::start();
    is_unconfirmed(&share.revoke(), stopwatch.elapsed());
    let confirmed = || share.shown().get("unconfirmed").is_none();
    assert!(Deadline::after(Duration::from_secs(60)).wait_until(confirmed), "{}", share.shown());
    wp_admin::is_out(&mut browser);
}

fn an_expiry_beside_a_site_that_hangs_ends_everything_else_in_time_and_that_later(node: &Node) {
    let [hangs, second] = ["live", "second"].map(|id| node.instance(id).unwrap());
    let (there, mut there_in) = editor_in(node);
    let here = share(node, "second", &person("guest"), &pinned_editor());
    let mut here_in = wp_admin::log_in(node, &here.email, &second, None);
    // The site is looked at again two seconds after each of these, by a call that hangs then.
    let ended: Vec<_> = (0..6).map(|_| editor_in(node)).collect();
    ended.iter().for_each(|(share, _browser)| drop(share.revoke()));
    let hanging = Delayed::by(&hangs, "while (true) { sleep(3600); }");
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    for share in [&there, &here] {
        share.update(&json!({ "expires_at": end.to_string() }));
    }
    wp_admin::is_in_as(&mut here_in, "editor");
    eventually("the end", || Timestamp::now() > end);
    for (share, instance) in [(&there, "live"), (&here, "second")] {
        wp_admin::ask(node, &share.email, instance, None).refused_by("A2", 404, "not_found");
    }
    let is_out = || wp_admin::is_sent_to_login(&mut here_in);
    assert!(Deadline::after(Duration::from_secs(5)).wait_until(is_out), "the other site was not ended in time");
    eventually("the state", || there.state() == "expired");
    assert_eq!(there.shown()["unconfirmed"].as_array().map(Vec::len), Some(1));
    wp_admin::is_in_as(&mut there_in, "editor");
    drop(hanging);
    let confirmed = || there.shown().get("unconfirmed").is_none();
    assert!(Deadline::after(Duration::from_secs(60)).wait_until(confirmed), "{}", there.shown());
    wp_admin::is_out(&mut there_in);
}

fn a_hosting_that_the_broker_could_not_forget_is_forgotten_by_the_next_request(node: &Node) {
    let dark = Dark::of(node);
    Api::panel(node).delete("/v1/instances/dark").done();
    let broker = node.broker().unwrap();
    let again = RunsAgain(broker);
    broker.kill().unwrap();
    let problem = dark.forget().refused(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("repeat"), "{problem}");
    drop(again);
    dark.forget().done();
    dark.forget().refused(404, "not_found");
}
