//! The gateway: signing in, *My Instances*, the hand-over page, and what forms of others are refused.

use latchkey_tests::api::Api;
use latchkey_tests::browser::{Browser, action_of, field_of};
use latchkey_tests::exchange::{Request, Response};
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::shares::{Share, any_user, invite, person, pinned_editor, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use latchkey_tests::wp_admin;
use serde_json::json;
use xtask::node::Node;

crate::trials! { beside_others:
    a_mailed_link_signs_in_once,
    owners_get_no_link_by_mail_and_one_from_the_panel,
    whoever_asks_for_a_link_gets_the_same_answer,
    an_owner_who_accepts_is_not_signed_in_by_it,
    the_session_ends_with_the_last_share,
    my_instances_shows_ones_own_and_opens_wp_admin_as_the_pinned_user,
    under_all_the_user_is_chosen_on_a_page,
    a_share_is_given_back_on_the_page,
    forms_of_other_sites_and_without_their_token_are_refused,
    an_invitation_is_not_accepted_by_looking_or_from_another_site,
    the_hand_over_page_submits_itself_for_the_person_and_the_panel_only,
    signing_out_ends_the_session,
    pages_carry_strict_headers,
    what_is_not_there_is_a_page_too,
    an_actor_who_is_not_the_panel_makes_no_sign_in_links,
}

fn view_only() -> serde_json::Value {
    json!({ "role": "view_only" })
}

/// Somebody with a share on a paper of their own.
#[track_caller]
fn guest<'n>(node: &'n Node, site: &str) -> Share<'n> {
    paper(node, site, PAPERS);
    share(node, site, &person("guest"), &view_only())
}

#[track_caller]
fn ask_for_link(node: &Node, email: &str) -> Response {
    Browser::at_gateway(node).submit("/sign-in", &[("email", email)])
}

/// A browser that is signed in by a link of the panel.
#[track_caller]
fn signed_in(node: &Node, email: &str) -> Browser {
    let link = Api::panel(node).post("/v1/gateway/links", &json!({ "person": email })).done();
    let mut browser = Browser::at_gateway(node);
    let answer = browser.submit(link["url"].as_str().unwrap(), &[]);
    assert_eq!((answer.status, answer.location()), (303, "/"), "{}", answer.body);
    browser
}

fn a_mailed_link_signs_in_once(node: &Node) {
    let share = guest(node, "mailed");
    assert_eq!(ask_for_link(node, &share.email).status, 200);
    let link = mail_to(node, &share.email, "sign_in", 1).link(node, "/s/");
    let mut browser = Browser::at_gateway(node);
    let page = browser.open(&link);
    assert!(page.status == 200 && page.body.contains(&share.email), "{}", page.body);
    assert!(browser.cookies().is_empty());
    assert_eq!(browser.submit(&link, &[]).location(), "/");
    assert!(browser.open("/").body.contains("Paper mailed"));
    let cookie = browser.cookies().keys().next().unwrap();
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    let mut second = Browser::at_gateway(node);
    assert_eq!((second.open(&link).status, second.submit(&link, &[]).status), (404, 404));
    assert!(second.cookies().is_empty());
    // Not a letter for each request.
    assert_eq!(ask_for_link(node, &share.email).status, 200);
    share.revoke();
    let _told = mail_to(node, &share.email, "access_ended", 1);
    assert_eq!(mails_to(node, &share.email, "sign_in").len(), 1);
}

fn owners_get_no_link_by_mail_and_one_from_the_panel(node: &Node) {
    let share = guest(node, "owned");
    let owner = sites::owner_of("owned");
    assert_eq!(ask_for_link(node, &owner).status, 200);
    assert_eq!(ask_for_link(node, &share.email).status, 200);
    // Letters go out in order: a letter to the owner would have come first.
    let _letter = mail_to(node, &share.email, "sign_in", 1);
    assert!(mails_to(node, &owner, "sign_in").is_empty());
    assert!(signed_in(node, &owner).open("/").body.contains("Paper owned"));
}

fn whoever_asks_for_a_link_gets_the_same_answer(node: &Node) {
    let share = guest(node, "same-answer");
    let known = ask_for_link(node, &share.email);
    for other in [person("stranger"), sites::owner_of("same-answer"), share.email.clone()] {
        let answer = ask_for_link(node, &other);
        assert_eq!((answer.status, &answer.body), (known.status, &known.body), "{other}");
    }
    assert_eq!(ask_for_link(node, "no address").status, 400);
}

