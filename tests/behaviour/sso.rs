//! `sso.*`: from an invitation into WP Admin, and out again with whatever ends the share.

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::{Browser, field_of};
use latchkey_tests::shares::{DEMO_OWNER, Share, any_user, invite_as, person, pinned_editor, share, share_as};
use latchkey_tests::waiting::{eventually, until_the_next_second};
use latchkey_tests::{sites, wp_admin};
use serde_json::{Value, json};
use xtask::node::{Instance, Node};
use xtask::soak::endings::Rounds;

crate::trials! { beside_others:
    somebody_invited_gets_in_as_exactly_the_chosen_user_and_out_with_the_share,
    a_suspended_share_ends_its_sessions_and_a_reinstated_one_opens_new_ones,
    a_role_without_sso_ends_the_sessions,
    another_log_in_as_ends_the_sessions_of_the_user_before,
    a_change_that_keeps_the_log_in_as_keeps_the_sessions,
    an_expiry_two_seconds_ahead_ends_the_sessions_without_a_panel,
    a_suspended_hosting_ends_the_sessions_and_refuses_owners_too,
    a_removed_grantor_takes_the_sessions_below_along,
    a_removed_owner_takes_the_sessions_they_granted_along,
    leaving_ends_ones_own_sessions,
    all_shares_of_a_person_end_at_once,
    one_session_can_be_closed_by_the_person_or_the_panel_and_by_nobody_else,
    a_changed_password_does_not_keep_anybody_in_and_is_named_as_residue,
    new_application_passwords_and_administrators_are_named_as_residue,
    sessions_of_the_same_user_from_elsewhere_stay,
    a_broken_plugin_stops_neither_sso_nor_revocation,
    maintenance_mode_stops_neither_sso_nor_revocation,
    under_all_the_user_must_be_named_and_must_exist,
    under_a_pin_only_that_user_may_be_named,
    the_privilege_without_a_log_in_as_opens_nothing,
    users_are_listed_as_the_site_has_them_and_under_a_pin_only_that_one,
    a_session_lasts_no_longer_than_its_share,
    the_link_is_answered_once_per_idempotency_key,
    what_the_pinned_user_is_shows_in_the_reach_after_the_first_login;
    alone:
    openings_and_endings_race_and_nobody_stays_in,
}

fn somebody_invited_gets_in_as_exactly_the_chosen_user_and_out_with_the_share(node: &Node) {
    let live = node.instance("live").unwrap();
    let anna = person("anna");
    let share = invite_as(node, DEMO_OWNER, "live", &anna, &pinned_editor());
    wp_admin::ask(node, &anna, "live", None).refused_by("A2", 404, "not_found");

    let mut gateway = share.accept_by_mail();
    assert_eq!(share.state(), "active");
    assert!(gateway.open("/").body.contains("Live site"));

    let mut browser = wp_admin::log_in(node, &anna, &live, None);
    wp_admin::is_in_as(&mut browser, "editor");
    let sessions = Api::acting_as(node, &anna).get("/v1/sessions").done();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "{sessions}");

    let reply = Api::owner(node).delete(&share.path()).done();
    assert_eq!(reply["share"]["state"], "revoked", "{reply}");
    has_ended_one(&reply["ended"]);
    assert_eq!(reply["ended"]["closed"]["gateway"], 1, "{reply}");
    wp_admin::is_out(&mut browser);
    assert_eq!(gateway.open("/").location(), "/sign-in");
    wp_admin::ask(node, &anna, "live", None).refused_by("A2", 404, "not_found");
    for (operation, by) in [
        ("share.invite", DEMO_OWNER),
        ("share.accept", &anna),
        ("sso.open", &anna),
        ("sso.redeem", &anna),
        ("share.revoke", DEMO_OWNER),
    ] {
        audited(node, "live", operation, "allowed", |row| row["share"] == share.id.as_str() && row["actor"] == by);
    }
}

/// Exactly one WordPress session was ended, and nothing is left.
#[track_caller]
fn has_ended_one(ended: &Value) {
    assert_eq!(ended["closed"]["wordpress"], 1, "{ended}");
    assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
    assert_eq!(ended["residue"], json!([]), "{ended}");
}

