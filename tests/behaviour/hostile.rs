//! Sites whose own code is against us: whatever they do, the way in and out works wherever WordPress starts, the agent
//! answers in bounded time, nothing outlives a call, and nobody else waits.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use latchkey_tests::api::Api;
use latchkey_tests::browser::Browser;
use latchkey_tests::shares::{any_user, person, pinned_editor, share};
use latchkey_tests::waiting::{PATIENCE, eventually};
use latchkey_tests::wp_admin;
use serde_json::json;
use xtask::clock::{Deadline, Stopwatch};
use xtask::node::{Instance, Node};
use xtask::process::Program;

use crate::variants::has_ended_one;

crate::trials! { beside_others:
    whatever_a_plugin_does_the_agent_works_and_nothing_outlives_its_calls,
    a_forged_answer_lies_about_its_own_site_only,
    a_site_that_answers_a_hundred_megabytes_does_not_fill_the_agent,
    sites_that_hang_delay_nobody_else_and_are_answered_for_in_time,
    a_site_that_spins_is_stopped_and_delays_nobody_else,
    a_replaced_wordpress_starts_nothing_is_told_as_such_and_loses_no_end,
}

/// What a plugin may do, when the agent calls and when anybody visits.
const MISDEEDS: [(&str, &str); 9] = [
    ("dies", "latchkey_no_such_function();"),
    ("does not parse", "function {"),
    ("exits", "exit('bye');"),
    (
        "prints garbage",
        "echo str_repeat(\"\\0\\xff{\\\"ok\\\":true}\\n\", 100000); while (ob_get_level() && @ob_end_flush()) {}",
    ),
    ("redirects", "add_action('init', function () { wp_redirect('https://elsewhere.example/'); exit; });"),
    (
        "answers nonsense",
        "$f = fopen('php://fd/3', 'w'); if ($f) { fwrite($f, \"{\\\"ok\\\":true,\\\"result\\\":[[[\\n\"); } exit;",
    ),
    (
        "keeps the answer open",
        "$GLOBALS['held'] = [fopen('php://fd/3', 'w'), fopen('php://fd/3', 'w')]; if (PHP_SAPI === 'cli') { fwrite($GLOBALS['held'][0], 'x'); }",
    ),
    ("uses up its memory", "$a = []; while (true) { $a[] = str_repeat('x', 1 << 20); }"),
    (
        "leaves a process",
        "if (PHP_SAPI === 'cli' && pcntl_fork() === 0) { posix_setsid(); while (true) { sleep(3600); } } exit;",
    ),
];

/// Has a must-use plugin with this code run in a site until it is dropped.
struct Misdeed(std::path::PathBuf);

impl Misdeed {
    #[track_caller]
    fn in_site(site: &Instance, code: &str) -> Self {
        let plugins = site.docroot.join("wp-content/mu-plugins");
        fs::create_dir_all(&plugins).unwrap();
        let file = plugins.join("hostile.php");
        fs::write(&file, format!("<?php {code}")).unwrap();
        Self(file)
    }
}

impl Drop for Misdeed {
    fn drop(&mut self) {
        // Gone already where a trial put another in its place.
        drop(fs::remove_file(&self.0));
    }
}

/// The processes of a site's hosting, but those of its PHP pool.
fn processes(node: &Node, site: &Instance) -> Vec<String> {
    let user = node.hosting(&site.hosting).unwrap().user;
    let list = Program::new("ps").args(["-o", "pid=,args=", "-U"]).arg(user.uid.to_string());
    // An error says that there are none.
    let listed = list.text().unwrap_or_default();
    listed.lines().filter(|line| !line.contains("php-fpm: pool")).map(str::to_owned).collect()
}

#[track_caller]
fn nothing_runs(node: &Node, site: &Instance, what: &str) {
    // The agent itself looks at a site again after the end of a share: such a call comes and goes.
    let left = || processes(node, site);
    assert!(Deadline::after(PATIENCE).wait_until(|| left().is_empty()), "a plugin that {what} left {:?}", left());
}

fn whatever_a_plugin_does_the_agent_works_and_nothing_outlives_its_calls(node: &Node) {
    let site = node.instance("hostile").unwrap();
    for (what, code) in MISDEEDS {
        let guest = share(node, "hostile", &person("guest"), &pinned_editor());
        let misdeed = Misdeed::in_site(&site, code);
        let name = json!({ "name": format!("It {what}") });
        let set = Api::panel(node).operate("hostile", "site_name.set", &name);
        assert_eq!(set.status, 200, "{what}: {}", set.body);
        nothing_runs(node, &site, what);
        let users = Api::panel(node).operate("hostile", "sso.users", &json!({})).done();
        assert_eq!(users["items"].as_array().map(Vec::len), Some(3), "{what}: {users}");
        let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
        // In WP Admin itself the plugin runs, and does what it does to everybody.
        drop(misdeed);
        wp_admin::is_in_as(&mut browser, "editor");
        let misdeed = Misdeed::in_site(&site, code);
        has_ended_one(&guest.revoke());
        nothing_runs(node, &site, what);
        drop(misdeed);
        wp_admin::is_out(&mut browser);
        assert_eq!(Api::panel(node).operate("hostile", "site_name.show", &json!({})).done(), name, "{what}");
    }
}

