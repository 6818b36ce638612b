//! The redeemer in hostile hands: every token opens one session, for the right site, user and person, or none.

use std::thread;
use std::time::Duration;

use latchkey_tests::audit::audited;
use latchkey_tests::browser::Browser;
use latchkey_tests::exchange::Request;
use latchkey_tests::shares::{any_user, person, pinned_editor, share};
use latchkey_tests::wp_admin::{self, is_refused, link, redeem, redemption};
use serde_json::{Value, json};
use xtask::clock::Deadline;
use xtask::node::{Node, SystemUser};
use xtask::process::Program;

crate::trials! { beside_others:
    a_link_that_is_too_old_is_refused,
    of_twenty_at_once_exactly_one_gets_in,
    a_token_works_once,
    a_token_of_one_site_is_worth_nothing_at_another_and_is_gone,
    another_system_user_at_the_socket_gets_nothing,
    a_user_who_is_deleted_after_the_link_was_made_is_not_replaced,
    a_user_who_is_renamed_after_the_link_was_made_is_refused,
    a_pin_on_another_id_is_refused,
    a_share_that_ended_after_the_link_was_made_opens_nothing,
    a_form_of_another_origin_is_refused_and_burns_nothing,
    only_post_redeems,
    what_is_no_token_is_refused,
    looking_at_the_page_burns_nothing_and_a_used_link_has_none,
    garbage_at_the_socket_is_dropped,
    wrong_tokens_of_a_system_user_stop_being_looked_up_and_good_ones_of_its_sites_go_on_working,
}

/// As `[limits] wrong_tokens` says for this node.
const WRONG_TOKENS: usize = 30;

#[track_caller]
fn denied(node: &Node, instance: &str, actor: &str, words: &str) {
    audited(node, instance, "sso.redeem", "denied", |row| {
        row["actor"] == actor && row["detail"].as_str().is_some_and(|detail| detail.contains(words))
    });
}