fn an_owner_who_accepts_is_not_signed_in_by_it(node: &Node) {
    paper(node, "both-one", PAPERS);
    paper(node, "both-two", PAPERS);
    let owner = sites::owner_of("both-one");
    let share = invite(node, "both-two", &owner, &view_only());
    let link = mail_to(node, &owner, "invitation", 1).link(node, "/i/");
    let mut browser = Browser::at_gateway(node);
    assert_eq!(browser.submit(&link, &[]).location(), "/sign-in");
    assert!(browser.cookies().is_empty());
    assert_eq!(share.state(), "active");
}

fn the_session_ends_with_the_last_share(node: &Node) {
    let first = guest(node, "last-one");
    paper(node, "last-two", PAPERS);
    let second = share(node, "last-two", &first.email, &view_only());
    let mut browser = signed_in(node, &first.email);
    assert_eq!(first.revoke()["closed"]["gateway"], 0);
    let page = browser.open("/").body;
    assert!(page.contains("Paper last-two") && !page.contains("Paper last-one"), "{page}");
    assert_eq!(second.revoke()["closed"]["gateway"], 1);
    assert_eq!(browser.open("/").location(), "/sign-in");
    Api::panel(node).post("/v1/gateway/links", &json!({ "person": person("never-seen") })).refused(404, "not_found");
}

fn my_instances_shows_ones_own_and_opens_wp_admin_as_the_pinned_user(node: &Node) {
    let live = node.instance("live").unwrap();
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let mut gateway = signed_in(node, &share.email);
    let page = gateway.open("/").body;
    assert!(page.contains("Live site") && page.contains("editor") && !page.contains("Second site"), "{page}");
    let action = action_of(&page, "Open WP Admin").unwrap();
    let csrf = field_of(&page, "csrf").unwrap();
    let sent = gateway.submit(&action, &[("csrf", &csrf)]);
    assert_eq!(sent.status, 303, "{}", sent.body);
    assert!(sent.location().starts_with("/sso/"), "{}", sent.location());
    let page = gateway.open(sent.location()).body;
    let token = field_of(&page, "token").unwrap();
    let opened = wp_admin::redeem(node, &live, &token);
    let mut browser = Browser::at_site(&live.url);
    browser.keep_cookies(&opened);
    wp_admin::is_in_as(&mut browser, "editor");
    let ended = share.revoke();
    assert_eq!((&ended["closed"]["wordpress"], &ended["closed"]["gateway"]), (&json!(1), &json!(1)), "{ended}");
    wp_admin::is_out(&mut browser);
}

fn under_all_the_user_is_chosen_on_a_page(node: &Node) {
    let share = share(node, "live", &person("guest"), &any_user());
    let mut gateway = signed_in(node, &share.email);
    let page = gateway.open("/instances/live/wp-admin");
    for login in ["admin", "editor", "author", "Edith Editor"] {
        assert!(page.body.contains(login), "{}", page.body);
    }
    let csrf = field_of(&page.body, "csrf").unwrap();
    let sent = gateway.submit("/instances/live/wp-admin", &[("csrf", &csrf), ("wp_user", "3")]);
    assert!(gateway.open(sent.location()).body.contains("author"));
    let none = gateway.submit("/instances/live/wp-admin", &[("csrf", &csrf)]);
    assert_eq!(none.status, 400, "{}", none.body);
    assert_eq!(gateway.open("/instances/second/wp-admin").status, 404);
    assert_eq!(gateway.submit("/instances/second/wp-admin", &[("csrf", &csrf), ("wp_user", "1")]).status, 404);
}

fn a_share_is_given_back_on_the_page(node: &Node) {
    let share = guest(node, "given-back");
    let other = invite(node, "given-back", &person("other"), &view_only());
    let mut browser = signed_in(node, &share.email);
    let page = browser.open("/").body;
    let action = action_of(&page, "Give it back").unwrap();
    let csrf = field_of(&page, "csrf").unwrap();
    assert_eq!(action, format!("/shares/{}/leave", share.id));
    assert_eq!(browser.submit(&format!("/shares/{}/leave", other.id), &[("csrf", &csrf)]).status, 404);
    assert_eq!(browser.submit(&action, &[("csrf", &csrf)]).status, 303);
    assert_eq!([share.state(), other.state()], ["revoked", "pending"]);
}

