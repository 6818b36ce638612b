//! The redeemer `script`: the file that `sso_script.write` puts into a docroot, run against a real WordPress.
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

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::PoisonError,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use site::{Site, URL};
use web::{Answer, GATEWAY, MARK, ONE_AT_A_TIME, TOKEN, Web, check_page};

/// SHA-256 of [`TOKEN`]'s text.
const TOKEN_HASH: &str = "0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a";

fn call(site: &Site, action: &str, args: &Value) -> Value {
    call_at(site, URL, action, args)
}

fn call_at(site: &Site, url: &str, action: &str, args: &Value) -> Value {
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/bridge.php");
    let mut child = Command::new("sh")
        .args(["-c", "exec /usr/bin/php8.2 -f \"$0\" 3>&1 1>&2"])
        .arg(bridge)
        .env_clear()
        .uid(site.user.uid)
        .gid(site.user.gid)
        .current_dir(&site.docroot)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = json!({ "action": action, "args": args, "site": { "url": url }, "skip_plugins": true });
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A script in the docroot of the shared site.
struct Script<'w> {
    web: &'w Web,
    name: String,
    written: Value,
}

impl<'w> Script<'w> {
    fn write(web: &'w Web) -> Self {
        Self::different(web, &json!({}))
    }

    fn different(web: &'w Web, different: &Value) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("latchkey-{:032x}.php", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut args = json!({
            "name": name, "token_hash": TOKEN_HASH, "expires_at": now() + 60, "instance": "live", "gateway": GATEWAY,
            "socket": web.socket, "granted": { "user": { "id": 2, "login": "editor" }, "mark": MARK, "expires_at": now() + 600 },
        });
        for (key, value) in different.as_object().unwrap() {
            args[key] = value.clone();
        }
        let reply = call(&web.site, "sso_script.write", &args);
        assert_eq!(reply["ok"], true, "{reply}");
        Self { web, name, written: reply["result"].clone() }
    }

    fn path(&self) -> PathBuf {
        self.web.site.docroot.join(&self.name)
    }

    fn post(&self, token: &str) -> Answer {
        self.web.request_to(
            &format!("/{}", self.name),
            "POST",
            &format!("Origin: {GATEWAY}\r\n"),
            &format!("token={token}"),
        )
    }

    fn redeem(&self, answers: Vec<Value>) -> (Answer, Vec<Value>) {
        self.web.redeem_at(&format!("/{}", self.name), answers)
    }

    fn is_there(&self) -> bool {
        self.path().exists()
    }
}

impl Drop for Script<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn end_sessions(web: &Web) {
    web.site.wordpress("WP_Session_Tokens::get_instance(2)->destroy_all();");
}

fn marks(web: &Web) -> String {
    web.site.wordpress(
        "echo '|', implode(',', array_column((array) get_user_meta(2, 'session_tokens', true), 'latchkey'));",
    )
}

#[track_caller]
fn check_signed_in(answer: &Answer) {
    assert_eq!(answer.status, 302, "{}{}", answer.head, answer.body);
    assert!(answer.head.contains("Location: http://127.0.0.1:8081/wp-admin/"), "{}", answer.head);
    assert!(answer.head.contains("wordpress_logged_in_"), "{}", answer.head);
}

#[test]
fn a_script_is_the_system_users_alone_holds_no_secret_and_never_stays_in_opcache() {
    let web = Web::of_docroot();
    let script = Script::write(&web);
    let found = fs::metadata(script.path()).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (web.site.user.uid, 0o600));
    // opcache keeps no file that is younger than the request.
    assert!(found.mtime() > i64::try_from(now()).unwrap() + 60);
    let text = fs::read_to_string(script.path()).unwrap();
    assert!(!text.contains(TOKEN) && text.contains(TOKEN_HASH));
    let written = &script.written["written"];
    assert_eq!(written["path"], "/");
    assert_eq!(written["administrator"], false);
    assert_eq!(written["baseline"]["user"]["login"], "editor");
    assert_eq!(written["baseline"]["administrators"][0]["login"], "owner");
}