/// Somebody is logged in as the editor of `live`; what is done to the share must put them out at once.
#[track_caller]
fn check_end(node: &Node, end: fn(&Share<'_>) -> Value) {
    let (share, mut browser) = editor_in(node, &node.instance("live").unwrap());
    has_ended_one(&end(&share));
    wp_admin::is_out(&mut browser);
}

/// A share pinned to the editor, with a browser that is in.
#[track_caller]
fn editor_in<'n>(node: &'n Node, instance: &Instance) -> (Share<'n>, Browser) {
    let share = share(node, &instance.id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, instance, None);
    wp_admin::is_in_as(&mut browser, "editor");
    (share, browser)
}

fn a_suspended_share_ends_its_sessions_and_a_reinstated_one_opens_new_ones(node: &Node) {
    let live = node.instance("live").unwrap();
    let (share, mut browser) = editor_in(node, &live);
    has_ended_one(&share.suspend());
    wp_admin::is_out(&mut browser);
    wp_admin::ask(node, &share.email, "live", None).refused_by("A2", 404, "not_found");
    share.reinstate();
    wp_admin::is_out(&mut browser);
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &live, None), "editor");
}

fn a_role_without_sso_ends_the_sessions(node: &Node) {
    check_end(node, |share| {
        let ended = share.update(&json!({ "role": "view_only" }));
        assert_eq!(share.shown()["log_in_as"], Value::Null);
        ended
    });
}

fn another_log_in_as_ends_the_sessions_of_the_user_before(node: &Node) {
    let live = node.instance("live").unwrap();
    let (share, mut browser) = editor_in(node, &live);
    has_ended_one(&share.update(&json!({ "log_in_as": { "id": 3, "login": "author" } })));
    wp_admin::is_out(&mut browser);
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &live, None), "author");
}

fn a_change_that_keeps_the_log_in_as_keeps_the_sessions(node: &Node) {
    let live = node.instance("live").unwrap();
    let (share, mut browser) = editor_in(node, &live);
    let ended = share.update(&json!({ "note": "Go on.", "expires_at": in_seconds(3600).to_string() }));
    assert_eq!(ended["closed"]["wordpress"], 0, "{ended}");
    wp_admin::is_in_as(&mut browser, "editor");
    // Wider: any user, the editor among them.
    let ended = share.update(&json!({ "log_in_as": "all" }));
    assert_eq!(ended["closed"]["wordpress"], 0, "{ended}");
    wp_admin::is_in_as(&mut browser, "editor");
}

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

fn an_expiry_two_seconds_ahead_ends_the_sessions_without_a_panel(node: &Node) {
    let (share, mut browser) = editor_in(node, &node.instance("live").unwrap());
    let end = in_seconds(2);
    let ended = share.update(&json!({ "expires_at": end.to_string() }));
    assert_eq!(ended["closed"]["wordpress"], 0, "{ended}");
    eventually("the end of the share", || Timestamp::now() > end);
    wp_admin::ask(node, &share.email, "live", None).refused_by("A2", 404, "not_found");
    assert_eq!(share.state(), "expired");
    eventually("the end of the session", || wp_admin::is_sent_to_login(&mut browser));
    // A second of its own for the loaded machine that this runs on.
    assert!(Timestamp::now() < end + SignedDuration::from_secs(3), "ended {} late", Timestamp::now() - end);
    audited(node, "live", "share.expire", "allowed", |row| row["share"] == share.id.as_str() && row["rule"] == "A5");
}

fn a_suspended_hosting_ends_the_sessions_and_refuses_owners_too(node: &Node) {
    let hosting = node.hosting("dark").unwrap();
    let site = node.instance("dark").unwrap();
    let (share, mut browser) = editor_in(node, &site);
    sites::put_hosting(node, &hosting, "suspended").done();
    wp_admin::is_out(&mut browser);
    wp_admin::ask(node, &share.email, "dark", None).refused_by("A4", 403, "forbidden");
    wp_admin::ask(node, &sites::owner_of("dark"), "dark", Some(1)).refused_by("A4", 403, "forbidden");
    assert_eq!(share.state(), "active");
    sites::put_hosting(node, &hosting, "active").done();
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &site, None), "editor");
}

/// Terms that may share what they hold.
fn delegate() -> Value {
    json!({
        "role": "custom",
        "privileges": [
            "general.manage_shared_access",
            "general.preview_instance",
            "general.view_reports",
            "wordpress.create_sso_link",
        ],
        "log_in_as": "all",
    })
}

fn a_removed_grantor_takes_the_sessions_below_along(node: &Node) {
    let live = node.instance("live").unwrap();
    let lead = share(node, "live", &person("lead"), &delegate());
    let below = share_as(node, &lead.email, "live", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &below.email, &live, None);
    wp_admin::is_in_as(&mut browser, "editor");
    has_ended_one(&lead.revoke());
    wp_admin::is_out(&mut browser);
    assert_eq!(below.state(), "revoked");
}

