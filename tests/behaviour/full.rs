//! Hostings without any room left, on their disk or within their quota: what needs none works, what needs some says what it
//! lacks and leaves no half of it, and once there is room all is as before.

use std::fs;

use latchkey_tests::api::Api;
use latchkey_tests::shares::{person, pinned_editor, share};
use latchkey_tests::small_home::{End, SmallHome};
use latchkey_tests::wp_admin;
use serde_json::json;
use xtask::node::Node;

use crate::variants::has_ended_one;

crate::trials! { beside_others:
    a_full_disk_is_named_and_keeps_nobody_in,
    a_used_up_quota_is_named_and_keeps_nobody_in,
}

fn a_full_disk_is_named_and_keeps_nobody_in(node: &Node) {
    check(node, "full-disk", End::Disk, "No space left on device");
}

fn a_used_up_quota_is_named_and_keeps_nobody_in(node: &Node) {
    check(node, "full-quota", End::Quota, "Disk quota exceeded");
}

#[track_caller]
fn check(node: &Node, id: &str, end: End, says: &str) {
    let site = node.instance(id).unwrap();
    let home = SmallHome::of(node, &site.hosting, end);
    let maintenance = |enabled: bool| Api::panel(node).operate(id, "maintenance.set", &json!({ "enabled": enabled }));
    maintenance(true).done();
    maintenance(false).done();
    let before = share(node, id, &person("guest"), &pinned_editor());
    let mut inside = wp_admin::log_in(node, &before.email, &site, None);
    let told = home.fill();
    assert!(told.contains(says), "{told}");

    let problem = maintenance(true).refused(507, "quota");
    assert!(problem["detail"].as_str().unwrap().contains("no room left"), "{problem}");
    let names = fs::read_dir(&site.docroot).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".maintenance")).collect();
    assert!(left.is_empty(), "{left:?}");
    // The database has room, and so have neighbours.
    let name = json!({ "name": "No room" });
    assert_eq!(Api::panel(node).operate(id, "site_name.set", &name).done(), name);
    Api::panel(node).operate("live", "site_name.show", &json!({})).done();
    // Ways in and out.
    wp_admin::is_in_as(&mut inside, "editor");
    has_ended_one(&before.revoke());
    wp_admin::is_out(&mut inside);
    let guest = share(node, id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    has_ended_one(&guest.revoke());
    wp_admin::is_out(&mut browser);

    home.make_room();
    assert_eq!(maintenance(true).done(), json!({ "enabled": true }));
    maintenance(false).done();
}
