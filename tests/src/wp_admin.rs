//! WP Admin: opened by the way of SSO, and looked at as a browser and as the site's database see it.

use serde_json::{Value, json};
use xtask::node::{Instance, Node};

use crate::api::Api;
use crate::browser::{Browser, action_of, field_of};
use crate::exchange::{Request, Response};

/// A one-time link and the token in it.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// The gateway's page.
    pub url: String,
    /// The token.
    pub token: String,
}

/// Asks for a link to WP Admin; `user` where the share logs in as any of them.
#[track_caller]
pub fn ask(node: &Node, email: &str, instance: &str, user: Option<u64>) -> Response {
    let input = user.map_or(json!({}), |id| json!({ "user": id }));
    Api::acting_as(node, email).operate(instance, "sso.open", &input)
}

/// Gets a link to WP Admin.
#[must_use]
#[track_caller]
pub fn link(node: &Node, email: &str, instance: &str, user: Option<u64>) -> HandOver {
    let url = ask(node, email, instance, user).done()["url"].as_str().unwrap().to_owned();
    let token = url.rsplit('/').next().unwrap().to_owned();
    assert_eq!(url, format!("{}/sso/{token}", node.agent().unwrap().urls().gateway));
    HandOver { url, token }
}

/// Presents a token to a site as the gateway's page does.
#[track_caller]
pub fn redeem(node: &Node, instance: &Instance, token: &str) -> Response {
    redemption(instance, token).header("Origin", &node.agent().unwrap().urls().gateway).send()
}

/// The request that presents a token, without an origin.
#[must_use]
pub fn redemption(instance: &Instance, token: &str) -> Request {
    Request::new("POST", format!("{}/.well-known/latchkey-sso", instance.url)).form(&[("token", token)])
}

/// Opens WP Admin the whole way: the link, the gateway's page, the hand-over. The browser is logged in afterwards.
#[must_use]
#[track_caller]
pub fn log_in(node: &Node, email: &str, instance: &Instance, user: Option<u64>) -> Browser {
    let hand_over = link(node, email, &instance.id, user);
    let page = Browser::at_gateway(node).open(&hand_over.url);
    assert_eq!(page.status, 200, "{}", page.body);
    let action = action_of(&page.body, "name=\"token\"").unwrap_or_else(|| panic!("no form: {}", page.body));
    assert_eq!(action, format!("{}/.well-known/latchkey-sso", instance.url));
    let token = field_of(&page.body, "token").unwrap();
    let opened = redeem(node, instance, &token);
    assert_eq!(opened.status, 302, "{}", opened.body);
    assert_eq!(opened.location(), format!("{}/wp-admin/", instance.wordpress_url()));
    let mut browser = Browser::at_site(&instance.wordpress_url());
    browser.keep_cookies(&opened);
    browser
}

/// Asserts that the browser is in WP Admin as this WordPress user, and nobody else.
#[track_caller]
pub fn is_in_as(browser: &mut Browser, login: &str) {
    let page = browser.open("/wp-admin/profile.php");
    assert_eq!(page.status, 200, "{} to {}", page.status, page.location());
    assert_eq!(field_of(&page.body, "user_login").as_deref(), Some(login));
}

/// Whether the next request to WP Admin is sent to the login form.
#[must_use]
#[track_caller]
pub fn is_sent_to_login(browser: &mut Browser) -> bool {
    let response = browser.open("/wp-admin/");
    response.status == 302 && response.location().contains("/wp-login.php")
}

/// Asserts that the browser is out.
#[track_caller]
pub fn is_out(browser: &mut Browser) {
    let response = browser.open("/wp-admin/");
    assert_eq!(response.status, 302, "{}", response.body);
    assert!(response.location().contains("/wp-login.php"), "{}", response.location());
}

/// Asserts that the page refuses: it says so in words, tells what to do, and sets no cookie.
#[track_caller]
pub fn is_refused(response: &Response, node: &Node, words: &str) {
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(response.header("set-cookie").is_none(), "{response:?}");
    assert!(response.header("location").is_none(), "{response:?}");
    assert!(response.body.contains(words), "expected {words:?}: {}", response.body);
    assert!(response.body.contains("Open the site again"), "{}", response.body);
    assert!(response.body.contains(&node.agent().unwrap().urls().gateway), "{}", response.body);
}

/// The sessions that a WordPress user has, as the site's database holds them.
#[must_use]
#[track_caller]
pub fn sessions_of(node: &Node, instance: &Instance, user: u64) -> Value {
    let code = format!("echo json_encode(array_values((array) get_user_meta({user}, 'session_tokens', true)));");
    let text = node.php_as_site(instance, &code).unwrap();
    let sessions: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // What is absent is the empty text to WordPress.
    Value::Array(sessions.as_array().unwrap().iter().filter(|session| session.is_object()).cloned().collect())
}

/// How many sessions of a WordPress user carry a mark of ours.
#[must_use]
#[track_caller]
pub fn marked_sessions_of(node: &Node, instance: &Instance, user: u64) -> usize {
    let sessions = sessions_of(node, instance, user);
    sessions.as_array().unwrap().iter().filter(|session| session["latchkey"].is_string()).count()
}