#[test]
fn with_the_agent_a_token_is_burnt_at_both_and_opens_a_marked_session_once() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::of_docroot();
    end_sessions(&web);
    let script = Script::write(&web);
    fs::write(web.site.docroot.join(".maintenance"), "<?php $upgrading = time();").unwrap();
    let (answer, heard) = script.redeem(vec![web::granted(2, "editor"), json!({ "ok": true })]);
    fs::remove_file(web.site.docroot.join(".maintenance")).unwrap();
    check_signed_in(&answer);
    assert_eq!(heard[0], json!({ "redeem": { "instance": "live", "token": TOKEN } }));
    assert_eq!(heard[1]["opened"]["baseline"]["user"]["login"], "editor");
    assert_eq!(marks(&web), format!("|{MARK}"));
    assert!(!script.is_there());
    assert_eq!(script.post(TOKEN).status, 404);
    end_sessions(&web);
}

#[test]
fn a_form_that_the_gateway_sent_on_is_known_by_its_referrer() {
    let web = Web::of_docroot();
    let script = Script::write(&web);
    let headers = format!("Origin: null\r\nReferer: {GATEWAY}/\r\n");
    let wrong = format!("token={}", "B".repeat(43));
    let answer = web.request_to(&format!("/{}", script.name), "POST", &headers, &wrong);
    check_page(&answer, 403);
    assert!(answer.body.contains("does not work (any more)"), "{}", answer.body);
}

#[test]
fn what_the_agent_refuses_opens_nothing_and_is_burnt_all_the_same() {
    let web = Web::of_docroot();
    let script = Script::write(&web);
    let (answer, _) = script.redeem(vec![json!({ "ok": false, "reason": "ended", "message": "It has ended." })]);
    check_page(&answer, 403);
    assert!(answer.body.contains("It has ended."));
    assert!(!script.is_there());
}

#[test]
fn an_agent_that_takes_the_call_and_says_nothing_lets_nobody_in() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::of_docroot();
    end_sessions(&web);
    let (answer, _) = Script::write(&web).redeem(vec![web::granted(2, "editor")]);
    check_page(&answer, 403);
    let (answer, _) = Script::write(&web).redeem(Vec::new());
    check_page(&answer, 403);
    assert_eq!(web.session_count(), "|0");
}

#[test]
fn where_the_agent_cannot_be_reached_the_script_signs_in_alone_with_the_same_mark() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::of_docroot();
    end_sessions(&web);
    let script = Script::different(&web, &json!({ "socket": "/nonexistent/redeem.sock" }));
    check_signed_in(&script.post(TOKEN));
    assert_eq!(marks(&web), format!("|{MARK}"));
    assert_eq!(script.post(TOKEN).status, 404);
    end_sessions(&web);
    // A user who is another by now is refused there, too.
    let granted = json!({ "user": { "id": 2, "login": "editor" }, "mark": MARK, "expires_at": now() + 600 });
    let script = Script::different(&web, &json!({ "socket": "/nonexistent/redeem.sock", "granted": granted }));
    web.site.wordpress(
        "global $wpdb; $wpdb->update($wpdb->users, ['user_login' => 'chief'], ['ID' => 2]); wp_cache_flush();",
    );
    let answer = script.post(TOKEN);
    web.site.wordpress(
        "global $wpdb; $wpdb->update($wpdb->users, ['user_login' => 'editor'], ['ID' => 2]); wp_cache_flush();",
    );
    check_page(&answer, 403);
    assert!(answer.body.contains("not the same"), "{}", answer.body);
    assert_eq!(web.session_count(), "|0");
}

#[test]
fn alone_a_session_is_only_made_while_the_last_sweep_is_still_to_come() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let web = Web::of_docroot();
    end_sessions(&web);
    let script = Script::different(&web, &json!({ "socket": "/nonexistent/redeem.sock" }));
    let text = fs::read_to_string(script.path()).unwrap();
    fs::write(script.path(), text.replace("const ALONE_FOR_S = 20;", "const ALONE_FOR_S = 0;")).unwrap();
    let answer = script.post(TOKEN);
    check_page(&answer, 403);
    assert!(answer.body.contains("too long to start"), "{}", answer.body);
    assert_eq!(web.session_count(), "|0");
}

