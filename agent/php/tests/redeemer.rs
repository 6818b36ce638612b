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
mod web;

use std::{fs, sync::PoisonError};

use serde_json::{Value, json};
use web::{MARK, ONE_AT_A_TIME, TOKEN, Web, check_page, granted};

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
    let content = web.site.docroot.join("wp-content");
    assert_eq!(opened["baseline"]["folders"][0], content.to_str().unwrap());
    assert_eq!(opened["baseline"]["folders"][3], content.join("uploads").to_str().unwrap());
    let verifier = opened["verifier"].as_str().unwrap();
    let stored = web.site.wordpress("echo '|', json_encode(get_user_meta(2, 'session_tokens', true));");
    let stored: Value = serde_json::from_str(stored.trim_start_matches('|')).unwrap();
    assert_eq!(stored[verifier]["latchkey"], MARK);
    assert_eq!(stored[verifier]["expiration"], opened["expires_at"]);
    let cookie = answer.head.lines().find(|line| line.contains("wordpress_logged_in_")).unwrap();
    // WordPress reads the clock twice: a second that begins in between makes the cookie end one earlier, never later.
    let expires_at = opened["expires_at"].as_u64().unwrap();
    let ends = [expires_at, expires_at - 1].map(|end| format!("editor%7C{end}%7C"));
    assert!(ends.iter().any(|end| cookie.contains(end)), "{cookie}");
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
    fs::remove_file(&web.socket).unwrap();
    check_page(&web.request("POST", "", &format!("token={TOKEN}")), 403);
}
