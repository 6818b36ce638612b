//! Sites of other shapes and versions: the whole way in and out, and what the agent does on them.

use latchkey_tests::api::Api;
use latchkey_tests::browser::Browser;
use latchkey_tests::shares::{any_user, person, pinned_editor, share};
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::node::{Instance, Node};

crate::trials! { beside_others:
    a_wordpress_in_a_subfolder_works,
    a_moved_content_folder_works,
    a_network_works_and_so_does_a_site_in_a_folder_of_it,
    a_two_factor_plugin_on_the_login_does_not_stop_sso,
    our_wordpress_works_with_the_oldest_php,
    a_newer_wordpress_works_with_the_oldest_php,
    a_newer_wordpress_works_with_our_php,
    our_wordpress_works_with_the_newest_php,
    a_newer_wordpress_works_with_the_newest_php,
}

/// What the agent does on a site works there: its operations, and the way in as the editor and out again.
#[track_caller]
pub(crate) fn check_works(node: &Node, site: &Instance) {
    let owner = &site.owners[0];
    let owner = Api::acting_as(node, owner);
    let name = json!({ "name": "Käse & \"Brot\"" });
    assert_eq!(owner.operate(&site.id, "site_name.set", &name).done(), name);
    assert_eq!(owner.operate(&site.id, "site_name.show", &json!({})).done(), name);
    check_sso(node, site);
}

/// The menu of users, and the way in as exactly the chosen one and out with the share.
#[track_caller]
pub(crate) fn check_sso(node: &Node, site: &Instance) {
    let users = Api::panel(node).operate(&site.id, "sso.users", &json!({})).done();
    assert!(users["items"].as_array().unwrap().iter().any(|user| user["login"] == "editor"), "{users}");
    let share = share(node, &site.id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &share.email, site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    has_ended_one(&share.revoke());
    wp_admin::is_out(&mut browser);
}

/// Exactly one WordPress session was ended, and none is left. (What a site's files have become since is residue, and
/// `residue.rs`'s business.)
#[track_caller]
pub(crate) fn has_ended_one(ended: &Value) {
    assert_eq!(ended["closed"]["wordpress"], 1, "{ended}");
    assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
}

fn a_wordpress_in_a_subfolder_works(node: &Node) {
    let site = node.instance("subfolder").unwrap();
    assert_eq!(Browser::at_site(&site.url).open("/").status, 200);
    assert!(!site.web_root.join("wp-load.php").exists() && !site.docroot.join("wp-config.php").exists());
    check_works(node, &site);
}

fn a_moved_content_folder_works(node: &Node) {
    let site = node.instance("moved").unwrap();
    assert!(!site.docroot.join("wp-content").exists());
    assert!(Browser::at_site(&site.url).open("/").body.contains("/content/themes/"));
    check_works(node, &site);
}

fn a_network_works_and_so_does_a_site_in_a_folder_of_it(node: &Node) {
    let site = node.instance("network").unwrap();
    check_works(node, &site);
    let team = Instance { id: "network-team".into(), url: format!("{}/team", site.url), ..site.clone() };
    node.agent().unwrap().register_instance(&team).unwrap();
    check_works(node, &team);
    assert_eq!(Browser::at_site(&team.url).open("/").status, 200);
    // The two have a name each, and members of their own.
    let name = |id: &str| Api::panel(node).operate(id, "site_name.show", &json!({})).done();
    Api::panel(node).operate("network-team", "site_name.set", &json!({ "name": "Team" })).done();
    assert_eq!(
        (name("network")["name"].as_str(), name("network-team")["name"].as_str()),
        (Some("Käse & \"Brot\""), Some("Team"))
    );
    let users = Api::panel(node).operate("network-team", "sso.users", &json!({})).done();
    assert!(!users.to_string().contains("author"), "{users}");
    let guest = share(node, "network-team", &person("guest"), &any_user());
    wp_admin::ask(node, &guest.email, "network-team", Some(3)).refused(400, "invalid");
    wp_admin::is_in_as(&mut wp_admin::log_in(node, &guest.email, &team, Some(1)), "admin");
}

fn a_two_factor_plugin_on_the_login_does_not_stop_sso(node: &Node) {
    let site = node.instance("two-factor").unwrap();
    let plugins = site.docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let asks = "<?php add_action('wp_login', function ($login, $user) { \
                WP_Session_Tokens::get_instance($user->ID)->destroy_all(); wp_clear_auth_cookie(); exit('Your code?'); }, 1, 2);";
    std::fs::write(plugins.join("two-factor.php"), asks).unwrap();
    let mut own = Browser::at_site(&site.url);
    own.open("/wp-login.php");
    let password = &site.user("editor").unwrap().password;
    let asked = own.submit("/wp-login.php", &[("log", "editor"), ("pwd", password), ("testcookie", "1")]);
    assert_eq!(asked.body, "Your code?");
    wp_admin::is_out(&mut own);
    check_works(node, &site);
}

/// Works with exactly these versions, in the site's pool and in the agent's calls.
#[track_caller]
fn check_version(node: &Node, id: &str, php: &str, wordpress: &str) {
    let site = node.instance(id).unwrap();
    check_works(node, &site);
    let plugins = site.docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let tells =
        "<?php add_filter('option_blogname', function () { return PHP_VERSION . ' ' . $GLOBALS['wp_version']; });";
    std::fs::write(plugins.join("versions.php"), tells).unwrap();
    let called = Api::panel(node).operate(id, "site_name.show", &json!({})).done()["name"].as_str().unwrap().to_owned();
    assert!(called.starts_with(php) && called.contains(wordpress), "{called}");
    let front = Browser::at_site(&site.url).open("/").body;
    assert!(front.contains(&format!("<title>{called}")), "expected {called}: {front}");
}

fn our_wordpress_works_with_the_oldest_php(node: &Node) {
    check_version(node, "php74-ours", "7.4.", " 6.1.");
}

fn a_newer_wordpress_works_with_the_oldest_php(node: &Node) {
    check_version(node, "php74-newer", "7.4.", " 6.8.");
}

fn a_newer_wordpress_works_with_our_php(node: &Node) {
    check_version(node, "newer", "8.2.", " 6.8.");
}

fn our_wordpress_works_with_the_newest_php(node: &Node) {
    check_version(node, "php84-ours", "8.4.", " 6.1.");
}

fn a_newer_wordpress_works_with_the_newest_php(node: &Node) {
    check_version(node, "php84-newer", "8.4.", " 6.8.");
}
