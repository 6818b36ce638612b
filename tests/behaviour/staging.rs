//! Apply to Staging (A11): linked shares on stagings, those made later included.

use latchkey_tests::api::Api;
use latchkey_tests::shares::{Share, invite, person, pinned_editor, share, share_as};
use latchkey_tests::sites::{self, PAPERS, paper, put_paper};
use latchkey_tests::wp_admin;
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { beside_others:
    the_share_of_the_staging_comes_goes_and_lets_in_with_the_main_one,
    a_staging_that_is_made_later_is_included,
    without_apply_to_staging_there_is_none,
    the_linked_share_follows_until_it_is_edited_by_itself,
    taking_apply_to_staging_back_ends_the_linked_share,
    a_delegate_needs_as_much_on_the_staging,
    a_staging_has_no_staging_of_its_own,
    a_staging_that_is_pointed_elsewhere_loses_the_shares_that_followed,
}

/// The share on a staging that is linked to a main one.
#[track_caller]
fn linked<'n>(node: &'n Node, main: &Share<'_>, staging: &str) -> Option<Share<'n>> {
    let listed = Api::panel(node).get(&format!("/v1/instances/{staging}/shares?all=true")).done();
    let found =
        listed["items"].as_array().unwrap().iter().rev().find(|one| one["linked_to"] == main.id.as_str())?.clone();
    assert_eq!(found["person"]["email"], main.email.as_str(), "{found}");
    Some(Share::known(node, staging, found["id"].as_str().unwrap(), &main.email))
}

#[track_caller]
fn staging_of(node: &Node, live: &str, id: &str) {
    put_paper(node, id, PAPERS, &json!({ "staging_of": live, "owners": [sites::owner_of(live)] })).done();
}

fn applied(mut terms: Value) -> Value {
    terms["apply_to_staging"] = json!(true);
    terms
}

fn the_share_of_the_staging_comes_goes_and_lets_in_with_the_main_one(node: &Node) {
    let live = node.instance("prod").unwrap();
    let staging = node.instance("prod-stage").unwrap();
    let main = invite(node, "prod", &person("guest"), &applied(pinned_editor()));
    let copy = linked(node, &main, "prod-stage").expect("a linked share");
    assert_eq!(copy.state(), "pending");
    let _gateway = main.accept_by_mail();
    assert_eq!(copy.state(), "active");
    let mut on_live = wp_admin::log_in(node, &main.email, &live, None);
    let mut on_staging = wp_admin::log_in(node, &main.email, &staging, None);
    wp_admin::is_in_as(&mut on_live, "editor");
    wp_admin::is_in_as(&mut on_staging, "editor");
    let ended = main.revoke();
    assert_eq!(ended["closed"]["wordpress"], 2, "{ended}");
    assert_eq!(copy.state(), "revoked");
    wp_admin::is_out(&mut on_live);
    wp_admin::is_out(&mut on_staging);
}

fn a_staging_that_is_made_later_is_included(node: &Node) {
    paper(node, "early", PAPERS);
    let active =
        share_as(node, &sites::owner_of("early"), "early", &person("active"), &applied(json!({ "role": "developer" })));
    let pending = invite(node, "early", &person("pending"), &applied(json!({ "role": "view_only" })));
    let without = share(node, "early", &person("without"), &json!({ "role": "developer" }));
    let ended = share(node, "early", &person("ended"), &applied(json!({ "role": "developer" })));
    ended.revoke();
    staging_of(node, "early", "early-stage");
    let copy = linked(node, &active, "early-stage").expect("a linked share").shown();
    assert_eq!((&copy["state"], &copy["role"]), (&json!("active"), &json!("developer")), "{copy}");
    assert_eq!(copy["privileges"], active.shown()["privileges"]);
    assert_eq!(linked(node, &pending, "early-stage").expect("a linked share").state(), "pending");
    assert!(linked(node, &without, "early-stage").is_none());
    assert!(linked(node, &ended, "early-stage").is_none());
    // Registering it again makes no second one.
    staging_of(node, "early", "early-stage");
    let listed = Api::panel(node).get("/v1/instances/early-stage/shares?all=true").done();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
}

