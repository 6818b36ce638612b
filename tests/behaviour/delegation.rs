//! Delegation (A10): within one's own and never beyond, down the chain, with adoption, here and everywhere.

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::mailbox::mail_to;
use latchkey_tests::shares::{Share, offer, person, share, share_as};
use latchkey_tests::sites::{self, PAPERS, paper};
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { beside_others:
    a_delegate_grants_what_they_hold_and_nothing_more,
    what_goes_beyond_ones_own_is_refused_before_other_faults,
    without_the_privilege_nobody_invites,
    nobody_changes_their_own_share_or_a_wider_one,
    a_log_in_as_is_passed_on_as_it_is_or_narrower,
    nobody_gives_access_that_outlasts_their_own,
    the_owner_hears_of_it_when_a_delegate_invites,
    narrowing_a_grantor_narrows_below_at_once_and_leaves_the_state,
    suspending_a_grantor_takes_effect_below_and_is_lifted_with_it,
    ending_a_grantor_ends_those_below_unless_adopted,
    who_adopts_must_hold_as_much,
    the_reply_lists_the_other_shares_that_one_may_end,
    everywhere_ends_all_that_one_may_end,
}

fn delegate_of(privileges: &[&str]) -> Value {
    let all: Vec<&str> = ["general.manage_shared_access"].iter().chain(privileges).copied().collect();
    json!({ "role": "custom", "privileges": all })
}

fn custom(privileges: &[&str]) -> Value {
    json!({ "role": "custom", "privileges": privileges })
}

const NAME: &str = "wordpress.update_site_name";
const REPORTS: &str = "general.view_reports";
const PLUGINS: &str = "wordpress.manage_plugins";
const SSO: &str = "wordpress.create_sso_link";

/// A lead who may share, and what was given to them, on an instance of papers.
#[track_caller]
fn lead<'n>(node: &'n Node, site: &str, terms: &Value) -> Share<'n> {
    paper(node, site, PAPERS);
    share(node, site, &person("lead"), terms)
}

fn a_delegate_grants_what_they_hold_and_nothing_more(node: &Node) {
    let lead = lead(node, "within", &delegate_of(&[NAME, REPORTS]));
    let below = share_as(node, &lead.email, "within", &person("guest"), &custom(&[NAME]));
    let shown = below.shown();
    assert_eq!(shown["granted_by"]["kind"], "share", "{shown}");
    assert_eq!(shown["granted_by"]["share"], lead.id.as_str(), "{shown}");
    assert_eq!(shown["allows_now"], json!([NAME]));
    let problem = offer(node, &lead.email, "within", &person("guest"), &custom(&[NAME, PLUGINS])).refused_by(
        "A10",
        403,
        "forbidden",
    );
    assert_eq!(problem["privilege"], PLUGINS, "{problem}");
    audited(node, "within", "POST /v1/instances/{instance}/shares", "denied", |row| {
        row["actor"] == lead.email.as_str() && row["rule"] == "A10"
    });
    // A wider role is beyond it, too.
    offer(node, &lead.email, "within", &person("guest"), &json!({ "role": "developer" })).refused_by(
        "A10",
        403,
        "forbidden",
    );
    // Widening one's guest later is no way around.
    lead.person().patch(&below.path(), &custom(&[NAME, PLUGINS])).refused_by("A10", 403, "forbidden");
    lead.person().patch(&below.path(), &custom(&[NAME, REPORTS])).done();
    assert_eq!(below.shown()["privileges"].as_array().unwrap().len(), 2);
    // And down the chain.
    let second = share_as(node, &lead.email, "within", &person("second"), &delegate_of(&[NAME]));
    share_as(node, &second.email, "within", &person("third"), &custom(&[NAME]));
    offer(node, &second.email, "within", &person("third"), &custom(&[REPORTS])).refused_by("A10", 403, "forbidden");
}

fn what_goes_beyond_ones_own_is_refused_before_other_faults(node: &Node) {
    let lead = lead(node, "before", &delegate_of(&[NAME]));
    let mut terms = custom(&[PLUGINS]);
    terms["expires_at"] = json!("2020-01-01T00:00:00Z");
    offer(node, &lead.email, "before", "no address", &terms).refused_by("A10", 403, "forbidden");
    let mut terms = custom(&[NAME]);
    terms["expires_at"] = json!("2020-01-01T00:00:00Z");
    offer(node, &lead.email, "before", &person("guest"), &terms).refused(400, "invalid");
}

