//! `site_name.*`, `indexing.*`, `maintenance.*`: the reply and the site itself.

use std::os::unix::fs::MetadataExt;

use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::Browser;
use latchkey_tests::shares::{Share, person, pinned_editor, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::node::{Instance, Node};

crate::trials! { beside_others:
    the_site_name_is_shown_and_set_as_people_read_it,
    indexing_is_shown_and_set,
    maintenance_closes_the_site_to_visitors_only,
    a_foreign_maintenance_file_is_left_alone_while_it_is_young,
    a_site_that_fails_with_its_plugins_is_asked_without_them,
    a_site_without_wordpress_is_unavailable,
    what_a_site_prints_does_not_reach_the_reply,
}

/// The value of an option, as the site's database holds it.
#[track_caller]
fn option(node: &Node, site: &Instance, name: &str) -> String {
    let sql = format!("SELECT option_value FROM `{}`.wp_options WHERE option_name = '{name}'", site.database.name);
    node.mariadb(&sql).unwrap().trim_end_matches('\n').to_owned()
}

/// Somebody who may do one thing, and somebody who may not.
#[track_caller]
fn two<'n>(node: &'n Node, site: &str, privilege: &str) -> (Share<'n>, Share<'n>) {
    let may = json!({ "role": "custom", "privileges": [privilege] });
    (share(node, site, &person("may"), &may), share(node, site, &person("may-not"), &json!({ "role": "view_only" })))
}