/// Code that answers instead of the bridge.
fn forges(result: &str) -> String {
    format!(
        "$f = fopen('php://fd/3', 'w'); if ($f) {{ fwrite($f, '{{\"ok\":true,\"result\":{result}}}' . \"\\n\"); \
         posix_kill(getmypid(), 9); exit; }}"
    )
}

fn a_forged_answer_lies_about_its_own_site_only(node: &Node) {
    let site = node.instance("hostile-forger").unwrap();
    let lie = Misdeed::in_site(&site, &forges(r#"{"name":"FORGED"}"#));
    let shown = |id: &str| Api::panel(node).operate(id, "site_name.show", &json!({})).done();
    assert_eq!(shown("hostile-forger"), json!({ "name": "FORGED" }));
    assert_eq!(shown("live"), json!({ "name": "Live site" }));
    drop(lie);
    // A menu with a wrong login is only a menu: whom one becomes is asked without plugins, and looked up again.
    let user = r#"{"items":[{"id":2,"login":"admin","display_name":"x","roles":[]}]}"#;
    let lie = Misdeed::in_site(&site, &forges(user));
    let users = Api::panel(node).operate("hostile-forger", "sso.users", &json!({})).done();
    assert_eq!(users["items"][0]["login"], "admin", "{users}");
    let guest = share(node, "hostile-forger", &person("guest"), &any_user());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, Some(2));
    drop(lie);
    wp_admin::is_in_as(&mut browser, "editor");
    let lie = Misdeed::in_site(&site, &forges(r#"{"ended":4000000000,"users":[],"administrators":[]}"#));
    let guest = share(node, "hostile-forger", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
    // Sessions are ended without plugins, so this one has no say.
    has_ended_one(&guest.revoke());
    drop(lie);
    wp_admin::is_out(&mut browser);
}

/// Resident memory of serve, in KiB, at its highest.
fn peak_of_serve(node: &Node) -> u64 {
    let pid = node.serve().unwrap().pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn a_site_that_answers_a_hundred_megabytes_does_not_fill_the_agent(node: &Node) {
    let site = node.instance("hostile-floods").unwrap();
    let before = peak_of_serve(node);
    let pours = |target: &str| {
        format!(
            "if (PHP_SAPI === 'cli') {{ $f = fopen('{target}', 'w'); for ($i = 0; $i < 100; $i++) {{ fwrite($f, str_repeat('a', 1 << 20)); }} }}"
        )
    };
    for target in ["php://fd/3", "php://fd/2", "php://fd/1"] {
        let _misdeed = Misdeed::in_site(&site, &pours(target));
        let name = Api::panel(node).operate("hostile-floods", "site_name.show", &json!({})).done();
        assert_eq!(name, json!({ "name": "Site hostile-floods" }), "{target}");
        nothing_runs(node, &site, target);
    }
    // Of its own 100 MB each, nearly nothing: others work beside it.
    let grown = peak_of_serve(node).saturating_sub(before);
    assert!(grown < 32 << 10, "serve grew by {grown} KiB");
}

fn sites_that_hang_delay_nobody_else_and_are_answered_for_in_time(node: &Node) {
    let [sleeper, stuck] = ["sleeper", "stuck"].map(|id| node.instance(id).unwrap());
    let guest = share(node, "sleeper", &person("guest"), &pinned_editor());
    let _sleeps = Misdeed::in_site(&sleeper, "if (PHP_SAPI === 'cli') { while (true) { sleep(3600); } }");
    // Nothing of WordPress comes after this one, with plugins or without.
    let load = fs::read_to_string(stuck.docroot.join("wp-load.php")).unwrap();
    fs::write(stuck.docroot.join("wp-load.php"), "<?php while (true) { sleep(3600); }").unwrap();
    let answered = AtomicUsize::new(0);
    let show = |id: &str| {
        let stopwatch = Stopwatch::start();
        let answer = Api::panel(node).operate(id, "site_name.show", &json!({}));
        answered.fetch_add(1, Ordering::SeqCst);
        (answer, stopwatch.elapsed())
    };
    thread::scope(|scope| {
        // As many as one hosting may have under way.
        let asleep: Vec<_> = (0..3).map(|_| scope.spawn(|| show("sleeper"))).collect();
        let dead = scope.spawn(|| show("stuck"));
        eventually("the calls that hang", || {
            processes(node, &sleeper).len() == 3 && processes(node, &stuck).len() == 1
        });
        assert_eq!(Api::panel(node).operate("live", "site_name.show", &json!({})).status, 200);
        assert_eq!(answered.load(Ordering::SeqCst), 0, "who waits for nobody came after those who hang");
        // One more than that waits for its turn, and is told that there is none.
        Api::panel(node).operate("sleeper", "site_name.show", &json!({})).refused(429, "busy");
        // The way in and out of the very site that hangs.
        let mut browser = wp_admin::log_in(node, &guest.email, &sleeper, None);
        wp_admin::is_in_as(&mut browser, "editor");
        has_ended_one(&guest.revoke());
        wp_admin::is_out(&mut browser);
        for call in asleep {
            let (answer, took) = call.join().unwrap();
            assert_eq!(answer.done(), json!({ "name": "Site sleeper" }));
            assert!(took < Duration::from_secs(60), "{took:?}");
        }
        let (answer, took) = dead.join().unwrap();
        answer.refused(504, "timed_out");
        assert!(took < Duration::from_secs(90), "{took:?}");
    });
    nothing_runs(node, &sleeper, "sleeps");
    nothing_runs(node, &stuck, "sleeps");
    fs::write(stuck.docroot.join("wp-load.php"), load).unwrap();
}

fn a_site_that_spins_is_stopped_and_delays_nobody_else(node: &Node) {
    let site = node.instance("spinner").unwrap();
    let guest = share(node, "spinner", &person("guest"), &pinned_editor());
    // It goes on where PHP itself would stop it.
    let spins = "set_time_limit(0); register_shutdown_function(function () { while (true); }); while (true);";
    let misdeed = Misdeed::in_site(&site, spins);
    let is_answered = AtomicUsize::new(0);
    let mut browser = thread::scope(|scope| {
        let call = scope.spawn(|| {
            let stopwatch = Stopwatch::start();
            let answer = Api::panel(node).operate("spinner", "site_name.show", &json!({}));
            is_answered.store(1, Ordering::SeqCst);
            (answer, stopwatch.elapsed())
        });
        eventually("the call that spins", || !processes(node, &site).is_empty());
        assert_eq!(Api::panel(node).operate("live", "site_name.show", &json!({})).status, 200);
        // The way in of the very site that spins.
        let browser = wp_admin::log_in(node, &guest.email, &site, None);
        assert_eq!(is_answered.load(Ordering::SeqCst), 0, "who waits for nobody came after who spins");
        let (answer, took) = call.join().unwrap();
        assert_eq!(answer.done(), json!({ "name": "Site spinner" }));
        assert!(took < Duration::from_secs(60), "{took:?}");
        browser
    });
    nothing_runs(node, &site, "spins");
    drop(misdeed);
    wp_admin::is_in_as(&mut browser, "editor");
    let misdeed = Misdeed::in_site(&site, spins);
    has_ended_one(&guest.revoke());
    drop(misdeed);
    wp_admin::is_out(&mut browser);
}

/// Whether visitors see WordPress. Pools look at a file every two seconds only.
fn starts(site: &Instance) -> bool {
    let page = Browser::at_site(&site.url).open("/");
    page.status == 200 && page.body.contains("</html>")
}

fn a_replaced_wordpress_starts_nothing_is_told_as_such_and_loses_no_end(node: &Node) {
    let site = node.instance("replaced").unwrap();
    let guest = share(node, "replaced", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    let file = site.docroot.join("wp-load.php");
    let load = fs::read_to_string(&file).unwrap();
    for (code, says) in [
        ("<?php exit('mine');", "ended the script"),
        ("<?php throw new Exception('mine in ' . __FILE__);", "mine in wp-load.php"),
        ("<?php // Starts nothing, and lets the bridge go on without WordPress.", "undefined function"),
    ] {
        fs::write(&file, code).unwrap();
        eventually("that PHP sees the new file", || !starts(&site));
        let problem = Api::panel(node).operate("replaced", "site_name.show", &json!({})).refused(503, "unavailable");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        let link = wp_admin::link(node, &guest.email, "replaced", None);
        wp_admin::is_refused(&wp_admin::redeem(node, &site, &link.token), node, "could not be started");
        nothing_runs(node, &site, code);
    }
    let stopwatch = Stopwatch::start();
    let ended = guest.revoke();
    assert!(stopwatch.elapsed() < Duration::from_secs(3), "{:?}", stopwatch.elapsed());
    assert_eq!(ended["unconfirmed"][0]["what"], "the session as editor on replaced", "{ended}");
    fs::write(&file, load).unwrap();
    eventually("that PHP sees the old file", || starts(&site));
    eventually("the end of what was unconfirmed", || guest.shown().get("unconfirmed").is_none());
    wp_admin::is_out(&mut browser);
}