fn a_removed_owner_takes_the_sessions_they_granted_along(node: &Node) {
    let site = node.instance("sold").unwrap();
    let share = share_as(node, &sites::owner_of("sold"), "sold", &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    let sold = Instance { owners: vec!["buyer@example.org".into()], ..site };
    node.agent().unwrap().register_instance(&sold).unwrap();
    wp_admin::is_out(&mut browser);
    wp_admin::ask(node, &share.email, "sold", None).refused_by("A10", 403, "forbidden");
}

fn leaving_ends_ones_own_sessions(node: &Node) {
    check_end(node, |share| {
        let reply = share.person().delete(&share.path()).done();
        assert_eq!(reply["share"]["state"], "revoked", "{reply}");
        reply["ended"].clone()
    });
}

fn all_shares_of_a_person_end_at_once(node: &Node) {
    let (share, mut browser) = editor_in(node, &node.instance("live").unwrap());
    let elsewhere = share_as(node, DEMO_OWNER, "second", &share.email, &pinned_editor());
    let path = format!("/v1/people/{}/shares", share.email);
    Api::owner(node).delete(&path).refused(403, "forbidden");
    let reply = Api::panel(node).delete(&path).done();
    assert_eq!(reply["shares"].as_array().unwrap().len(), 2, "{reply}");
    has_ended_one(&reply["ended"]);
    wp_admin::is_out(&mut browser);
    assert_eq!(elsewhere.state(), "revoked");
}

fn one_session_can_be_closed_by_the_person_or_the_panel_and_by_nobody_else(node: &Node) {
    let (share, mut browser) = editor_in(node, &node.instance("live").unwrap());
    let sessions = share.person().get("/v1/sessions").done();
    let session = &sessions["items"][0];
    assert_eq!((&session["kind"], &session["wp_user"]), (&json!("wordpress"), &json!("editor")), "{sessions}");
    let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
    Api::owner(node).delete(&path).refused(404, "not_found");
    let seen_by_owner = Api::owner(node).get("/v1/sessions?limit=500").done();
    assert!(!seen_by_owner["items"].as_array().unwrap().contains(session), "{seen_by_owner}");
    let seen_by_panel = Api::panel(node).get("/v1/sessions?limit=500").done();
    assert!(seen_by_panel["items"].as_array().unwrap().contains(session), "{seen_by_panel}");
    wp_admin::is_in_as(&mut browser, "editor");
    assert_eq!(share.person().delete(&path).done()["ended"]["closed"]["wordpress"], 1);
    wp_admin::is_out(&mut browser);
    assert_eq!(share.state(), "active");
}

fn a_changed_password_does_not_keep_anybody_in_and_is_named_as_residue(node: &Node) {
    let site = node.instance("password").unwrap();
    let (share, mut browser) = editor_in(node, &site);
    let page = browser.open("/wp-admin/profile.php").body;
    let password = "a new password of their own 42";
    let field = |name: &str| field_of(&page, name).unwrap_or_else(|| panic!("no field {name}"));
    let saved = browser.submit(
        "/wp-admin/profile.php",
        &[
            ("_wpnonce", &field("_wpnonce")),
            ("from", "profile"),
            ("checkuser_id", "2"),
            ("user_id", "2"),
            ("action", "update"),
            ("nickname", "editor"),
            ("email", &field("email")),
            ("pass1", password),
            ("pass2", password),
            ("pw_weak", "on"),
        ],
    );
    assert_eq!(saved.status, 302, "{}", saved.body);
    // WordPress gave the browser a new session that knows nothing of us.
    wp_admin::is_in_as(&mut browser, "editor");
    assert_eq!(wp_admin::sessions_of(node, &site, 2).as_array().unwrap().len(), 2);
    assert_eq!(wp_admin::marked_sessions_of(node, &site, 2), 1);

    let ended = share.revoke();
    assert_eq!(ended["closed"]["wordpress"], 2, "{ended}");
    wp_admin::is_out(&mut browser);
    assert_eq!(wp_admin::sessions_of(node, &site, 2), json!([]));
    residue_is(&ended, &["password_changed"]);
    assert!(ended["residue"][0]["what"].as_str().unwrap().contains("editor"), "{ended}");
    assert!(ended["residue"][0]["undo"].is_string(), "{ended}");
    assert_eq!(share.shown()["residue"], ended["residue"]);
}

#[track_caller]
fn residue_is(ended: &Value, kinds: &[&str]) {
    let mut found: Vec<&str> =
        ended["residue"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, kinds, "{ended}");
}

fn new_application_passwords_and_administrators_are_named_as_residue(node: &Node) {
    let site = node.instance("residue").unwrap();
    let made = "WP_Application_Passwords::create_new_application_password(1, ['name' => '%']);";
    node.php_as_site(&site, &made.replace('%', "from before")).unwrap();
    let share = share(
        node,
        "residue",
        &person("guest"),
        &json!({ "role": "view_and_sso", "log_in_as": { "id": 1, "login": "admin" } }),
    );
    let mut browser = wp_admin::log_in(node, &share.email, &site, None);
    wp_admin::is_in_as(&mut browser, "admin");
    node.php_as_site(&site, &made.replace('%', "back door")).unwrap();
    node.php_as_site(
        &site,
        "wp_insert_user(['user_login' => 'mallory', 'user_pass' => 'x', 'role' => 'administrator']);",
    )
    .unwrap();
    let ended = share.revoke();
    wp_admin::is_out(&mut browser);
    residue_is(&ended, &["administrator", "application_password"]);
    let text = ended["residue"].to_string();
    assert!(text.contains("back door") && text.contains("mallory") && !text.contains("from before"), "{text}");
}

fn sessions_of_the_same_user_from_elsewhere_stay(node: &Node) {
    let site = node.instance("elsewhere").unwrap();
    let editor = site.user("editor").unwrap();
    let mut own = Browser::at_site(&site.url);
    own.open("/wp-login.php");
    own.submit("/wp-login.php", &[("log", "editor"), ("pwd", &editor.password), ("testcookie", "1")]);
    wp_admin::is_in_as(&mut own, "editor");
    let (share, mut browser) = editor_in(node, &site);
    let (other, mut of_other) = editor_in(node, &site);
    has_ended_one(&share.revoke());
    wp_admin::is_out(&mut browser);
    // The editor's own from before, and the session of another share.
    wp_admin::is_in_as(&mut own, "editor");
    wp_admin::is_in_as(&mut of_other, "editor");
    has_ended_one(&other.revoke());
    wp_admin::is_in_as(&mut own, "editor");
}

fn a_broken_plugin_stops_neither_sso_nor_revocation(node: &Node) {
    let site = node.instance("broken").unwrap();
    let plugins = site.docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    // Broken for whoever is not in WP Admin; there the browser shall be seen to be in.
    let code = "<?php if (empty($_SERVER['REQUEST_URI']) || strpos($_SERVER['REQUEST_URI'], '/wp-admin/') !== 0) { latchkey_no_such_function(); }";
    std::fs::write(plugins.join("broken.php"), code).unwrap();
    assert_eq!(Browser::at_site(&site.url).open("/").status, 500);
    // What was there before the guest is none of their residue.
    until_the_next_second();
    let users = Api::panel(node).operate("broken", "sso.users", &json!({})).done();
    assert_eq!(users["items"].as_array().unwrap().len(), 3, "{users}");
    let (share, mut browser) = editor_in(node, &site);
    has_ended_one(&share.revoke());
    wp_admin::is_out(&mut browser);
}

fn maintenance_mode_stops_neither_sso_nor_revocation(node: &Node) {
    let site = node.instance("closed").unwrap();
    let owner = Api::acting_as(node, &sites::owner_of("closed"));
    owner.operate("closed", "maintenance.set", &json!({ "enabled": true })).done();
    assert_eq!(Browser::at_site(&site.url).open("/").status, 503);
    let (share, mut browser) = editor_in(node, &site);
    has_ended_one(&share.revoke());
    wp_admin::is_out(&mut browser);
    assert_eq!(Browser::at_site(&site.url).open("/").status, 503);
}

fn under_all_the_user_must_be_named_and_must_exist(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &any_user());
    let problem = wp_admin::ask(node, &share.email, "live", None).refused(400, "invalid");
    assert_eq!(problem["field"], "user", "{problem}");
    let problem = wp_admin::ask(node, &share.email, "live", Some(4711)).refused(400, "invalid");
    assert_eq!(problem["field"], "user", "{problem}");
    for (id, login) in [(1, "admin"), (3, "author")] {
        wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &live, Some(id)), login);
    }
    assert_eq!(share.revoke()["closed"]["wordpress"], 2);
}

