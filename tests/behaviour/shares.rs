//! `share.*`: inviting, accepting, changing, ending, and what is refused beside it.

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::Browser;
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::shares::{Share, any_user, invite, offer, person, pinned_editor, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { beside_others:
    one_share_per_person_and_instance_and_a_new_one_after_its_end,
    an_invitation_is_resent_with_a_new_link_but_not_at_once,
    only_a_pending_share_is_resent,
    a_dead_link_says_the_same_whatever_became_of_it,
    somebody_is_invited_to_several_instances_at_once,
    log_in_as_without_the_privilege_is_refused,
    unknown_privileges_and_roles_are_refused_never_ignored,
    what_makes_no_sense_is_refused_with_its_field,
    the_address_is_the_person_whatever_its_case,
    a_patch_changes_what_it_names_and_null_removes,
    a_share_is_accepted_again_without_a_change_and_not_after_its_end,
    suspending_and_reinstating_fit_the_state,
    a_person_reads_and_leaves_their_own_share_and_nobody_elses,
    what_ended_is_listed_only_when_asked_for,
    the_reach_is_said_with_what_causes_it,
    a_stale_if_match_changes_nothing,
    a_share_of_one_instance_is_none_of_another,
    a_person_is_renamed_and_keeps_their_shares,
    people_are_suggested_only_from_what_one_may_share,
    an_address_that_changes_hands_gives_its_new_holder_nothing_of_the_old_ones,
    an_address_is_one_person_in_every_spelling_of_its_domain,
    of_two_owners_who_edit_at_once_one_is_told_to_look_again,
}

fn view_only() -> Value {
    json!({ "role": "view_only" })
}

#[track_caller]
fn somewhere(node: &Node, id: &str) -> String {
    paper(node, id, PAPERS);
    id.to_owned()
}

fn one_share_per_person_and_instance_and_a_new_one_after_its_end(node: &Node) {
    let site = somewhere(node, "once");
    let anna = person("anna");
    let first = invite(node, &site, &anna, &view_only());
    for _ in 0..2 {
        let problem = offer(node, "panel", &site, &anna, &any_user()).refused(409, "conflict");
        assert!(problem["detail"].as_str().unwrap().contains(&first.id), "{problem}");
        if first.state() == "pending" {
            first.accept();
        }
    }
    first.revoke();
    let second = share(node, &site, &anna, &view_only());
    assert_ne!(first.id, second.id);
    assert_eq!((first.state(), second.state()), ("revoked".into(), "active".into()));
    let owner = sites::owner_of(&site);
    offer(node, "panel", &site, &owner, &view_only()).refused(409, "conflict");
    offer(node, &owner, &site, &owner, &view_only()).refused(409, "conflict");
}

fn an_invitation_is_resent_with_a_new_link_but_not_at_once(node: &Node) {
    let site = somewhere(node, "resend");
    let share = invite(node, &site, &person("anna"), &view_only());
    let first = mail_to(node, &share.email, "invitation", 1).link(node, "/i/");
    let path = format!("{}/resend", share.path());
    let again = || Api::panel(node).post(&path, &json!({}));
    let refused = again();
    let problem = refused.refused(429, "busy");
    let wait = problem["retry_after_s"].as_u64().unwrap();
    assert!((1..=crate::RESEND_AFTER_S).contains(&wait), "{problem}");
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert_eq!(mails_to(node, &share.email, "invitation").len(), 1);
    eventually("the second letter", || again().status == 200);
    let second = mail_to(node, &share.email, "invitation", 2).link(node, "/i/");
    assert_ne!(first, second);
    let mut browser = Browser::at_gateway(node);
    assert_eq!(browser.submit(&first, &[]).status, 404);
    assert_eq!(share.state(), "pending");
    assert_eq!(browser.submit(&second, &[]).status, 303);
    assert_eq!(share.state(), "active");
    audited(node, &site, "share.resend", "allowed", |row| row["share"] == share.id.as_str());
}

fn only_a_pending_share_is_resent(node: &Node) {
    let site = somewhere(node, "resend-late");
    let share = share(node, &site, &person("anna"), &view_only());
    let resend = |api: Api<'_>| api.post(&format!("{}/resend", share.path()), &json!({}));
    resend(Api::panel(node)).refused(409, "conflict");
    resend(share.person()).refused_by("A1", 403, "forbidden");
    resend(Api::acting_as(node, &person("stranger"))).refused(404, "not_found");
}

fn a_dead_link_says_the_same_whatever_became_of_it(node: &Node) {
    let site = somewhere(node, "dead-links");
    let link_of = |share: &Share<'_>| mail_to(node, &share.email, "invitation", 1).link(node, "/i/");
    let accepted = invite(node, &site, &person("accepted"), &view_only());
    let accepted_link = link_of(&accepted);
    accepted.accept();
    let cancelled = invite(node, &site, &person("cancelled"), &view_only());
    let cancelled_link = link_of(&cancelled);
    cancelled.revoke();
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    let expired =
        invite(node, &site, &person("expired"), &json!({ "role": "view_only", "expires_at": end.to_string() }));
    let expired_link = link_of(&expired);
    eventually("the end of a share", || expired.state() == "expired");
    let never = format!("{}/i/{}", node.agent().unwrap().urls().gateway, "A".repeat(43));
    let mut browser = Browser::at_gateway(node);
    let expected = browser.open(&never);
    assert_eq!(expected.status, 404);
    for link in [accepted_link, cancelled_link, expired_link, never] {
        assert_eq!(browser.open(&link).body, expected.body, "{link}");
        let posted = browser.submit(&link, &[]);
        assert_eq!((posted.status, &posted.body), (404, &expected.body), "{link}");
    }
    assert!(browser.cookies().is_empty());
}

fn somebody_is_invited_to_several_instances_at_once(node: &Node) {
    let sites = ["several-a", "several-b", "several-c"].map(|id| somewhere(node, id));
    let anna = person("anna");
    let body = |instances: &[&str]| json!({ "instances": instances, "email": anna, "role": "view_only" });
    let made = Api::panel(node).post("/v1/shares", &body(&[&sites[0], &sites[1]]));
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    assert_eq!((made["items"].as_array().unwrap().len(), &made["problems"]), (2, &json!([])), "{made}");
    // What works is done, what does not is named.
    let mixed = Api::panel(node).post("/v1/shares", &body(&[&sites[1], &sites[2], "no-such-site"]));
    assert_eq!(mixed.status, 201, "{}", mixed.body);
    let mixed = mixed.json();
    assert_eq!(mixed["items"][0]["instance"], sites[2].as_str(), "{mixed}");
    let mut codes: Vec<&str> =
        mixed["problems"].as_array().unwrap().iter().map(|one| one["problem"]["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["conflict", "not_found"], "{mixed}");
    // An owner of one of them reaches that one only.
    let owner = Api::acting_as(node, &sites::owner_of(&sites[0]));
    let other = json!({ "instances": [&sites[0], &sites[1]], "email": person("bert"), "role": "view_only" });
    let made = owner.post("/v1/shares", &other).done();
    assert_eq!(made["problems"][0]["problem"]["rule"], "A2", "{made}");
    Api::panel(node)
        .post("/v1/shares", &json!({ "instances": [], "email": anna, "role": "view_only" }))
        .refused(400, "invalid");
    Api::acting_as(node, &person("stranger")).post("/v1/shares", &body(&[&sites[0]])).refused_by(
        "A2",
        404,
        "not_found",
    );
}

#[track_caller]
fn refused_with_field(node: &Node, site: &str, terms: &Value, field: &str) -> Value {
    let problem = offer(node, "panel", site, &person("anna"), terms).refused(400, "invalid");
    assert_eq!(problem["field"], field, "{problem}");
    problem
}

fn log_in_as_without_the_privilege_is_refused(node: &Node) {
    let site = somewhere(node, "a9");
    for log_in_as in [json!("all"), json!({ "id": 2, "login": "editor" })] {
        let terms = json!({ "role": "view_only", "log_in_as": log_in_as });
        assert_eq!(refused_with_field(node, &site, &terms, "log_in_as")["rule"], "A9");
        let share = share(node, &site, &person("anna"), &json!({ "role": "view_and_sso", "log_in_as": log_in_as }));
        assert_eq!(share.shown()["log_in_as"], log_in_as);
    }
    let without = share(node, &site, &person("anna"), &json!({ "role": "view_and_sso" }));
    assert_eq!(without.shown()["log_in_as"], Value::Null);
}

fn unknown_privileges_and_roles_are_refused_never_ignored(node: &Node) {
    let site = somewhere(node, "a13");
    let custom = |ids: &[&str]| json!({ "role": "custom", "privileges": ids });
    let problem = refused_with_field(node, &site, &custom(&["general.view_reports", "general.fly"]), "privileges");
    assert_eq!(problem["rule"], "A13", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("general.fly"), "{problem}");
    refused_with_field(node, &site, &json!({ "role": "god" }), "role");
    refused_with_field(node, &site, &json!({ "role": "custom" }), "privileges");
    refused_with_field(node, &site, &custom(&[]), "privileges");
    refused_with_field(node, &site, &json!({ "role": "view_only", "privileges": ["general.view_logs"] }), "privileges");
    let made = share(node, &site, &person("anna"), &custom(&["general.view_reports"]));
    assert_eq!(made.shown()["privileges"], json!(["general.view_reports"]));
}

fn what_makes_no_sense_is_refused_with_its_field(node: &Node) {
    let site = somewhere(node, "faults");
    for (name, wrong) in [
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", json!("tomorrow")),
        ("note", json!("x".repeat(501))),
        ("note", json!("a\u{7}b")),
        ("surprise", json!(1)),
        ("apply_to_staging", json!("yes")),
        ("log_in_as", json!("everybody")),
    ] {
        let mut terms = json!({ "role": "view_and_sso" });
        terms[name] = wrong;
        refused_with_field(node, &site, &terms, name);
    }
    for address in
        ["", "anna", "anna@", "anna@example.org\r\nBcc: x@example.org", "jürgen@example.org", "a b@example.org"]
    {
        let problem = offer(node, "panel", &site, address, &view_only()).refused(400, "invalid");
        assert_eq!(problem["field"], "email", "{address}: {problem}");
    }
    assert_eq!(Api::panel(node).get(&format!("/v1/instances/{site}/shares?all=true")).done()["items"], json!([]));
}

fn the_address_is_the_person_whatever_its_case(node: &Node) {
    let site = somewhere(node, "case");
    let anna = person("anna");
    let loud = anna.to_uppercase();
    let share = invite(node, &site, &loud, &view_only());
    assert_eq!(share.shown()["person"]["email"], anna.as_str());
    offer(node, "panel", &site, &anna, &view_only()).refused(409, "conflict");
    assert_eq!(Api::acting_as(node, &loud).get(&share.path()).done()["state"], "pending");
}

fn a_patch_changes_what_it_names_and_null_removes(node: &Node) {
    let site = somewhere(node, "patch");
    let mut terms = pinned_editor();
    let end = (Timestamp::now() + SignedDuration::from_secs(7200)).round(jiff::Unit::Second).unwrap();
    terms["expires_at"] = json!(end.to_string());
    terms["note"] = json!("Thanks!");
    let share = share(node, &site, &person("anna"), &terms);
    let before = share.shown();
    share.update(&json!({ "note": "Really." }));
    let after = share.shown();
    assert_eq!(after["note"], "Really.");
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
    for same in ["role", "privileges", "log_in_as", "expires_at", "state", "created_at"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    share.update(&json!({ "note": null, "expires_at": null, "log_in_as": null }));
    let after = share.shown();
    for gone in ["note", "expires_at", "log_in_as"] {
        assert_eq!(after[gone], Value::Null, "{gone}");
    }
    assert_eq!(after["role"], "view_and_sso");
    let problem = Api::panel(node).patch(&share.path(), &json!({ "state": "revoked" })).refused(400, "invalid");
    assert_eq!(problem["field"], "state", "{problem}");
    share.revoke();
    Api::panel(node).patch(&share.path(), &json!({ "note": "late" })).refused(409, "conflict");
}

fn a_share_is_accepted_again_without_a_change_and_not_after_its_end(node: &Node) {
    let site = somewhere(node, "accept");
    let share = invite(node, &site, &person("anna"), &view_only());
    let path = format!("{}/accept", share.path());
    Api::acting_as(node, &sites::owner_of(&site)).post(&path, &json!({})).refused(404, "not_found");
    Api::acting_as(node, &person("stranger")).post(&path, &json!({})).refused(404, "not_found");
    assert_eq!(share.state(), "pending");
    share.accept();
    let before = share.shown();
    share.accept();
    assert_eq!(share.shown(), before);
    share.revoke();
    share.person().post(&path, &json!({})).refused(404, "not_found");
}

fn suspending_and_reinstating_fit_the_state(node: &Node) {
    let site = somewhere(node, "suspend");
    let share = invite(node, &site, &person("anna"), &view_only());
    let call = |verb: &str| Api::panel(node).post(&format!("{}/{verb}", share.path()), &json!({}));
    call("suspend").refused(409, "conflict");
    call("reinstate").refused(409, "conflict");
    share.accept();
    share.suspend();
    share.suspend();
    share.person().get(&format!("/v1/instances/{site}")).refused(404, "not_found");
    share.reinstate();
    assert_eq!(share.person().get(&format!("/v1/instances/{site}")).done()["id"], site.as_str());
    share.revoke();
    call("suspend").refused(409, "conflict");
    call("reinstate").refused(409, "conflict");
}

fn a_person_reads_and_leaves_their_own_share_and_nobody_elses(node: &Node) {
    let site = somewhere(node, "leave");
    let own = share(node, &site, &person("anna"), &view_only());
    let other = share(node, &site, &person("bert"), &view_only());
    assert_eq!(own.person().get(&own.path()).done()["id"], own.id.as_str());
    own.person().get(&other.path()).refused_by("A1", 403, "forbidden");
    own.person().get(&format!("/v1/instances/{site}/shares")).refused_by("A1", 403, "forbidden");
    own.person().delete(&other.path()).refused_by("A1", 403, "forbidden");
    own.person().patch(&own.path(), &json!({ "note": "mine" })).refused(403, "forbidden");
    let reply = own.person().delete(&own.path()).done();
    assert_eq!(reply["share"]["state"], "revoked", "{reply}");
    assert_eq!(reply.get("others"), None, "{reply}");
    audited(node, &site, "share.leave", "allowed", |row| row["actor"] == own.email.as_str());
    own.person().get(&own.path()).refused(404, "not_found");
    assert_eq!(other.state(), "active");
}

fn what_ended_is_listed_only_when_asked_for(node: &Node) {
    let site = somewhere(node, "list");
    let shares: Vec<_> = (0..3).map(|_| share(node, &site, &person("guest"), &view_only())).collect();
    shares[0].revoke();
    let listed = |query: &str| Api::panel(node).get(&format!("/v1/instances/{site}/shares{query}")).done();
    assert_eq!(listed("")["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed("?all=true")["items"].as_array().unwrap().len(), 3);
    let first = listed("?all=true&limit=2");
    let rest = listed(&format!("?all=true&limit=2&cursor={}", first["next"].as_str().unwrap()));
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");
    assert!(rest.get("next").is_none_or(Value::is_null), "{rest}");
    let owner = Api::acting_as(node, &sites::owner_of(&site));
    let instance = owner.get(&format!("/v1/instances/{site}")).done();
    assert_eq!((&instance["shared"], &instance["owner"]), (&json!(true), &json!(true)), "{instance}");
}

fn the_reach_is_said_with_what_causes_it(node: &Node) {
    let reach_of = |site: &str, terms: &Value| share(node, site, &person("guest"), terms).shown()["reach"].clone();
    let site = somewhere(node, "reach");
    let harmless = reach_of(&site, &view_only());
    for flag in ["effective_admin", "reaches_other_sites", "sees_secrets", "can_mint", "destroys"] {
        assert_eq!(harmless[flag], false, "{harmless}");
    }
    let pinned = reach_of(&site, &pinned_editor());
    assert_eq!(
        (&pinned["effective_admin"], &pinned["reaches_other_sites"]),
        (&json!(false), &json!(false)),
        "{pinned}"
    );
    assert_eq!(reach_of(&site, &any_user())["effective_admin"], true);
    // A pin is void beside a privilege that runs code.
    let mut terms = pinned_editor();
    terms["role"] = json!("custom");
    terms["privileges"] = json!(["wordpress.create_sso_link", "wordpress.manage_plugins"]);
    let void = reach_of(&site, &terms);
    assert_eq!((&void["effective_admin"], &void["reaches_other_sites"]), (&json!(true), &json!(true)), "{void}");
    assert!(void["because"].to_string().contains("wordpress.manage_plugins"), "{void}");
}

fn a_stale_if_match_changes_nothing(node: &Node) {
    let site = somewhere(node, "etag");
    let share = share(node, &site, &person("anna"), &view_only());
    let tag = Api::panel(node).get(&share.path()).header("etag").unwrap().to_owned();
    let patch = |tag: &str, note: &str| {
        let request = Api::panel(node).request("PATCH", &share.path());
        request.header("If-Match", tag).json(&json!({ "note": note })).send()
    };
    let changed = patch(&tag, "first");
    changed.done();
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    patch(&tag, "second").refused(412, "conflict");
    assert_eq!(share.shown()["note"], "first");
    let delete = |tag: &str| Api::panel(node).request("DELETE", &share.path()).header("If-Match", tag).send();
    delete(&tag).refused(412, "conflict");
    assert_eq!(share.state(), "active");
    patch("3", "third").refused(400, "invalid");
    delete(changed.header("etag").unwrap()).done();
    assert_eq!(share.state(), "revoked");
}

fn a_share_of_one_instance_is_none_of_another(node: &Node) {
    let (one, other) = (somewhere(node, "mine"), somewhere(node, "yours"));
    let share = share(node, &one, &person("anna"), &view_only());
    let path = format!("/v1/instances/{other}/shares/{}", share.id);
    for actor in ["panel", &sites::owner_of(&other), &share.email] {
        Api::acting_as(node, actor).get(&path).refused(404, "not_found");
        Api::acting_as(node, actor).delete(&path).refused(404, "not_found");
    }
    assert_eq!(share.state(), "active");
}

fn a_person_is_renamed_and_keeps_their_shares(node: &Node) {
    let site = somewhere(node, "rename");
    let share = invite(node, &site, &person("anna"), &view_only());
    let mut gateway = share.accept_by_mail();
    assert_eq!(gateway.open("/").status, 200);
    let path = format!("/v1/people/{}", share.email);
    let new = person("anna-new");
    Api::acting_as(node, &sites::owner_of(&site)).patch(&path, &json!({ "email": new })).refused(403, "forbidden");
    let renamed = Api::panel(node).patch(&path, &json!({ "email": new, "name": "Anna" })).done();
    assert_eq!((&renamed["email"], &renamed["name"]), (&json!(new), &json!("Anna")), "{renamed}");
    assert_eq!(gateway.open("/").location(), "/sign-in");
    Api::acting_as(node, &share.email).get(&share.path()).refused(404, "not_found");
    assert_eq!(Api::acting_as(node, &new).get(&share.path()).done()["state"], "active");
    let taken = Api::panel(node).patch(&format!("/v1/people/{new}"), &json!({ "email": sites::owner_of(&site) }));
    taken.refused(409, "conflict");
}

fn people_are_suggested_only_from_what_one_may_share(node: &Node) {
    let (one, other) = (somewhere(node, "people-one"), somewhere(node, "people-other"));
    let here = share(node, &one, &person("suggested"), &view_only());
    let there = share(node, &other, &person("suggested"), &view_only());
    let emails = |actor: &str| {
        let page = Api::acting_as(node, actor).get("/v1/people?query=SUGGESTED&limit=500").done();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["email"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = emails("panel");
    assert!(all.contains(&here.email) && all.contains(&there.email), "{all:?}");
    assert_eq!(emails(&sites::owner_of(&one)), std::slice::from_ref(&here.email));
    assert!(emails(&here.email).is_empty());
}

fn an_address_that_changes_hands_gives_its_new_holder_nothing_of_the_old_ones(node: &Node) {
    let (site, other) = (somewhere(node, "handed-on"), somewhere(node, "handed-on-too"));
    let address = person("info");
    let of_anna = invite(node, &site, &address, &view_only());
    let mut gateway = of_anna.accept_by_mail();
    let pending = invite(node, &other, &address, &view_only());
    let link = mail_to(node, &address, "invitation", 2).link(node, "/i/");
    let anna = person("anna");
    Api::panel(node).patch(&format!("/v1/people/{address}"), &json!({ "email": anna })).done();
    // Bert has the address now, and a share of his own.
    let third = somewhere(node, "handed-on-last");
    let of_bert = share(node, &third, &address, &view_only());
    let bert = Api::acting_as(node, &address);
    bert.get(&of_anna.path()).refused(404, "not_found");
    bert.get(&pending.path()).refused(404, "not_found");
    assert_eq!(bert.get("/v1/instances").done()["items"].as_array().unwrap().len(), 1);
    // Her sign-in has ended, and the letter that lies in his mailbox opens nothing.
    assert_eq!(gateway.open("/").location(), "/sign-in");
    assert_eq!(Browser::at_gateway(node).submit(&link, &[]).status, 404);
    assert_eq!((pending.state(), of_bert.state()), ("pending".into(), "active".into()));
    assert_eq!(Api::acting_as(node, &anna).get(&of_anna.path()).done()["state"], "active");
    Api::acting_as(node, &anna).get(&of_bert.path()).refused(404, "not_found");
}

fn an_address_is_one_person_in_every_spelling_of_its_domain(node: &Node) {
    let site = somewhere(node, "spellings");
    let name = person("anna").split('@').next().unwrap().to_owned();
    let share = share(node, &site, &format!("{name}@b\u{fc}cher.example"), &view_only());
    assert_eq!(share.shown()["person"]["email"], format!("{name}@xn--bcher-kva.example"));
    for spelling in ["xn--bcher-kva.example", "XN--BCHER-KVA.example", "B\u{dc}CHER.Example", "bu\u{308}cher.example"] {
        let address = format!("{}@{spelling}", name.to_uppercase());
        offer(node, "panel", &site, &address, &view_only()).refused(409, "conflict");
        assert_eq!(Api::acting_as(node, &address).get(&share.path()).done()["id"], share.id.as_str(), "{address}");
    }
    Api::acting_as(node, &format!("{name}@bucher.example")).get(&share.path()).refused(404, "not_found");
}

fn of_two_owners_who_edit_at_once_one_is_told_to_look_again(node: &Node) {
    let owners = [person("first-owner"), person("second-owner")];
    sites::put_paper(node, "two-owners", PAPERS, &json!({ "owners": owners })).done();
    let share = share(node, "two-owners", &person("anna"), &view_only());
    let tag = Api::panel(node).get(&share.path()).header("etag").unwrap().to_owned();
    let edit = |owner: &str| {
        let request = Api::acting_as(node, owner).request("PATCH", &share.path());
        request.header("If-Match", &tag).json(&json!({ "note": owner })).send()
    };
    let replies = std::thread::scope(|scope| {
        owners.each_ref().map(|owner| scope.spawn(|| edit(owner))).map(|one| one.join().unwrap())
    });
    let (done, refused) = if replies[0].status == 200 { (0, 1) } else { (1, 0) };
    replies[done].done();
    replies[refused].refused(412, "conflict");
    assert_eq!(share.shown()["note"], owners[done].as_str());
}