fn forms_of_other_sites_and_without_their_token_are_refused(node: &Node) {
    let share = guest(node, "csrf");
    let mut browser = signed_in(node, &share.email);
    let csrf = field_of(&browser.open("/").body, "csrf").unwrap();
    let path = format!("/shares/{}/leave", share.id);
    let gateway = node.agent().unwrap().urls().gateway.clone();
    let own = |request: Request| request.header("Origin", &gateway);
    let refused: [(&str, Request); 5] = [
        (
            "another origin",
            browser.request("POST", &path).header("Origin", "https://evil.example").form(&[("csrf", &csrf)]),
        ),
        ("no origin", browser.request("POST", &path).form(&[("csrf", &csrf)])),
        ("the origin null", browser.request("POST", &path).header("Origin", "null").form(&[("csrf", &csrf)])),
        ("no token", own(browser.request("POST", &path)).form(&[])),
        ("a wrong token", own(browser.request("POST", &path)).form(&[("csrf", &"0".repeat(64))])),
    ];
    for (what, request) in refused {
        let answer = request.send();
        assert_eq!(answer.status, 403, "{what}: {}", answer.body);
    }
    let without_cookie = Browser::at_gateway(node).submit(&path, &[("csrf", &csrf)]);
    assert_eq!(without_cookie.location(), "/sign-in");
    assert_eq!(browser.open(&path).status, 405);
    assert_eq!(share.state(), "active");
    assert_eq!(browser.submit(&path, &[("csrf", &csrf)]).status, 303);
    assert_eq!(share.state(), "revoked");
}

fn an_invitation_is_not_accepted_by_looking_or_from_another_site(node: &Node) {
    paper(node, "looking", PAPERS);
    let share = invite(node, "looking", &person("guest"), &view_only());
    let link = mail_to(node, &share.email, "invitation", 1).link(node, "/i/");
    let mut browser = Browser::at_gateway(node);
    for method in ["GET", "HEAD", "OPTIONS"] {
        let request = browser.request(method, &link);
        let _looked_at = browser.send(if method == "HEAD" { request.option("--head") } else { request });
    }
    for (name, value) in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        let answer = browser.request("POST", &link).header(name, value).form(&[]).send();
        assert_eq!(answer.status, 403, "{name}: {value}: {}", answer.body);
    }
    assert_eq!(share.state(), "pending");
    assert_eq!(browser.submit(&link, &[]).status, 303);
    assert_eq!(share.state(), "active");
}

fn the_hand_over_page_submits_itself_for_the_person_and_the_panel_only(node: &Node) {
    let share = share(node, "live", &person("guest"), &pinned_editor());
    let other = guest(node, "stranger-here");
    let hand_over = wp_admin::link(node, &share.email, "live", None);
    let submits = |response: &Response| response.body.contains("hand-over.js");
    assert!(!submits(&Browser::at_gateway(node).open(&hand_over.url)));
    assert!(!submits(&signed_in(node, &other.email).open(&hand_over.url)));
    assert!(submits(&signed_in(node, &share.email).open(&hand_over.url)));
    let from =
        |referer: &str| Browser::at_gateway(node).request("GET", &hand_over.url).header("Referer", referer).send();
    assert!(submits(&from(&format!("{}/sites/7", crate::PANEL_ORIGIN))));
    assert!(!submits(&from("https://evil.example/")));
    assert!(!submits(&from("https://panel.example.evil.example/")));
}

fn signing_out_ends_the_session(node: &Node) {
    let share = guest(node, "sign-out");
    let (mut browser, mut other) = (signed_in(node, &share.email), signed_in(node, &share.email));
    let csrf = field_of(&browser.open("/").body, "csrf").unwrap();
    let stolen = browser.clone();
    assert_eq!(browser.submit("/sign-out", &[("csrf", &csrf)]).location(), "/sign-in");
    assert!(browser.cookies().is_empty());
    assert_eq!(stolen.request("GET", "/").send().location(), "/sign-in");
    assert_eq!(other.open("/").status, 200);
}

fn pages_carry_strict_headers(node: &Node) {
    let share = guest(node, "headers");
    let mut browser = signed_in(node, &share.email);
    for page in [browser.open("/"), browser.open("/sign-in"), browser.open("/no-such-page")] {
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    }
    let link = Api::panel(node).post("/v1/gateway/links", &json!({ "person": share.email })).done();
    let answer = Browser::at_gateway(node).submit(link["url"].as_str().unwrap(), &[]);
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

fn what_is_not_there_is_a_page_too(node: &Node) {
    let mut browser = Browser::at_gateway(node);
    for path in ["/no-such-page", "/i/short", "/s/short", "/sso/short", "/i/%00", "/v1/health"] {
        let page = browser.open(path);
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains("<html"), "{path}: {}", page.body);
    }
    assert_eq!(browser.open("/").location(), "/sign-in");
    assert_eq!(browser.submit("/", &[]).status, 405);
}

fn an_actor_who_is_not_the_panel_makes_no_sign_in_links(node: &Node) {
    let share = guest(node, "no-links");
    let body = json!({ "person": sites::owner_of("no-links") });
    for actor in [share.email.clone(), sites::owner_of("no-links")] {
        Api::acting_as(node, &actor).post("/v1/gateway/links", &body).refused(403, "forbidden");
    }
    let made = Api::panel(node).post("/v1/gateway/links", &body);
    assert_eq!(made.status, 201, "{}", made.body);
}
