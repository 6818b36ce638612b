//! The redeemer `script`: a file in the docroot that opens WP Admin once, and what becomes of it otherwise.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::{Browser, action_of, field_of};
use latchkey_tests::exchange::{Request, Response};
use latchkey_tests::shares::{Share, any_user, person, pinned_editor, share};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin::{self, HandOver, is_refused, link};
use serde_json::{Value, json};
use xtask::clock::Deadline;
use xtask::node::{Instance, Node};

crate::trials! {
    beside_others:
        a_person_gets_in_through_the_gateway_and_the_file_is_gone,
        a_file_is_the_system_users_alone_and_holds_no_token,
        looking_at_the_page_writes_nothing_and_pressing_twice_writes_one_file,
        of_twenty_at_once_exactly_one_gets_in_where_the_agent_is_asked,
        of_twenty_at_once_exactly_one_gets_in_where_it_cannot_be_asked,
        a_wrong_token_and_one_of_another_site_burn_nothing,
        a_press_from_elsewhere_or_with_another_token_is_refused_and_writes_nothing,
        a_share_that_ended_after_the_press_opens_nothing_and_leaves_nothing,
        one_session_that_is_closed_before_it_was_opened_is_counted_and_opens_nothing,
        a_redemption_beside_the_end_of_its_share_leaves_nobody_in,
        what_is_not_redeemed_in_time_is_removed_and_was_no_session,
        a_person_gets_in_and_out_where_the_site_cannot_reach_the_agent,
        a_user_who_is_gone_or_renamed_is_refused_at_the_press_and_after_it,
        a_docroot_that_cannot_be_written_to_is_said_to_be,
        maintenance_mode_stops_no_script,
        a_site_in_a_subfolder_is_entered_there,
        no_file_stays_in_opcache;
    alone:
        a_script_outlives_a_kill_of_serve_and_is_good_once,
        a_script_that_is_used_while_serve_is_down_is_a_session_that_ends_with_its_share,
        what_serve_left_behind_when_it_was_killed_is_removed,
        a_share_that_expires_while_serve_is_down_has_no_script_when_it_is_back,
}

/// Scripts that lie in a docroot, whole or not.
fn files(site: &Instance) -> Vec<PathBuf> {
    let entries = fs::read_dir(&site.docroot).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("latchkey-")).collect()
}

fn file_of(site: &Instance, url: &str) -> PathBuf {
    site.docroot.join(url.rsplit('/').next().unwrap())
}

#[track_caller]
fn press(node: &Node, hand_over: &HandOver) -> Response {
    Browser::at_gateway(node).submit(&hand_over.url, &[("token", &hand_over.token)])
}

/// Presses the button; answers with where the form is sent on to.
#[track_caller]
fn pressed(node: &Node, site: &Instance, hand_over: &HandOver) -> String {
    let answer = press(node, hand_over);
    assert_eq!(answer.status, 307, "{}", answer.body);
    assert_eq!(answer.header("referrer-policy"), Some("origin"));
    let url = answer.location().to_owned();
    let name = url.strip_prefix(&format!("{}/latchkey-", site.url)).unwrap_or_else(|| panic!("{url}"));
    assert_eq!(name.len(), 32 + ".php".len(), "{url}");
    url
}

fn post(node: &Node, url: &str, token: &str) -> Response {
    Request::new("POST", url).form(&[("token", token)]).header("Origin", &node.agent().unwrap().urls().gateway).send()
}

/// A share of the editor, a link of theirs, and its script.
#[track_caller]
fn script_of<'n>(node: &'n Node, site: &Instance) -> (Share<'n>, HandOver, String) {
    let share = share(node, &site.id, &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, &site.id, None);
    let url = pressed(node, site, &hand_over);
    (share, hand_over, url)
}

#[track_caller]
fn is_in(site: &Instance, opened: &Response) -> Browser {
    assert_eq!(opened.status, 302, "{}", opened.body);
    let mut browser = Browser::at_site(&site.url);
    browser.keep_cookies(opened);
    wp_admin::is_in_as(&mut browser, "editor");
    browser
}

fn sessions(share: &Share<'_>) -> Value {
    share.person().get("/v1/sessions").done()["items"].clone()
}