fn under_a_pin_only_that_user_may_be_named(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let problem = wp_admin::ask(node, &share.email, "live", Some(1)).refused_by("A9", 403, "forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("editor"), "{problem}");
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &live, Some(2)), "editor");
}

fn the_privilege_without_a_log_in_as_opens_nothing(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &json!({ "role": "view_and_sso" }));
    wp_admin::ask(node, &share.email, "live", None).refused_by("A9", 403, "forbidden");
    wp_admin::ask(node, &share.email, "live", Some(2)).refused_by("A9", 403, "forbidden");
    share.update(&json!({ "log_in_as": { "id": 2, "login": "editor" } }));
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &live, None), "editor");
}

fn users_are_listed_as_the_site_has_them_and_under_a_pin_only_that_one(node: &Node) {
    let all = share(node, "live", &person("guest"), &any_user());
    let users = all.person().operate("live", "sso.users", &json!({})).done();
    let editor = json!({ "id": 2, "login": "editor", "display_name": "Edith Editor", "roles": ["editor"] });
    let admin = json!({ "id": 1, "login": "admin", "display_name": "Ada Admin", "roles": ["administrator"] });
    let author = json!({ "id": 3, "login": "author", "display_name": "Arthur Author", "roles": ["author"] });
    assert_eq!(users, json!({ "items": [admin, editor, author] }));
    let page = all.person().operate("live", "sso.users", &json!({ "limit": 2 })).done();
    assert_eq!(page["items"], json!([admin, editor]), "{page}");
    let rest = all.person().operate("live", "sso.users", &json!({ "limit": 2, "cursor": page["next"] })).done();
    assert_eq!(rest, json!({ "items": [author] }));
    let pinned = share(node, "live", &person("guest"), &pinned_editor());
    assert_eq!(pinned.person().operate("live", "sso.users", &json!({})).done(), json!({ "items": [editor] }));
    let none = share(node, "live", &person("guest"), &json!({ "role": "view_only" }));
    none.person().operate("live", "sso.users", &json!({})).refused_by("A1", 403, "forbidden");
}