fn without_the_privilege_nobody_invites(node: &Node) {
    let guest = lead(node, "mute", &custom(&[NAME]));
    let problem =
        offer(node, &guest.email, "mute", &person("guest"), &custom(&[NAME])).refused_by("A1", 403, "forbidden");
    assert_eq!(problem["privilege"], "general.manage_shared_access", "{problem}");
    offer(node, &person("stranger"), "mute", &person("guest"), &custom(&[NAME])).refused_by("A2", 404, "not_found");
    Api::acting_as(node, &guest.email).get("/v1/instances/mute/shares").refused_by("A1", 403, "forbidden");
}

fn nobody_changes_their_own_share_or_a_wider_one(node: &Node) {
    let lead = lead(node, "own-share", &delegate_of(&[NAME]));
    let wide = share(node, "own-share", &person("wide"), &custom(&[NAME, PLUGINS]));
    let equal = share(node, "own-share", &person("equal"), &custom(&[NAME]));
    let api = lead.person();
    api.patch(&lead.path(), &json!({ "note": "mine" })).refused_by("A10", 403, "forbidden");
    api.post(&format!("{}/suspend", lead.path()), &json!({})).refused_by("A10", 403, "forbidden");
    for request in [
        api.patch(&wide.path(), &json!({ "role": "view_only" })),
        api.delete(&wide.path()),
        api.post(&format!("{}/suspend", wide.path()), &json!({})),
    ] {
        request.refused_by("A10", 403, "forbidden");
    }
    assert_eq!(wide.state(), "active");
    assert_eq!(api.delete(&equal.path()).done()["share"]["state"], "revoked");
}

fn a_log_in_as_is_passed_on_as_it_is_or_narrower(node: &Node) {
    let mut terms = delegate_of(&[SSO]);
    terms["log_in_as"] = json!({ "id": 2, "login": "editor" });
    let lead = lead(node, "pass-on", &terms);
    let grant = |log_in_as: Value| {
        let mut terms = custom(&[SSO]);
        terms["log_in_as"] = log_in_as;
        offer(node, &lead.email, "pass-on", &person("guest"), &terms)
    };
    grant(json!({ "id": 2, "login": "editor" })).done();
    grant(Value::Null).done();
    grant(json!({ "id": 1, "login": "admin" })).refused_by("A10", 403, "forbidden");
    grant(json!("all")).refused_by("A10", 403, "forbidden");
}

fn nobody_gives_access_that_outlasts_their_own(node: &Node) {
    let end = (Timestamp::now() + SignedDuration::from_secs(3600)).round(jiff::Unit::Second).unwrap();
    let mut terms = delegate_of(&[NAME]);
    terms["expires_at"] = json!(end.to_string());
    let lead = lead(node, "outlast", &terms);
    let mut longer = custom(&[NAME]);
    longer["expires_at"] = json!((end + SignedDuration::from_secs(1)).to_string());
    offer(node, &lead.email, "outlast", &person("guest"), &longer).refused_by("A10", 403, "forbidden");
    // Who says nothing gives as long as they have themselves.
    let below = share_as(node, &lead.email, "outlast", &person("guest"), &custom(&[NAME]));
    assert_eq!(below.shown()["expires_at"], lead.shown()["expires_at"]);
}

fn the_owner_hears_of_it_when_a_delegate_invites(node: &Node) {
    let lead = lead(node, "hears", &delegate_of(&[NAME]));
    let guest = share_as(node, &lead.email, "hears", &person("guest"), &custom(&[NAME]));
    let mail = mail_to(node, &sites::owner_of("hears"), "delegate_invited", 1);
    assert!(
        mail.text.contains(&lead.email) && mail.text.contains(&guest.email) && mail.text.contains("Paper hears"),
        "{}",
        mail.text
    );
}

fn narrowing_a_grantor_narrows_below_at_once_and_leaves_the_state(node: &Node) {
    let lead = lead(node, "narrow", &delegate_of(&[NAME, REPORTS]));
    let below = share_as(node, &lead.email, "narrow", &person("guest"), &custom(&[NAME, REPORTS]));
    lead.update(&delegate_of(&[REPORTS]));
    let shown = below.shown();
    assert_eq!((&shown["state"], &shown["allows_now"]), (&json!("active"), &json!([REPORTS])), "{shown}");
    assert_eq!(shown["privileges"].as_array().unwrap().len(), 2);
    let explained = Api::panel(node).explain("narrow", &below.email, "site_name.set");
    assert_eq!((&explained["decision"], &explained["rule"]), (&json!("deny"), &json!("A10")), "{explained}");
    below.person().operate("narrow", "site_name.set", &json!({ "name": "x" })).refused_by("A10", 403, "forbidden");
    lead.update(&delegate_of(&[NAME, REPORTS]));
    assert_eq!(Api::panel(node).explain("narrow", &below.email, "site_name.set")["decision"], "allow");
}