fn a_link_that_is_too_old_is_refused(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("late"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    let mut browser = Browser::at_gateway(node);
    assert_eq!(browser.open(&hand_over.url).status, 200);
    let dead = Deadline::after(Duration::from_secs(crate::TOKEN_LIFE_S + 10))
        .wait_until(|| browser.open(&hand_over.url).status == 404);
    assert!(dead, "the link lives on");
    is_refused(&redeem(node, &live, &hand_over.token), node, "too old");
    denied(node, "live", &share.email, "expired");
    assert_eq!(share.person().get("/v1/sessions").done()["items"], json!([]));
}

fn of_twenty_at_once_exactly_one_gets_in(node: &Node) {
    let second = node.instance("second").unwrap();
    let share = share(node, "second", &person("many"), &pinned_editor());
    let hand_over = link(node, &share.email, "second", None);
    let answers: Vec<_> = thread::scope(|scope| {
        let attempts: Vec<_> = (0..20).map(|_| scope.spawn(|| redeem(node, &second, &hand_over.token))).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    let (opened, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 302);
    assert_eq!(opened.len(), 1);
    refused.iter().for_each(|answer| is_refused(answer, node, "used already"));
    let mut browser = Browser::at_site(&second.url);
    browser.keep_cookies(&opened[0]);
    wp_admin::is_in_as(&mut browser, "editor");
    assert_eq!(share.person().get("/v1/sessions").done()["items"].as_array().unwrap().len(), 1);
    assert_eq!(share.revoke()["closed"]["wordpress"], 1);
}

fn a_token_works_once(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("again"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    assert_eq!(redeem(node, &live, &hand_over.token).status, 302);
    is_refused(&redeem(node, &live, &hand_over.token), node, "used already");
    denied(node, "live", &share.email, "used");
}

fn a_token_of_one_site_is_worth_nothing_at_another_and_is_gone(node: &Node) {
    let (live, second) = (node.instance("live").unwrap(), node.instance("second").unwrap());
    let share = share(node, "live", &person("astray"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    is_refused(&redeem(node, &second, &hand_over.token), node, "another site");
    denied(node, "live", &share.email, "wrong_site");
    is_refused(&redeem(node, &live, &hand_over.token), node, "used already");
    assert_eq!(share.person().get("/v1/sessions").done()["items"], json!([]));
}

/// Says a line at the redeemer's socket as a system user; returns the answer.
#[track_caller]
fn say(node: &Node, user: &SystemUser, line: &[u8]) -> String {
    let socket = node.agent().unwrap().paths().redeem_socket.clone();
    let code = "$s = stream_socket_client('unix://' . $argv[1]); fwrite($s, stream_get_contents(STDIN)); stream_set_timeout($s, 5); echo fgets($s);";
    let client =
        Program::new("/usr/bin/php8.2").args(["-r", code, "--"]).arg(socket).directory("/").run_as(user.identity());
    client.input(line).text().unwrap()
}

#[track_caller]
fn ask(node: &Node, user: &SystemUser, instance: &str, token: &str) -> Value {
    let line = format!("{}\n", json!({ "redeem": { "instance": instance, "token": token } }));
    serde_json::from_str(&say(node, user, line.as_bytes())).unwrap()
}

fn another_system_user_at_the_socket_gets_nothing(node: &Node) {
    let neighbour = node.hosting("neighbour").unwrap().user;
    let own = node.hosting("demo").unwrap().user;
    let share = share(node, "live", &person("victim"), &pinned_editor());
    let stolen = link(node, &share.email, "live", None);
    let answer = ask(node, &neighbour, "live", &stolen.token);
    assert_eq!((&answer["ok"], &answer["reason"]), (&json!(false), &json!("wrong_site")), "{answer}");
    assert!(answer.get("user").is_none() && answer.get("mark").is_none(), "{answer}");
    denied(node, "live", &share.email, "wrong_site");
    // The same question by the hosting's own user is answered.
    let good = link(node, &share.email, "live", None);
    let answer = ask(node, &own, "live", &good.token);
    assert_eq!((&answer["ok"], &answer["user"]["login"]), (&json!(true), &json!("editor")), "{answer}");
}

fn a_user_who_is_deleted_after_the_link_was_made_is_not_replaced(node: &Node) {
    let site = node.instance("deleted").unwrap();
    let share = share(node, "deleted", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "deleted", None);
    node.php_as_site(&site, "require ABSPATH . 'wp-admin/includes/user.php'; wp_delete_user(2);").unwrap();
    is_refused(&redeem(node, &site, &hand_over.token), node, "does not exist any more");
    denied(node, "deleted", &share.email, "gone");
    assert!(share.shown()["log_in_as_mismatch"].as_str().unwrap().contains("gone"));
    let problem = wp_admin::ask(node, &share.email, "deleted", None).refused_by("A9", 409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("editor"), "{problem}");
    // Somebody new with the same login is somebody else.
    node.php_as_site(&site, "wp_insert_user(['user_login' => 'editor', 'user_pass' => 'x', 'role' => 'editor']);")
        .unwrap();
    wp_admin::ask(node, &share.email, "deleted", None).refused_by("A9", 409, "conflict");
    share.update(&json!({ "log_in_as": { "id": 3, "login": "author" } }));
    assert_eq!(share.shown().get("log_in_as_mismatch"), None);
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &site, None), "author");
}

fn a_user_who_is_renamed_after_the_link_was_made_is_refused(node: &Node) {
    let site = node.instance("renamed").unwrap();
    let share = share(node, "renamed", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "renamed", None);
    node.mariadb(&format!("UPDATE {}.wp_users SET user_login = 'chief' WHERE ID = 2", site.database.name)).unwrap();
    is_refused(&redeem(node, &site, &hand_over.token), node, "not the same");
    denied(node, "renamed", &share.email, "another login");
    wp_admin::ask(node, &share.email, "renamed", None).refused_by("A9", 409, "conflict");
    assert_eq!(wp_admin::sessions_of(node, &site, 2), json!([]));
    node.mariadb(&format!("UPDATE {}.wp_users SET user_login = 'editor' WHERE ID = 2", site.database.name)).unwrap();
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &share.email, &site, None), "editor");
}

fn a_pin_on_another_id_is_refused(node: &Node) {
    let wrong = json!({ "role": "view_and_sso", "log_in_as": { "id": 3, "login": "editor" } });
    let share = share(node, "live", &person("guest"), &wrong);
    let problem = wp_admin::ask(node, &share.email, "live", None).refused_by("A9", 409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains("author"), "{problem}");
}

fn a_share_that_ended_after_the_link_was_made_opens_nothing(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("gone"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    share.revoke();
    let page = Browser::at_gateway(node).open(&hand_over.url);
    assert_eq!(page.status, 404, "{}", page.body);
    is_refused(&redeem(node, &live, &hand_over.token), node, "access");
    denied(node, "live", &share.email, "ended");
    assert_eq!(wp_admin::marked_sessions_of(node, &live, 4711), 0);
}

fn a_form_of_another_origin_is_refused_and_burns_nothing(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &any_user());
    let hand_over = link(node, &share.email, "live", Some(2));
    for origin in ["https://evil.example", "null", &live.url] {
        let answer = redemption(&live, &hand_over.token).header("Origin", origin).send();
        is_refused(&answer, node, "does not come from the hosting");
    }
    assert_eq!(redeem(node, &live, &hand_over.token).status, 302);
}

fn only_post_redeems(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    let path = format!("/.well-known/latchkey-sso?token={}", hand_over.token);
    let answer = Browser::at_site(&live.url).open(&path);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{}", answer.body);
    assert!(!answer.body.contains(&hand_over.token));
    let in_query = Request::new("POST", format!("{}{path}", live.url)).form(&[]).send();
    assert_eq!(in_query.status, 403);
    assert_eq!(redeem(node, &live, &hand_over.token).status, 302);
}

fn what_is_no_token_is_refused(node: &Node) {
    let live = node.instance("live").unwrap();
    for token in ["", "x", &"a".repeat(44), &"<".repeat(43), "' OR 1=1 --"] {
        is_refused(&redeem(node, &live, token), node, "not complete");
    }
    is_refused(&redeem(node, &live, &"A".repeat(43)), node, "does not work");
}

fn looking_at_the_page_burns_nothing_and_a_used_link_has_none(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let hand_over = link(node, &share.email, "live", None);
    for _ in 0..5 {
        let page = Browser::at_gateway(node).open(&hand_over.url);
        assert_eq!(page.status, 200);
        assert!(page.body.contains("editor") && page.body.contains(&share.email), "{}", page.body);
    }
    assert_eq!(redeem(node, &live, &hand_over.token).status, 302);
    let page = Browser::at_gateway(node).open(&hand_over.url);
    assert_eq!(page.status, 404);
    assert!(page.body.contains("does not work any more") && !page.body.contains(&hand_over.token), "{}", page.body);
}

fn garbage_at_the_socket_is_dropped(node: &Node) {
    let own = node.hosting("demo").unwrap().user;
    let too_long = [vec![b'a'; 300 << 10], b"\n".to_vec()].concat();
    let nested = [vec![b'['; 100_000], b"\n".to_vec()].concat();
    for line in [
        &b"\n"[..],
        b"hello\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"{\"redeem\":{\"instance\":\"live\",\"token\":7}}\n",
        &too_long,
        &nested,
    ] {
        assert_eq!(say(node, &own, line), "", "{}", String::from_utf8_lossy(&line[..line.len().min(60)]));
    }
    assert_eq!(ask(node, &own, "live", &"A".repeat(43))["reason"], "unknown");
}

/// Presents so many wrong tokens one after the other as a system user; the reasons why they were refused.
#[track_caller]
fn guess(node: &Node, user: &SystemUser, count: usize) -> Vec<String> {
    let code = r#"for ($i = 0; $i < (int) $argv[2]; $i++) {
        $s = stream_socket_client('unix://' . $argv[1]);
        fwrite($s, json_encode(['redeem' => ['instance' => 'edited', 'token' => sprintf('%043d', $i)]]) . "\n");
        echo json_decode(fgets($s), true)['reason'], "\n";
    }"#;
    let guesser =
        Program::new("/usr/bin/php8.2").args(["-r", code, "--"]).arg(&node.agent().unwrap().paths().redeem_socket);
    let told = guesser.arg(count.to_string()).directory("/").run_as(user.identity()).text().unwrap();
    told.lines().map(str::to_owned).collect()
}

fn wrong_tokens_of_a_system_user_stop_being_looked_up_and_good_ones_of_its_sites_go_on_working(node: &Node) {
    let own = node.hosting(crate::FILES).unwrap().user;
    let share = share(node, "edited", &person("guest"), &pinned_editor());
    let good = link(node, &share.email, "edited", None);
    let reasons = guess(node, &own, 60);
    let (looked_up, refused): (Vec<_>, Vec<_>) = reasons.iter().partition(|reason| *reason == "unknown");
    assert!(reasons[..WRONG_TOKENS].iter().all(|reason| reason == "unknown"), "{reasons:?}");
    // A slow machine is given some more in between.
    assert!((WRONG_TOKENS..WRONG_TOKENS + 5).contains(&looked_up.len()), "{reasons:?}");
    assert!(refused.iter().all(|reason| *reason == "busy"), "{reasons:?}");
    let answer = ask(node, &own, "edited", &good.token);
    assert_eq!((&answer["ok"], &answer["user"]["login"]), (&json!(true), &json!("editor")), "{answer}");
    // Nobody else is slowed down.
    let neighbour = node.hosting("neighbour").unwrap().user;
    assert_eq!(ask(node, &neighbour, "edited", &"A".repeat(43))["reason"], "unknown");
}