fn the_site_name_is_shown_and_set_as_people_read_it(node: &Node) {
    let site = node.instance("named").unwrap();
    let (may, may_not) = two(node, "named", "wordpress.update_site_name");
    assert_eq!(may.person().operate("named", "site_name.show", &json!({})).done(), json!({ "name": "Site named" }));
    let name = "Tom & \"Jerry's\" <Käse> 🧀";
    let set = json!({ "name": name });
    may_not.person().operate("named", "site_name.set", &set).refused_by("A1", 403, "forbidden");
    may_not.person().operate("named", "site_name.show", &json!({})).refused_by("A1", 403, "forbidden");
    assert_eq!(option(node, &site, "blogname"), "Site named");
    assert_eq!(may.person().operate("named", "site_name.set", &set).done(), set);
    assert_eq!(may.person().operate("named", "site_name.show", &json!({})).done(), set);
    // WordPress keeps it escaped, as its own settings page does.
    assert!(option(node, &site, "blogname").contains("Tom &amp; "), "{}", option(node, &site, "blogname"));
    audited(node, "named", "site_name.set", "allowed", |row| row["share"] == may.id.as_str() && row["rule"] == "A7");
    for (wrong, field) in [
        (json!({ "name": "x".repeat(201) }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({}), "name"),
        (json!({ "name": "x", "more": 1 }), "more"),
    ] {
        let problem = may.person().operate("named", "site_name.set", &wrong).refused(400, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
    }
}

fn indexing_is_shown_and_set(node: &Node) {
    let site = node.instance("indexed").unwrap();
    let (may, may_not) = two(node, "indexed", "wordpress.manage_search_engine_indexing");
    let before = may.person().operate("indexed", "indexing.show", &json!({})).done()["indexed"].as_bool().unwrap();
    assert_eq!(option(node, &site, "blog_public"), u8::from(before).to_string());
    for indexed in [!before, before] {
        let set = json!({ "indexed": indexed });
        may_not.person().operate("indexed", "indexing.set", &set).refused_by("A1", 403, "forbidden");
        assert_eq!(may.person().operate("indexed", "indexing.set", &set).done(), set);
        assert_eq!(option(node, &site, "blog_public"), u8::from(indexed).to_string());
    }
    may.person().operate("indexed", "indexing.set", &json!({ "indexed": "no" })).refused(400, "invalid");
}

fn maintenance_closes_the_site_to_visitors_only(node: &Node) {
    let site = node.instance("upkeep").unwrap();
    let (may, may_not) = two(node, "upkeep", "wordpress.manage_maintenance_mode");
    let editor = share(node, "upkeep", &person("editor"), &pinned_editor());
    let set = |api: Api<'_>, enabled: bool| api.operate("upkeep", "maintenance.set", &json!({ "enabled": enabled }));
    let file = site.docroot.join(".maintenance");
    set(may_not.person(), true).refused_by("A1", 403, "forbidden");
    assert!(!file.exists());
    assert_eq!(set(may.person(), true).done(), json!({ "enabled": true }));
    let owner = node.hosting(&site.hosting).unwrap().user;
    assert_eq!(std::fs::metadata(&file).unwrap().uid(), owner.uid);
    assert_eq!(may.person().operate("upkeep", "maintenance.show", &json!({})).done(), json!({ "enabled": true }));
    let mut visitor = Browser::at_site(&site.url);
    assert_eq!(visitor.open("/").status, 503);
    assert_eq!(visitor.open("/wp-login.php").status, 200);
    let mut browser = wp_admin::log_in(node, &editor.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    assert_eq!(browser.open("/").status, 200);
    assert_eq!(set(may.person(), true).done(), json!({ "enabled": true }));
    assert_eq!(set(may.person(), false).done(), json!({ "enabled": false }));
    assert!(!file.exists());
    assert_eq!(visitor.open("/").status, 200);
    assert_eq!(set(may.person(), false).done(), json!({ "enabled": false }));
    let left: Vec<_> = std::fs::read_dir(&site.docroot)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".maint"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn a_foreign_maintenance_file_is_left_alone_while_it_is_young(node: &Node) {
    let site = node.instance("updating").unwrap();
    let owner = Api::acting_as(node, &sites::owner_of("updating"));
    let file = site.docroot.join(".maintenance");
    std::fs::write(&file, "<?php $upgrading = time(); ?>").unwrap();
    let user = node.hosting(&site.hosting).unwrap().user;
    user.own(&file).unwrap();
    assert_eq!(owner.operate("updating", "maintenance.show", &json!({})).done(), json!({ "enabled": true }));
    owner.operate("updating", "maintenance.set", &json!({ "enabled": false })).refused(409, "conflict");
    assert!(file.exists());
    let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(past).unwrap();
    owner.operate("updating", "maintenance.set", &json!({ "enabled": false })).done();
    assert!(!file.exists());
}

fn a_site_that_fails_with_its_plugins_is_asked_without_them(node: &Node) {
    let site = node.instance("fatal").unwrap();
    let plugins = site.docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let owner = Api::acting_as(node, &sites::owner_of("fatal"));
    let check = |plugin: &str, name: &str| {
        std::fs::write(plugins.join("broken.php"), plugin).unwrap();
        owner.operate("fatal", "site_name.set", &json!({ "name": name })).done();
        assert_eq!(option(node, &site, "blogname"), name);
    };
    check("<?php latchkey_no_such_function();", "fatal");
    check("<?php echo 'I say something'; exit(0);", "exits");
    check("<?php syntax error", "does not parse");
    check("<?php echo '{\"ok\":true,\"result\":{\"name\":\"forged\"}}'; flush();", "prints");
}

fn a_site_without_wordpress_is_unavailable(node: &Node) {
    paper(node, "nothing-there", PAPERS);
    let owner = Api::acting_as(node, &sites::owner_of("nothing-there"));
    for operation in ["site_name.show", "sso.users"] {
        owner.operate("nothing-there", operation, &json!({})).refused(503, "unavailable");
    }
}

fn what_a_site_prints_does_not_reach_the_reply(node: &Node) {
    let site = node.instance("chatty").unwrap();
    let plugins = site.docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::write(
        plugins.join("chatty.php"),
        "<?php echo str_repeat('secret ', 500000); fwrite(STDERR, str_repeat('x', 1 << 20));",
    )
    .unwrap();
    let answer = Api::panel(node).operate("chatty", "site_name.show", &json!({}));
    assert_eq!(answer.done(), json!({ "name": "Site chatty" }));
    // A site that forges its answer only lies about itself, and within bounds.
    let huge = "<?php $f = fopen('php://fd/3', 'w'); fwrite($f, '{\"ok\":true,\"result\":{\"name\":\"' . str_repeat('a', 2 << 20) . '\"}}' . \"\\n\"); exit;";
    std::fs::write(plugins.join("chatty.php"), huge).unwrap();
    let answer = Api::panel(node).operate("chatty", "site_name.show", &json!({}));
    assert!(answer.body.len() < 4096, "{} bytes", answer.body.len());
    let _: Value = answer.json();
}
