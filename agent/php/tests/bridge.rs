//! The bridge against a real WordPress with a hostile plugin, through the real `latchkey-php`.
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
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use serde_json::{Value, json};
use site::{Site, URL};
use system_user::until;

/// What came of a call.
struct Called {
    reply: Value,
    /// All that was written to the reply's descriptor.
    written: String,
    log: String,
    code: i32,
}

fn call_at(site: &Site, url: &str, skip_plugins: bool, action: &str, args: Value) -> Called {
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/bridge.php");
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey-php"))
        .env_clear()
        .args([
            format!("--broker-pid={}", std::process::id()),
            format!("--uid={}", site.user.uid),
            format!("--gid={}", site.user.gid),
            format!("--home={}", site.home.display()),
            "--docroot=public".to_owned(),
            "--deadline-ms=5000".to_owned(),
            "--php=/usr/bin/php8.2".to_owned(),
            format!("--bridge={}", bridge.display()),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = json!({"action": action, "args": args, "site": {"url": url}, "skip_plugins": skip_plugins});
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    Called {
        reply: written.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default(),
        written,
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap(),
    }
}

fn call(site: &Site, action: &str, args: Value) -> Value {
    let called = call_at(site, URL, false, action, args);
    assert_eq!(called.written.lines().count(), 1, "{}\n{}", called.written, called.log);
    assert_eq!(called.code, 0);
    called.reply
}

#[track_caller]
fn check(site: &Arc<Site>, action: &str, args: Value, result: Value) {
    assert_eq!(call(site, action, args), json!({"ok": true, "result": result}), "{action}");
}

#[track_caller]
fn check_error(reply: &Value, code: &str) {
    assert_eq!(reply["ok"], false, "{reply}");
    assert_eq!(reply["error"]["code"], code, "{reply}");
}

#[track_caller]
fn check_hostile(path: &str, code: &str) -> Called {
    let site = Site::shared();
    let called = call_at(&site, &format!("{URL}/{path}"), false, "indexing.show", json!({}));
    check_error(&called.reply, code);
    let skipped = call_at(&site, &format!("{URL}/{path}"), true, "indexing.show", json!({}));
    assert_eq!(skipped.reply["ok"], true, "{}", skipped.reply);
    called
}

#[test]
fn the_title_is_shown_and_set_as_people_read_it() {
    let site = Site::shared();
    check(&site, "site_name.show", json!({}), json!({"name": "Tom & \"Ann\""}));
    check(&site, "site_name.set", json!({"name": "Käse & <b>Brot</b>"}), json!({"name": "Käse & <b>Brot</b>"}));
    check(&site, "site_name.set", json!({"name": "It's \\ ours"}), json!({"name": "It's \\ ours"}));
    check_error(&call(&site, "site_name.set", json!({"name": "two\nlines"})), "invalid");
    check_error(&call(&site, "site_name.set", json!({"name": 7})), "invalid");
}

#[test]
fn indexing_is_shown_and_set() {
    let site = Site::shared();
    check(&site, "indexing.set", json!({"indexed": false}), json!({"indexed": false}));
    check(&site, "indexing.show", json!({}), json!({"indexed": false}));
    check(&site, "indexing.set", json!({"indexed": true}), json!({"indexed": true}));
    check_error(&call(&site, "indexing.set", json!({"indexed": "yes"})), "invalid");
}

#[test]
fn a_site_without_an_object_cache_has_nothing_to_forget() {
    let site = Site::shared();
    check(&site, "object_cache.put", json!({}), json!({}));
    check(&site, "object_cache.reach", json!({}), json!({"reach": "none_needed"}));
}

#[test]
fn users_come_in_pages_ordered_by_id_and_one_is_found_by_id() {
    let site = Site::shared();
    let owner = json!({"id": 1, "login": "owner", "display_name": "owner", "roles": ["administrator"]});
    let editor = json!({"id": 2, "login": "editor", "display_name": "Edith", "roles": ["editor"]});
    check(&site, "sso.users", json!({"limit": 1, "after_id": 0}), json!({"items": [owner], "next_after_id": 1}));
    let rest = call(&site, "sso.users", json!({"limit": 1000, "after_id": 1}));
    assert_eq!(rest["result"]["items"][0], editor);
    let mut found = editor;
    found["administrator"] = json!(false);
    check(&site, "wp_user.find", json!({"id": 2}), json!({"user": found}));
    check(&site, "wp_user.find", json!({"id": 999}), json!({"user": null}));
    let owner = call(&site, "wp_user.find", json!({"id": 1}));
    assert_eq!(owner["result"]["user"]["administrator"], true);
    check_error(&call(&site, "sso.users", json!({"limit": 1001, "after_id": 0})), "invalid");
}

#[test]
fn an_unknown_action_and_one_with_a_path_in_it_are_unsupported() {
    let site = Site::shared();
    for action in ["site_name.drop", "nothing.show", "../bridge.show", "site_name", ""] {
        check_error(&call(&site, action, json!({})), "unsupported");
    }
}

#[test]
fn noise_of_a_plugin_stays_out_of_the_reply() {
    let site = Site::shared();
    let called = call_at(&site, &format!("{URL}/noisy"), false, "indexing.show", json!({}));
    assert_eq!(called.reply["ok"], true, "{}", called.reply);
    assert_eq!(called.written.lines().count(), 1);
    assert!(called.log.contains("raw"), "{}", called.log);
}

#[test]
fn a_fatal_plugin_is_told_with_its_place_and_skipped_on_the_second_try() {
    let called = check_hostile("fatal", "fatal");
    let message = called.reply["error"]["message"].as_str().unwrap();
    assert!(message.contains("in wp-content/plugins/hostile.php:"), "{message}");
    assert!(!message.contains(Site::shared().home.to_str().unwrap()), "{message}");
}

#[test]
fn what_a_site_defines_itself_is_no_warning_at_each_call() {
    let site = Site::shared();
    assert!(std::fs::read_to_string(site.docroot.join("wp-config.php")).unwrap().contains("DISABLE_WP_CRON"));
    for skip_plugins in [false, true] {
        let called = call_at(&site, URL, skip_plugins, "indexing.show", json!({}));
        assert_eq!((&called.reply["ok"], called.log.as_str()), (&json!(true), ""));
    }
}

#[test]
fn an_exiting_redirecting_or_dying_plugin_is_told_and_skipped_on_the_second_try() {
    check_hostile("exit", "exit");
    check_hostile("redirect", "exit");
    let died = check_hostile("die", "fatal");
    assert_eq!(died.reply["error"]["message"], "Not today");
}

#[test]
fn a_plugin_that_starts_programs_is_refused_by_php() {
    check_hostile("fork", "fatal");
}

#[test]
fn a_plugin_that_never_ends_is_killed_at_the_deadline_and_skipped_on_the_second_try() {
    let site = Site::shared();
    let called = call_at(&site, &format!("{URL}/loop"), false, "indexing.show", json!({}));
    assert_eq!((called.code, called.written.as_str()), (124, ""));
    assert_eq!(call_at(&site, &format!("{URL}/loop"), true, "indexing.show", json!({})).reply["ok"], true);
}

#[test]
fn a_forged_reply_is_one_line_and_harms_nobody_else() {
    let site = Site::shared();
    let called = call_at(&site, &format!("{URL}/forge"), false, "indexing.show", json!({}));
    assert_eq!(called.reply, json!({"ok": true, "result": {"name": "FORGED"}}));
    assert_eq!(call(&site, "indexing.show", json!({}))["ok"], true);
}

#[test]
fn nothing_is_mailed_from_a_call() {
    let site = Site::shared();
    let called = call_at(&site, &format!("{URL}/mail"), false, "indexing.show", json!({}));
    assert_eq!(called.reply["ok"], true, "{}", called.reply);
    assert!(!called.log.contains("sendmail: not found"), "{}", called.log);
}

#[test]
fn skipping_plugins_does_not_switch_them_off() {
    let site = Site::shared();
    call_at(&site, &format!("{URL}/options"), true, "site_name.set", json!({"name": "Tom & \"Ann\""}));
    assert!(site.wordpress("echo implode(',', get_option('active_plugins'));").contains("hostile.php"));
}

#[test]
fn a_folder_without_wordpress_and_a_database_that_is_away_are_told_apart() {
    let site = Site::shared();
    let bare = site.home.join("public/wp-content/uploads/copy");
    std::fs::create_dir_all(&bare).unwrap();
    let config = std::fs::read_to_string(site.docroot.join("wp-config.php")).unwrap();
    let run = |folder: &Path| {
        let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/bridge.php");
        let mut child = site
            .php()
            .current_dir(folder)
            .args([std::ffi::OsStr::new("-r"), std::ffi::OsStr::new("proc_close(proc_open([PHP_BINARY, $argv[1]], [0 => STDIN, 1 => ['file', '/dev/null', 'w'], 2 => STDERR, 3 => STDOUT], $pipes));")])
            .arg(bridge)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let request = json!({"action": "indexing.show", "args": {}, "site": {"url": URL}});
        child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        let mut reply = String::new();
        child.stdout.take().unwrap().read_to_string(&mut reply).unwrap();
        child.wait().unwrap();
        serde_json::from_str::<Value>(&reply).unwrap()
    };
    check_error(&run(&bare), "no_wordpress");
    // The same WordPress, pointed at a database that does not answer.
    std::fs::write(bare.join("wp-load.php"), "<?php require __DIR__ . '/wp-config.php';").unwrap();
    let away =
        config.replace("my.sock", "away.sock").replace("__DIR__ . '/'", &format!("'{}/'", site.docroot.display()));
    std::fs::write(bare.join("wp-config.php"), away).unwrap();
    check_error(&run(&bare), "database");
    std::fs::remove_dir_all(&bare).unwrap();
}

#[test]
fn maintenance_lasts_leaves_ways_in_and_never_removes_a_running_update() {
    let site = Site::shared();
    let file = site.docroot.join(".maintenance");
    check(&site, "maintenance.show", json!({}), json!({"enabled": false}));
    check(&site, "maintenance.set", json!({"enabled": true}), json!({"enabled": true}));
    check(&site, "maintenance.set", json!({"enabled": true}), json!({"enabled": true}));
    let visit = |script: &str, uri: &str, cookie: &str| {
        let code = format!(
            "$_SERVER['SCRIPT_NAME'] = '{script}'; $_SERVER['REQUEST_URI'] = '{uri}'; $_COOKIE = [{cookie}]; \
             define('ABSPATH', getcwd() . '/'); require ABSPATH . '.maintenance'; echo time() - $upgrading < 600 ? 'closed' : 'open';"
        );
        let output = site.php().args(["-r", &code]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(visit("/index.php", "/", ""), "closed");
    assert_eq!(visit("/wp-admin/index.php", "/wp-admin/", ""), "open");
    assert_eq!(visit("/sub/wp-login.php", "/sub/wp-login.php", ""), "open");
    assert_eq!(visit("/index.php", "/about", "'wordpress_logged_in_abc' => 'x'"), "open");
    assert_eq!(visit("/index.php", "/?x=/wp-admin/", ""), "closed");
    // Other calls go on while it is on.
    assert_eq!(call(&site, "wp_user.find", json!({"id": 1}))["ok"], true);
    check(&site, "maintenance.set", json!({"enabled": false}), json!({"enabled": false}));
    assert!(!file.exists());
    // An update of WordPress itself.
    std::fs::write(&file, "<?php $upgrading = time();").unwrap();
    check(&site, "maintenance.show", json!({}), json!({"enabled": true}));
    check_error(&call(&site, "maintenance.set", json!({"enabled": false})), "conflict");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    check(&site, "maintenance.set", json!({"enabled": false}), json!({"enabled": false}));
}

#[test]
fn ending_sessions_takes_marked_and_later_unmarked_ones_and_leaves_the_others() {
    let site = Site::shared();
    let made = site.wordpress(
        "$m = WP_Session_Tokens::get_instance(2); $m->destroy_all(); $old = hash('sha256', $m->create(time() + 600)); \
         foreach (['a', 'b'] as $mark) { $f = function ($i) use ($mark) { return ['latchkey' => str_repeat($mark, 32)] + $i; }; \
         add_filter('attach_session_information', $f); $m->create(time() + 600); remove_filter('attach_session_information', $f); } \
         $m->create(time() + 600); WP_Application_Passwords::create_new_application_password(2, ['name' => 'phone']); echo '|', $old;",
    );
    let old = made.rsplit('|').next().unwrap();
    let count = || site.wordpress("echo '|', count(WP_Session_Tokens::get_instance(2)->get_all());");
    assert_eq!(count(), "|4");
    let user = |unmarked: bool| json!({"id": 2, "login": "editor", "since": 1, "known": [old], "unmarked": unmarked});
    let args = |unmarked| json!({"marks": ["a".repeat(32)], "users": [user(unmarked)]});
    let ended = call(&site, "sessions.end", args(false));
    assert_eq!(ended["result"]["ended"], 1, "{ended}");
    let told = &ended["result"]["users"][0];
    assert_eq!((&told["missing"], &told["email"]), (&json!(false), &json!("editor@example.org")));
    assert_eq!(told["password_fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(told["application_passwords"][0]["name"], "phone");
    assert_eq!(ended["result"]["administrators"][0]["login"], "owner");
    // The unmarked one begun since goes; the known one and the other share's stay. Plugins are skipped this time.
    let skipped = call_at(&site, &format!("{URL}/fatal"), true, "sessions.end", args(true));
    assert_eq!(skipped.reply["result"]["ended"], 1, "{}", skipped.reply);
    assert_eq!(call(&site, "sessions.end", args(true))["result"]["ended"], 0);
    assert_eq!(count(), "|2");
    let other =
        json!({"marks": [], "users": [{"id": 2, "login": "renamed", "since": 1, "known": [], "unmarked": true}]});
    let other = call(&site, "sessions.end", other);
    assert_eq!((&other["result"]["ended"], &other["result"]["users"][0]["missing"]), (&json!(0), &json!(true)));
    assert_eq!(count(), "|2");
}

/// Stands for a site that writes each session back once or twice after it was ended.
const STUBBORN: &str = r#"<?php
namespace Latchkey\Accounts {
    function sessions(int $id): array
    {
        static $rounds = [['v' => 1, 'w' => 1], ['v' => 1], ['w' => 1]];
        return array_map(fn() => ['latchkey' => 'm'], array_shift($rounds) ?? []);
    }
    function end_session(int $id, string $verifier): void {}
    function alone_with_sessions(int $id, int $seconds, callable $end): int { return $end(); }
    function administrators(): array { return []; }
}
namespace Latchkey\Pool {
    function has_forgotten(): bool { return true; }
}
namespace {
    function get_userdata(int $id) { return false; }
    $verbs = require $argv[1];
    echo $verbs['end']['run'](['marks' => ['m'], 'users' => [['id' => 2, 'login' => 'editor']]])['ended'];
}
"#;

#[test]
fn a_session_that_comes_back_between_two_sweeps_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("stubborn.php");
    std::fs::write(&script, STUBBORN).unwrap();
    let actions = concat!(env!("CARGO_MANIFEST_DIR"), "/bridge/actions/sessions.php");
    let ran = std::process::Command::new("/usr/bin/php8.2").arg(&script).arg(actions).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "2", "{ran:?}");
}

#[test]
fn a_warm_call_takes_a_fraction_of_a_second() {
    let site = Site::shared();
    let started = Instant::now();
    for _ in 0..5 {
        call(&site, "site_name.show", json!({}));
    }
    let each = started.elapsed() / 5;
    // Generous, because tests run side by side; alone it is about an eighth of a second.
    assert!(each.as_secs() < 4, "one call took {each:?}");
    until("the calls are gone", || site.user.processes().len() <= 1);
}