#[test]
fn what_is_no_post_from_the_gateway_and_a_wrong_token_burn_nothing_until_there_are_too_many() {
    let web = Web::of_docroot();
    let script = Script::write(&web);
    let path = format!("/{}", script.name);
    let wrong = format!("token={}", "B".repeat(43));
    for (method, headers, body, status) in [
        ("GET", "", "", 405),
        ("HEAD", "", "", 405),
        ("POST", "Origin: https://evil.example\r\n", &*format!("token={TOKEN}"), 403),
        ("POST", "Origin: null\r\n", &*format!("token={TOKEN}"), 403),
        ("POST", "Origin: null\r\nReferer: https://evil.example/\r\n", &*format!("token={TOKEN}"), 403),
        ("POST", &*format!("Origin: https://evil.example\r\nReferer: {GATEWAY}/\r\n"), &*format!("token={TOKEN}"), 403),
        ("POST", "", "token=short", 403),
        ("POST", "", &*wrong, 403),
    ] {
        let answer = web.request_to(&path, method, headers, body);
        assert_eq!(answer.status, status, "{method} {headers}");
        assert!(!answer.head.contains("Set-Cookie"), "{}", answer.head);
        assert!(script.is_there(), "{method} {headers} {body}");
    }
    for guess in 2..=10 {
        assert!(script.is_there(), "gone before guess {guess}");
        check_page(&web.request_to(&path, "POST", "", &wrong), 403);
    }
    assert!(!script.is_there());
}

#[test]
fn a_script_that_is_too_old_opens_nothing_and_removes_itself() {
    let web = Web::of_docroot();
    let script = Script::different(&web, &json!({ "expires_at": now() }));
    let answer = script.post(TOKEN);
    check_page(&answer, 403);
    assert!(answer.body.contains("too old"), "{}", answer.body);
    assert!(!script.is_there());
}

#[test]
fn nothing_is_written_for_a_user_who_is_gone_or_another() {
    let web = Web::of_docroot();
    for (id, login, mismatch) in [(999, "editor", "user_missing"), (2, "editor2", "login_changed")] {
        let granted = json!({ "user": { "id": id, "login": login }, "mark": MARK, "expires_at": now() + 600 });
        let script = Script::different(&web, &json!({ "granted": granted }));
        assert_eq!(script.written, json!({ "mismatch": mismatch }));
        assert!(!script.is_there());
    }
}

#[test]
fn the_end_of_sessions_removes_scripts_first_also_where_wordpress_cannot_be_started() {
    let web = Web::of_docroot();
    let script = Script::write(&web);
    let end = json!({ "scripts": [script.name], "marks": [], "users": [] });
    let reply = call_at(&web.site, "no url, so WordPress is not started", "sessions.end", &end);
    assert_eq!(reply["error"]["code"], "invalid", "{reply}");
    assert!(!script.is_there());
    let script = Script::write(&web);
    let end = json!({ "scripts": [script.name], "marks": [], "users": [] });
    let reply = call(&web.site, "sessions.end", &end);
    assert_eq!((&reply["result"]["unused_scripts"], script.is_there()), (&json!(1), false), "{reply}");
}

#[test]
fn only_scripts_of_ours_are_removed_and_no_link_is_followed() {
    let web = Web::of_docroot();
    let docroot = web.site.docroot.clone();
    let script = Script::write(&web);
    let name = |digit: &str| format!("latchkey-{}.php", digit.repeat(32));
    fs::write(docroot.join(name("a")), "<?php // somebody else's").unwrap();
    fs::write(docroot.join("target.php"), fs::read(script.path()).unwrap()).unwrap();
    symlink("target.php", docroot.join(name("b"))).unwrap();
    // Cut off while it was written.
    fs::write(docroot.join(name("c")), "<?php /* Latch").unwrap();
    let names = json!({ "names": [script.name, name("a"), name("b"), name("c"), name("d")] });
    let reply = call(&web.site, "sso_script.remove", &names);
    assert_eq!(reply["result"]["removed"], json!([script.name, name("c")]), "{reply}");
    assert!(
        docroot.join(name("a")).exists() && docroot.join(name("b")).is_symlink() && docroot.join("target.php").exists()
    );
    for file in [name("a"), name("b"), "target.php".to_owned()] {
        fs::remove_file(docroot.join(file)).unwrap();
    }
    for wrong in ["wp-config.php", "../latchkey-a.php", "latchkey-A.php", &format!("x/{}", name("a"))] {
        let reply = call(&web.site, "sso_script.remove", &json!({ "names": [wrong] }));
        assert_eq!(reply["error"]["code"], "invalid", "{reply}");
    }
    assert!(docroot.join("wp-config.php").exists());
}