fn a_session_lasts_no_longer_than_its_share(node: &Node) {
    let live = node.instance("second").unwrap();
    let end = in_seconds(1800);
    let mut terms = pinned_editor();
    terms["expires_at"] = json!(end.to_string());
    let share = share(node, "second", &person("guest"), &terms);
    let browser = wp_admin::log_in(node, &share.email, &live, None);
    let sessions = share.person().get("/v1/sessions").done();
    let mark = &sessions["items"][0]["id"];
    let ours = wp_admin::sessions_of(node, &live, 2);
    let ours = ours.as_array().unwrap().iter().find(|session| session["latchkey"] == *mark).unwrap().clone();
    assert_eq!(ours["expiration"].as_i64().unwrap(), end.as_second(), "{ours}");
    // The cookie says so, too; it was written some moments later than the session.
    let cookie = browser.cookies().iter().find(|(name, _)| name.starts_with("wordpress_logged_in_")).unwrap().1;
    let said: i64 = cookie.split("%7C").nth(1).unwrap().parse().unwrap();
    assert!((end.as_second()..end.as_second() + 30).contains(&said), "{cookie}");
}

fn the_link_is_answered_once_per_idempotency_key(node: &Node) {
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let ask = || {
        let request = share.person().request("POST", "/v1/instances/live/operations/sso.open");
        request.header("Idempotency-Key", &share.id).json(&json!({})).send()
    };
    ask().done();
    ask().refused(409, "conflict");
}

fn what_the_pinned_user_is_shows_in_the_reach_after_the_first_login(node: &Node) {
    let live = node.instance("live").unwrap();
    let admin = share(
        node,
        "live",
        &person("guest"),
        &json!({ "role": "view_and_sso", "log_in_as": { "id": 1, "login": "admin" } }),
    );
    let _browser = wp_admin::log_in(node, &admin.email, &live, None);
    assert_eq!(admin.shown()["reach"]["effective_admin"], true);
    let (editor, _browser) = editor_in(node, &live);
    assert_eq!(editor.shown()["reach"]["effective_admin"], false);
}

/// The short version of `cargo xtask soak endings`.
fn openings_and_endings_race_and_nobody_stays_in(node: &Node) {
    let mut rounds = Rounds::begin(node, 0).unwrap();
    for _ in 0..4 {
        rounds.play(12).unwrap();
    }
    rounds.end().unwrap();
}