fn without_apply_to_staging_there_is_none(node: &Node) {
    paper(node, "apart", PAPERS);
    staging_of(node, "apart", "apart-stage");
    let main = share(node, "apart", &person("guest"), &json!({ "role": "developer" }));
    assert!(linked(node, &main, "apart-stage").is_none());
    main.person().get("/v1/instances/apart-stage").refused(404, "not_found");
    main.update(&json!({ "apply_to_staging": true }));
    assert_eq!(linked(node, &main, "apart-stage").expect("a linked share").state(), "active");
    assert_eq!(main.person().get("/v1/instances/apart-stage").done()["id"], "apart-stage");
}

fn the_linked_share_follows_until_it_is_edited_by_itself(node: &Node) {
    paper(node, "follow", PAPERS);
    staging_of(node, "follow", "follow-stage");
    let main = share(node, "follow", &person("guest"), &applied(json!({ "role": "developer" })));
    let copy = linked(node, &main, "follow-stage").expect("a linked share");
    main.update(&json!({ "role": "view_only" }));
    assert_eq!(copy.shown()["role"], "view_only");
    main.suspend();
    assert_eq!(copy.state(), "suspended");
    main.reinstate();
    assert_eq!(copy.state(), "active");
    copy.update(&json!({ "role": "view_and_sso" }));
    main.update(&json!({ "role": "developer" }));
    assert_eq!((&copy.shown()["role"], &main.shown()["role"]), (&json!("view_and_sso"), &json!("developer")));
    // It still ends with the main one.
    main.revoke();
    assert_eq!(copy.state(), "revoked");
}

fn taking_apply_to_staging_back_ends_the_linked_share(node: &Node) {
    paper(node, "back", PAPERS);
    staging_of(node, "back", "back-stage");
    let main = share(node, "back", &person("guest"), &applied(json!({ "role": "developer" })));
    let copy = linked(node, &main, "back-stage").expect("a linked share");
    main.update(&json!({ "apply_to_staging": false }));
    assert_eq!([main.state(), copy.state()], ["active", "revoked"]);
}

fn a_delegate_needs_as_much_on_the_staging(node: &Node) {
    paper(node, "half", PAPERS);
    staging_of(node, "half", "half-stage");
    let terms =
        json!({ "role": "custom", "privileges": ["general.manage_shared_access", "wordpress.update_site_name"] });
    let lead = share(node, "half", &person("lead"), &terms);
    let guest = json!({ "role": "custom", "privileges": ["wordpress.update_site_name"] });
    let refused = latchkey_tests::shares::offer(node, &lead.email, "half", &person("guest"), &applied(guest.clone()));
    assert_eq!(refused.refused(404, "not_found")["field"], "apply_to_staging");
    let there = share(node, "half-stage", &lead.email, &terms);
    let below = share_as(node, &lead.email, "half", &person("guest"), &applied(guest));
    let copy = linked(node, &below, "half-stage").expect("a linked share").shown();
    assert_eq!(copy["granted_by"]["share"], there.id.as_str(), "{copy}");
}

fn a_staging_has_no_staging_of_its_own(node: &Node) {
    paper(node, "deep", PAPERS);
    staging_of(node, "deep", "deep-stage");
    let problem =
        put_paper(node, "deep-deeper", PAPERS, &json!({ "staging_of": "deep-stage" })).refused(400, "invalid");
    assert_eq!(problem["field"], "staging_of", "{problem}");
    Api::panel(node).delete("/v1/instances/deep").refused(409, "conflict");
}

fn a_staging_that_is_pointed_elsewhere_loses_the_shares_that_followed(node: &Node) {
    paper(node, "from", PAPERS);
    paper(node, "to", PAPERS);
    staging_of(node, "from", "pointed");
    let main = share(node, "from", &person("guest"), &applied(json!({ "role": "developer" })));
    let copy = linked(node, &main, "pointed").expect("a linked share");
    let of_other = share(node, "to", &person("other"), &applied(json!({ "role": "developer" })));
    let own = share(node, "pointed", &person("own"), &json!({ "role": "view_only" }));
    staging_of(node, "to", "pointed");
    assert_eq!([copy.state(), main.state(), own.state()], ["revoked", "active", "active"]);
    assert_eq!(linked(node, &of_other, "pointed").expect("a linked share").state(), "active");
}