fn a_person_gets_in_through_the_gateway_and_the_file_is_gone(node: &Node) {
    let site = node.instance("script").unwrap();
    let share = share(node, "script", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "script", None);
    let page = Browser::at_gateway(node).open(&hand_over.url);
    let action = action_of(&page.body, "name=\"token\"").unwrap();
    assert_eq!(action, format!("/sso/{}", hand_over.token));
    assert_eq!(field_of(&page.body, "token").as_ref(), Some(&hand_over.token));
    assert!(page.header("content-security-policy").unwrap().contains(&format!("form-action 'self' {};", site.url)));
    let url = pressed(node, &site, &hand_over);
    let opened = post(node, &url, &hand_over.token);
    assert_eq!(opened.location(), format!("{}/wp-admin/", site.url));
    let mut browser = is_in(&site, &opened);
    assert!(!file_of(&site, &url).exists());
    assert_eq!(post(node, &url, &hand_over.token).status, 404);
    assert_eq!(Browser::at_gateway(node).open(&hand_over.url).status, 404);
    audited(node, "script", "sso.redeem", "allowed", |row| row["actor"] == share.email.as_str());
    assert_eq!(sessions(&share).as_array().unwrap().len(), 1);
    let ended = share.revoke();
    assert_eq!((&ended["closed"]["wordpress"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    wp_admin::is_out(&mut browser);
}

fn a_file_is_the_system_users_alone_and_holds_no_token(node: &Node) {
    let site = node.instance("script").unwrap();
    let (_share, hand_over, url) = script_of(node, &site);
    let (file, user) = (file_of(&site, &url), node.hosting("scripted").unwrap().user);
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (user.uid, user.gid, 0o600));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("latchkey") && !text.contains(&hand_over.token), "{text}");
    // A look at it shows and burns nothing.
    let looked = Browser::at_site(&site.url).open(&url);
    assert_eq!(looked.status, 405);
    assert!(!looked.body.contains("token_hash"), "{}", looked.body);
    assert!(file.exists());
}

fn looking_at_the_page_writes_nothing_and_pressing_twice_writes_one_file(node: &Node) {
    let site = node.instance("script").unwrap();
    let share = share(node, "script", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "script", None);
    assert_eq!(Browser::at_gateway(node).open(&hand_over.url).status, 200);
    assert_eq!(sessions(&share), json!([]));
    let urls: Vec<String> = thread::scope(|scope| {
        let presses: Vec<_> = (0..5).map(|_| scope.spawn(|| pressed(node, &site, &hand_over))).collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect()
    });
    assert!(urls.iter().all(|url| *url == urls[0]), "{urls:?}");
    assert_eq!(pressed(node, &site, &hand_over), urls[0]);
    assert_eq!(sessions(&share).as_array().unwrap().len(), 1);
    is_in(&site, &post(node, &urls[0], &hand_over.token));
    assert_eq!(press(node, &hand_over).status, 404);
    assert!(!file_of(&site, &urls[0]).exists());
}

#[track_caller]
fn one_of_twenty(node: &Node, site: &str) {
    let site = node.instance(site).unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let answers: Vec<_> = thread::scope(|scope| {
        let attempts: Vec<_> = (0..20).map(|_| scope.spawn(|| post(node, &url, &hand_over.token))).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    let (opened, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 302);
    assert_eq!(opened.len(), 1);
    assert!(refused.iter().all(|answer| [403, 404].contains(&answer.status)));
    let mut browser = is_in(&site, &opened[0]);
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
    wp_admin::is_out(&mut browser);
}

fn of_twenty_at_once_exactly_one_gets_in_where_the_agent_is_asked(node: &Node) {
    one_of_twenty(node, "script");
}

fn of_twenty_at_once_exactly_one_gets_in_where_it_cannot_be_asked(node: &Node) {
    one_of_twenty(node, "cut-off");
}

fn a_wrong_token_and_one_of_another_site_burn_nothing(node: &Node) {
    let site = node.instance("script").unwrap();
    let (_share, hand_over, url) = script_of(node, &site);
    let other = share(node, "live", &person("guest"), &pinned_editor());
    let foreign = link(node, &other.email, "live", None);
    for token in [&foreign.token, "", "x", &"A".repeat(43)] {
        assert_eq!(post(node, &url, token).status, 403, "{token}");
    }
    let elsewhere = Request::new("POST", &url).form(&[("token", &hand_over.token)]).header("Origin", &site.url).send();
    is_refused(&elsewhere, node, "does not come from the hosting");
    is_in(&site, &post(node, &url, &hand_over.token));
    // What is good at another site was not used up by showing it here.
    let live = node.instance("live").unwrap();
    assert_eq!(wp_admin::redeem(node, &live, &foreign.token).status, 302);
}

fn a_press_from_elsewhere_or_with_another_token_is_refused_and_writes_nothing(node: &Node) {
    let site = node.instance("script").unwrap();
    let share = share(node, "script", &person("guest"), &any_user());
    let hand_over = link(node, &share.email, "script", Some(2));
    let mut browser = Browser::at_gateway(node);
    for origin in ["https://evil.example", "null", &site.url] {
        let request = browser.request("POST", &hand_over.url).header("Origin", origin);
        let answer = browser.send(request.form(&[("token", &hand_over.token)]));
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    assert_eq!(browser.submit(&hand_over.url, &[("token", &"A".repeat(43))]).status, 404);
    let never = format!("{}/sso/{}", node.agent().unwrap().urls().gateway, "A".repeat(43));
    assert_eq!(browser.submit(&never, &[("token", &"A".repeat(43))]).status, 404);
    assert_eq!(sessions(&share), json!([]));
    let url = pressed(node, &site, &hand_over);
    is_in(&site, &post(node, &url, &hand_over.token));
}

fn a_share_that_ended_after_the_press_opens_nothing_and_leaves_nothing(node: &Node) {
    for id in ["script", "cut-off"] {
        let site = node.instance(id).unwrap();
        let (share, hand_over, url) = script_of(node, &site);
        let ended = share.revoke();
        assert_eq!((&ended["closed"]["wordpress"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
        assert!(!file_of(&site, &url).exists(), "the file outlived the reply");
        assert_eq!(post(node, &url, &hand_over.token).status, 404);
        assert_eq!(press(node, &hand_over).status, 404);
        assert_eq!(sessions(&share), json!([]));
    }
}

fn one_session_that_is_closed_before_it_was_opened_is_counted_and_opens_nothing(node: &Node) {
    let site = node.instance("script").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let id = sessions(&share)[0]["id"].as_str().unwrap().to_owned();
    let ended = share.person().delete(&format!("/v1/sessions/{id}")).done()["ended"].clone();
    assert_eq!(ended["closed"]["wordpress"], 1, "{ended}");
    assert_eq!(post(node, &url, &hand_over.token).status, 404);
    assert_eq!(press(node, &hand_over).status, 409);
    let again = link(node, &share.email, "script", None);
    is_in(&site, &post(node, &pressed(node, &site, &again), &again.token));
}

fn a_redemption_beside_the_end_of_its_share_leaves_nobody_in(node: &Node) {
    for id in ["script", "cut-off", "script", "cut-off"] {
        let site = node.instance(id).unwrap();
        let (share, hand_over, url) = script_of(node, &site);
        let (opened, ended) = thread::scope(|scope| {
            let redeemed = scope.spawn(|| post(node, &url, &hand_over.token));
            let ended = scope.spawn(|| share.revoke());
            (redeemed.join().unwrap(), ended.join().unwrap())
        });
        assert!([302, 403, 404].contains(&opened.status), "{}", opened.body);
        assert!(ended["closed"]["wordpress"].as_u64().unwrap() <= 1, "{ended}");
        assert!(!file_of(&site, &url).exists());
        if opened.status == 302 {
            let mut browser = Browser::at_site(&site.url);
            browser.keep_cookies(&opened);
            // What was made without asking the agent is found at the latest by the second look, after 30 seconds.
            let ended =
                Deadline::after(Duration::from_secs(45)).wait_until(|| wp_admin::is_sent_to_login(&mut browser));
            assert!(ended, "what was opened beside the end of the share lives on");
        }
        assert_eq!(sessions(&share), json!([]));
    }
}

fn what_is_not_redeemed_in_time_is_removed_and_was_no_session(node: &Node) {
    let site = node.instance("script").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let file = file_of(&site, &url);
    let removed =
        Deadline::after(Duration::from_secs(crate::TOKEN_LIFE_S + 15)).wait_until(|| sessions(&share) == json!([]));
    assert!(removed && !file.exists(), "the file lives on");
    assert_eq!(post(node, &url, &hand_over.token).status, 404);
    assert_eq!(press(node, &hand_over).status, 404);
    assert_eq!(share.revoke()["closed"]["wordpress"], 0);
}

fn a_person_gets_in_and_out_where_the_site_cannot_reach_the_agent(node: &Node) {
    let site = node.instance("cut-off").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let mut browser = is_in(&site, &post(node, &url, &hand_over.token));
    assert!(!file_of(&site, &url).exists());
    assert_eq!(sessions(&share).as_array().unwrap().len(), 1);
    audited(node, "cut-off", "sso.script", "allowed", |row| row["actor"] == share.email.as_str());
    // Somebody with that user's password is another matter: what was there before is known, so it is named.
    node.php_as_site(&site, "wp_set_password('changed', 2);").unwrap();
    let again = link(node, &share.email, "cut-off", None);
    is_in(&site, &post(node, &pressed(node, &site, &again), &again.token));
    let ended = share.revoke();
    assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
    assert_eq!(ended["residue"][0]["kind"], "password_changed", "{ended}");
    wp_admin::is_out(&mut browser);
}

fn a_user_who_is_gone_or_renamed_is_refused_at_the_press_and_after_it(node: &Node) {
    let site = node.instance("script-users").unwrap();
    let rename = |login: &str| {
        let database = &site.database.name;
        node.mariadb(&format!("UPDATE {database}.wp_users SET user_login = '{login}' WHERE ID = 2")).unwrap();
    };
    let renamed = share(node, "script-users", &person("guest"), &pinned_editor());
    let hand_over = link(node, &renamed.email, "script-users", None);
    let url = pressed(node, &site, &hand_over);
    rename("chief");
    is_refused(&post(node, &url, &hand_over.token), node, "not the same");
    assert!(renamed.shown()["log_in_as_mismatch"].as_str().unwrap().contains("another login"));
    rename("editor");
    let hand_over = link(node, &renamed.email, "script-users", None);
    rename("chief");
    let answer = press(node, &hand_over);
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("another login"), "{}", answer.body);
    rename("editor");
    let hand_over = link(node, &renamed.email, "script-users", None);
    node.php_as_site(&site, "require ABSPATH . 'wp-admin/includes/user.php'; wp_delete_user(2);").unwrap();
    assert_eq!(press(node, &hand_over).status, 409);
    assert!(renamed.shown()["log_in_as_mismatch"].as_str().unwrap().contains("gone"));
    eventually("the channels of what came to nothing", || sessions(&renamed) == json!([]));
    assert_eq!(files(&site), Vec::<PathBuf>::new());
}

fn a_docroot_that_cannot_be_written_to_is_said_to_be(node: &Node) {
    let site = node.instance("script-locked").unwrap();
    let share = share(node, "script-locked", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "script-locked", None);
    fs::set_permissions(&site.docroot, fs::Permissions::from_mode(0o555)).unwrap();
    let answer = press(node, &hand_over);
    fs::set_permissions(&site.docroot, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("docroot cannot be written to"), "{}", answer.body);
    eventually("the channel of what came to nothing", || sessions(&share) == json!([]));
    assert_eq!(files(&site), Vec::<PathBuf>::new());
    let again = link(node, &share.email, "script-locked", None);
    is_in(&site, &post(node, &pressed(node, &site, &again), &again.token));
}

fn maintenance_mode_stops_no_script(node: &Node) {
    let site = node.instance("script-closed").unwrap();
    let (_share, hand_over, url) = script_of(node, &site);
    fs::write(site.docroot.join(".maintenance"), "<?php $upgrading = time();").unwrap();
    let opened = post(node, &url, &hand_over.token);
    fs::remove_file(site.docroot.join(".maintenance")).unwrap();
    is_in(&site, &opened);
}

fn a_site_in_a_subfolder_is_entered_there(node: &Node) {
    let site = node.instance("script-folder").unwrap();
    let set = format!("update_option('siteurl', '{}/wp');", site.url);
    node.php_as_site(&site, &set).unwrap();
    let beneath = site.docroot.join("wp");
    fs::create_dir(&beneath).unwrap();
    for entry in fs::read_dir(&site.docroot).unwrap().map(|entry| entry.unwrap().path()) {
        if entry != beneath {
            fs::rename(&entry, beneath.join(entry.file_name().unwrap())).unwrap();
        }
    }
    let user = node.hosting("scripted").unwrap().user;
    std::os::unix::fs::chown(&beneath, Some(user.uid), Some(user.gid)).unwrap();
    let moved = Instance { docroot: beneath, ..site };
    node.agent().unwrap().register_instance(&moved).unwrap();
    let share = share(node, "script-folder", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "script-folder", None);
    let answer = press(node, &hand_over);
    let url = answer.location().to_owned();
    assert!(url.starts_with(&format!("{}/wp/latchkey-", moved.url)), "{url}");
    let opened = post(node, &url, &hand_over.token);
    assert_eq!((opened.status, opened.location()), (302, &*format!("{}/wp/wp-admin/", moved.url)), "{}", opened.body);
    assert_eq!(files(&moved), Vec::<PathBuf>::new());
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
}

fn no_file_stays_in_opcache(node: &Node) {
    let site = node.instance("script").unwrap();
    for _ in 0..2 {
        let (_share, hand_over, url) = script_of(node, &site);
        is_in(&site, &post(node, &url, &hand_over.token));
    }
    let probe = site.docroot.join("probe.php");
    let code = "<?php $all = array_keys(opcache_get_status(true)['scripts']); echo count($all), '|', implode(' ', preg_grep('~/latchkey-~', $all));";
    fs::write(&probe, code).unwrap();
    let answer = Browser::at_site(&site.url).open("/probe.php");
    fs::remove_file(&probe).unwrap();
    let (count, ours) = answer.body.split_once('|').unwrap_or_else(|| panic!("{}", answer.body));
    assert!(count.parse::<u32>().unwrap() > 100, "opcache does not run: {}", answer.body);
    assert_eq!(ours, "");
}

fn a_script_outlives_a_kill_of_serve_and_is_good_once(node: &Node) {
    let site = node.instance("script").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    node.serve().unwrap().crash().unwrap();
    let mut browser = is_in(&site, &post(node, &url, &hand_over.token));
    assert_eq!(post(node, &url, &hand_over.token).status, 404);
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
    wp_admin::is_out(&mut browser);
}

fn a_script_that_is_used_while_serve_is_down_is_a_session_that_ends_with_its_share(node: &Node) {
    let site = node.instance("script").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let serve = node.serve().unwrap();
    serve.kill().unwrap();
    let opened = post(node, &url, &hand_over.token);
    serve.start().unwrap();
    let mut browser = is_in(&site, &opened);
    assert_eq!(sessions(&share).as_array().unwrap().len(), 1);
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
    wp_admin::is_out(&mut browser);
}

fn what_serve_left_behind_when_it_was_killed_is_removed(node: &Node) {
    let site = node.instance("script").unwrap();
    let (share, _, url) = script_of(node, &site);
    let (file, serve) = (file_of(&site, &url), node.serve().unwrap());
    serve.kill().unwrap();
    assert!(file.exists());
    serve.start().unwrap();
    let removed = Deadline::after(Duration::from_secs(crate::TOKEN_LIFE_S + 15)).wait_until(|| !file.exists());
    assert!(removed, "the file lives on");
    eventually("the end of what was never opened", || sessions(&share) == json!([]));
}

fn a_share_that_expires_while_serve_is_down_has_no_script_when_it_is_back(node: &Node) {
    let site = node.instance("cut-off").unwrap();
    let (share, hand_over, url) = script_of(node, &site);
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    share.update(&json!({ "expires_at": end.to_string() }));
    let serve = node.serve().unwrap();
    serve.kill().unwrap();
    eventually("the end of the share", || Timestamp::now() > end);
    serve.start().unwrap();
    // Removed before anything listens.
    assert!(!file_of(&site, &url).exists());
    assert_eq!(post(node, &url, &hand_over.token).status, 404);
    assert_eq!(share.state(), "expired");
    assert_eq!(Api::panel(node).get("/v1/audit/verify").done()["ok"], true);
}
