//! Sites with an object cache: what WordPress knows of sessions outlives a request there, and an end must reach it.

use std::fs;
use std::path::{Path, PathBuf};

use latchkey_tests::exchange::Request;
use latchkey_tests::shares::{person, pinned_editor, share};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin;
use serde_json::json;
use xtask::build::workspace;
use xtask::node::{Instance, Node};

use crate::variants::has_ended_one;

crate::trials! { beside_others:
    an_object_cache_in_files_keeps_no_ended_session,
    an_object_cache_in_the_memory_of_the_pool_keeps_no_ended_session,
    a_session_that_the_memory_of_the_pool_keeps_is_never_counted_as_ended,
    nobody_else_has_a_pool_forget,
    an_object_cache_in_redis_keeps_no_ended_session,
}

/// Has a site refuse to be asked by its own address, while there is a file `shut`.
const SHUTS: &str =
    "<?php if (strpos($_SERVER['REQUEST_URI'], '/.well-known/') === 0 && is_file(__DIR__ . '/shut')) { exit; }\n";

/// Gives a site an object cache in one of the stores of the drop-in.
#[track_caller]
fn cache(site: &Instance, store: &str, place: &Path) {
    let text = fs::read_to_string(workspace().join("tests/drop-ins/object-cache.php")).unwrap();
    let text = text.replace("LATCHKEY_STORE", store).replace("LATCHKEY_PLACE", place.to_str().unwrap());
    fs::write(site.docroot.join("wp-content/object-cache.php"), text).unwrap();
}

/// Gives a site a cache in the memory of its pool, and returns the file that shuts the way to that pool while it is there.
#[track_caller]
pub(crate) fn cache_behind_a_shutter(site: &Instance) -> PathBuf {
    cache(site, "Latchkey_Apcu", Path::new(""));
    let file = site.docroot.join("wp-config.php");
    let config = fs::read_to_string(&file).unwrap();
    if !config.starts_with(SHUTS) {
        fs::write(&file, config.replacen("<?php\n", SHUTS, 1)).unwrap();
    }
    site.docroot.join("shut")
}

/// Whoever is in is out with the share.
#[track_caller]
fn check_out(node: &Node, site: &Instance) {
    let guest = share(node, &site.id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    has_ended_one(&guest.revoke());
    wp_admin::is_out(&mut browser);
}

fn an_object_cache_in_files_keeps_no_ended_session(node: &Node) {
    let site = node.instance("in-files").unwrap();
    let place = node.hosting(&site.hosting).unwrap().user.home.join("tmp");
    cache(&site, "Latchkey_Files", &place);
    check_out(node, &site);
}

fn an_object_cache_in_the_memory_of_the_pool_keeps_no_ended_session(node: &Node) {
    let site = node.instance("in-apcu").unwrap();
    cache(&site, "Latchkey_Apcu", Path::new(""));
    check_out(node, &site);
}

fn an_object_cache_in_redis_keeps_no_ended_session(node: &Node) {
    let site = node.instance("in-redis").unwrap();
    cache(&site, "Latchkey_Redis", &node.start_redis().unwrap());
    check_out(node, &site);
}

fn a_session_that_the_memory_of_the_pool_keeps_is_never_counted_as_ended(node: &Node) {
    let site = node.instance("in-apcu-shut").unwrap();
    let shut = cache_behind_a_shutter(&site);
    let guest = share(node, &site.id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    fs::write(&shut, "").unwrap();
    let ended = guest.revoke();
    assert_eq!(
        (&ended["closed"]["wordpress"], ended["unconfirmed"].as_array().map(Vec::len)),
        (&json!(0), Some(1)),
        "{ended}"
    );
    // The database has no such session any more, and the pool goes by what it remembers.
    assert_eq!(wp_admin::marked_sessions_of(node, &site, 2), 0);
    wp_admin::is_in_as(&mut browser, "editor");
    fs::remove_file(shut).unwrap();
    eventually("the end of what was unconfirmed", || guest.shown().get("unconfirmed").is_none());
    wp_admin::is_out(&mut browser);
}

fn nobody_else_has_a_pool_forget(node: &Node) {
    let site = node.instance("in-files").unwrap();
    let now = jiff::Timestamp::now().as_second().to_string();
    for proof in ["", "0000000000000000000000000000000000000000000000000000000000000000"] {
        let form = [("forget", "2"), ("at", &*now), ("proof", proof)];
        let answer = Request::new("POST", format!("{}/.well-known/latchkey-sso", site.url)).form(&form).send();
        wp_admin::is_refused(&answer, node, "does not come from the hosting");
    }
}