fn suspending_a_grantor_takes_effect_below_and_is_lifted_with_it(node: &Node) {
    let lead = lead(node, "pause", &delegate_of(&[NAME]));
    let below = share_as(node, &lead.email, "pause", &person("guest"), &custom(&[NAME]));
    let decision = || Api::panel(node).explain("pause", &below.email, "site_name.set")["decision"].clone();
    assert_eq!(decision(), "allow");
    lead.suspend();
    assert_eq!((decision(), below.state()), (json!("deny"), "active".into()));
    lead.reinstate();
    assert_eq!(decision(), "allow");
}

fn ending_a_grantor_ends_those_below_unless_adopted(node: &Node) {
    let lead = lead(node, "adopt", &delegate_of(&[NAME]));
    let middle = share_as(node, &lead.email, "adopt", &person("middle"), &delegate_of(&[NAME]));
    let lost = share_as(node, &lead.email, "adopt", &person("lost"), &custom(&[NAME]));
    let leaf = share_as(node, &middle.email, "adopt", &person("leaf"), &custom(&[NAME]));
    let stray = share(node, "adopt", &person("stray"), &custom(&[NAME]));
    let path = |adopt: &str| format!("{}?adopt={adopt}", lead.path());
    Api::panel(node).delete(&path(&stray.id)).refused_by("A10", 400, "invalid");
    Api::panel(node).delete(&path("nonsense")).refused(400, "invalid");
    assert_eq!(lead.state(), "active");
    let owner = sites::owner_of("adopt");
    Api::acting_as(node, &owner).delete(&path(&middle.id)).done();
    assert_eq!([lead.state(), middle.state(), lost.state(), leaf.state()], ["revoked", "active", "revoked", "active"]);
    let shown = middle.shown();
    assert_eq!(
        (&shown["granted_by"]["kind"], &shown["granted_by"]["person"]["email"]),
        (&json!("owner"), &json!(owner)),
        "{shown}"
    );
    assert_eq!(Api::panel(node).explain("adopt", &leaf.email, "site_name.set")["decision"], "allow");
    audited(node, "adopt", "share.adopt", "allowed", |row| row["share"] == middle.id.as_str());
}

fn who_adopts_must_hold_as_much(node: &Node) {
    let lead = lead(node, "adopter", &delegate_of(&[NAME, PLUGINS]));
    let wide = share_as(node, &lead.email, "adopter", &person("wide"), &custom(&[NAME, PLUGINS]));
    let small = share(node, "adopter", &person("small"), &delegate_of(&[NAME]));
    small.person().delete(&format!("{}?adopt={}", lead.path(), wide.id)).refused_by("A10", 403, "forbidden");
    assert_eq!([lead.state(), wide.state()], ["active", "active"]);
    lead.person().delete(&format!("{}?adopt={}", lead.path(), wide.id)).refused_by("A10", 403, "forbidden");
    let peer = share(node, "adopter", &person("peer"), &delegate_of(&[NAME, PLUGINS]));
    peer.person().delete(&format!("{}?adopt={}", lead.path(), wide.id)).done();
    assert_eq!([lead.state(), wide.state()], ["revoked", "active"]);
    assert_eq!(wide.shown()["granted_by"]["share"], peer.id.as_str());
}

/// Somebody with a share on each of three instances: two of one owner, one of another.
#[track_caller]
fn on_three<'n>(node: &'n Node, name: &str) -> ([Share<'n>; 3], String) {
    let owner = sites::owner_of(name);
    let ids = ["a", "b", "c"].map(|end| format!("{name}-{end}"));
    for id in &ids[..2] {
        sites::put_paper(node, id, PAPERS, &json!({ "owners": [owner] })).done();
    }
    paper(node, &ids[2], PAPERS);
    let guest = person("guest");
    (ids.map(|id| share(node, &id, &guest, &custom(&[NAME]))), owner)
}

fn the_reply_lists_the_other_shares_that_one_may_end(node: &Node) {
    let ([first, second, third], owner) = on_three(node, "others");
    let reply = Api::acting_as(node, &owner).delete(&first.path()).done();
    let others: Vec<&str> = reply["others"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(others, [second.id.as_str()], "{reply}");
    assert_eq!([first.state(), second.state(), third.state()], ["revoked", "active", "active"]);
}

fn everywhere_ends_all_that_one_may_end(node: &Node) {
    let ([first, second, third], owner) = on_three(node, "every");
    let reply = Api::acting_as(node, &owner).delete(&format!("{}?everywhere=true", first.path())).done();
    assert!(reply.get("others").is_none_or(|others| others == &json!([])), "{reply}");
    assert_eq!([first.state(), second.state(), third.state()], ["revoked", "revoked", "active"]);
}
