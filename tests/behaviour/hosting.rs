//! Hostings: what counts for the whole of one (A6), what is refused on a suspended one (A4), and which the broker takes.

use latchkey_tests::api::Api;
use latchkey_tests::shares::{person, share};
use latchkey_tests::sites::{self, PAPERS, owner_of, paper, put_hosting, put_hosting_of, put_paper};
use serde_json::{Value, json};
use xtask::node::{Hosting, Node};

crate::trials! { beside_others:
    hosting_privileges_reach_every_site_of_the_hosting,
    a_site_that_is_added_says_who_reaches_it_already,
    on_a_suspended_hosting_persons_are_refused_owners_too_and_the_panel_is_not,
    hosting_operations_need_the_hosting_or_all_of_its_instances,
    only_the_panel_registers,
    the_broker_takes_no_arbitrary_system_user_or_home,
    a_hosting_with_instances_is_not_forgotten,
    an_instance_lies_beneath_its_home_and_stays_on_its_hosting,
    database_prefixes_do_not_overlap,
}

const CRON: &str = "hosting.manage_cron";

#[track_caller]
fn privileges_on(api: &Api<'_>, instance: &str) -> Vec<Value> {
    api.get(&format!("/v1/instances/{instance}")).done()["privileges"].as_array().unwrap().clone()
}

fn hosting_privileges_reach_every_site_of_the_hosting(node: &Node) {
    paper(node, "shop-front", "shop");
    paper(node, "shop-back", "shop");
    let full = share(node, "shop-front", &person("full"), &json!({ "role": "full_access" }));
    let developer = share(node, "shop-front", &person("developer"), &json!({ "role": "developer" }));
    assert_eq!(full.shown()["reach"]["reaches_other_sites"], true);

    let here = privileges_on(&full.person(), "shop-front");
    let there = privileges_on(&full.person(), "shop-back");
    assert!(here.contains(&json!(CRON)) && here.contains(&json!("wordpress.update_site_name")), "{here:?}");
    assert!(there.contains(&json!(CRON)), "{there:?}");
    assert!(there.iter().all(|one| one.as_str().unwrap().starts_with("hosting.")), "{there:?}");
    // The neighbour is seen, and what is not of the hosting is refused there.
    full.person().operate("shop-back", "site_name.set", &json!({})).refused_by("A1", 403, "forbidden");
    developer.person().operate("shop-back", "site_name.set", &json!({})).refused_by("A2", 404, "not_found");
    developer.person().get("/v1/instances/shop-back").refused(404, "not_found");
    let listed = |api: Api<'_>| api.get("/v1/instances").done()["items"].as_array().unwrap().len();
    assert_eq!((listed(full.person()), listed(developer.person())), (2, 1));
    full.revoke();
    full.person().get("/v1/instances/shop-back").refused(404, "not_found");
}

fn a_site_that_is_added_says_who_reaches_it_already(node: &Node) {
    paper(node, "agency-one", "agency");
    let full = share(node, "agency-one", &person("full"), &json!({ "role": "full_access" }));
    share(node, "agency-one", &person("developer"), &json!({ "role": "developer" }));
    let registered = paper(node, "agency-two", "agency");
    let reached = registered["reached_by"].as_array().unwrap();
    assert_eq!(reached.len(), 1, "{registered}");
    assert_eq!(
        (&reached[0]["person"]["email"], &reached[0]["share"]),
        (&json!(full.email), &json!(full.id)),
        "{registered}"
    );
    assert!(reached[0]["privileges"].as_array().unwrap().contains(&json!(CRON)), "{registered}");
}

fn on_a_suspended_hosting_persons_are_refused_owners_too_and_the_panel_is_not(node: &Node) {
    let hosting = node.hosting("move").unwrap();
    paper(node, "moving", "move");
    let guest = share(node, "moving", &person("guest"), &json!({ "role": "developer", "log_in_as": "all" }));
    let lead = share(node, "moving", &person("lead"), &json!({ "role": "full_access" }));
    put_hosting(node, &hosting, "suspended").done();
    let owner = owner_of("moving");
    for actor in [&guest.email, &lead.email, &owner] {
        let api = Api::acting_as(node, actor);
        api.operate("moving", "site_name.show", &json!({})).refused_by("A4", 403, "forbidden");
    }
    Api::acting_as(node, &owner).get("/v1/instances/moving/shares").refused_by("A4", 403, "forbidden");
    Api::acting_as(node, &person("stranger")).operate("moving", "site_name.show", &json!({})).refused_by(
        "A2",
        404,
        "not_found",
    );
    let shares = Api::panel(node).get("/v1/instances/moving/shares").done();
    assert_eq!(shares["items"].as_array().unwrap().len(), 2, "{shares}");
    assert_eq!(guest.state(), "active");
    put_hosting(node, &hosting, "active").done();
    assert_eq!(Api::panel(node).explain("moving", &guest.email, "site_name.show")["decision"], "allow");
}

fn hosting_operations_need_the_hosting_or_all_of_its_instances(node: &Node) {
    let hosting = node.hosting("estate").unwrap();
    put_paper(node, "estate-a", "estate", &json!({ "owners": ["one@owners.example"] })).done();
    put_paper(node, "estate-b", "estate", &json!({ "owners": ["one@owners.example", "other@owners.example"] })).done();
    let holds = |email: &str| privileges_on(&Api::acting_as(node, email), "estate-b").contains(&json!(CRON));
    assert!(!holds("other@owners.example"));
    assert!(privileges_on(&Api::acting_as(node, &owner_of("estate")), "estate-b").contains(&json!(CRON)));
    put_hosting_of(node, &hosting, "active", &[owner_of("estate"), "other@owners.example".into()]).done();
    assert!(holds("other@owners.example"));
    put_hosting(node, &hosting, "active").done();
    assert!(!holds("other@owners.example"));
}

fn only_the_panel_registers(node: &Node) {
    let owner = Api::owner(node);
    owner.put("/v1/hostings/mine", &json!({})).refused(403, "forbidden");
    owner.put("/v1/instances/mine", &json!({})).refused(403, "forbidden");
    owner.delete("/v1/instances/live").refused(403, "forbidden");
    owner.delete("/v1/hostings/demo").refused(403, "forbidden");
    assert_eq!(owner.get("/v1/hostings").done()["items"][0]["id"], "demo");
    owner.get("/v1/hostings/papers").refused(404, "not_found");
    Api::panel(node).put("/v1/hostings/Not_An_Id", &json!({})).refused(400, "invalid");
}

fn the_broker_takes_no_arbitrary_system_user_or_home(node: &Node) {
    let good = node.hosting("empty").unwrap();
    let other = node.hosting("neighbour").unwrap();
    let prefix = "arbitrary_".to_owned();
    let with = |name: &str, home: &std::path::Path| {
        let mut hosting = Hosting { id: "arbitrary".into(), db_prefix: prefix.clone(), ..good.clone() };
        hosting.user.name = name.into();
        hosting.user.home = home.into();
        put_hosting(node, &hosting, "active")
    };
    let serve = std::fs::metadata(&node.agent().unwrap().paths().state).unwrap();
    let serve_user = std::fs::read_to_string("/etc/passwd").unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&serve);
    let serve_user = serve_user
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&uid.to_string()))
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    for (name, home) in [
        ("root", "/root"),
        ("www-data", "/var/www"),
        ("nobody", "/nonexistent"),
        (&serve_user, good.user.home.to_str().unwrap()),
        ("no-such-user", good.user.home.to_str().unwrap()),
        (&good.user.name, "/"),
        (&good.user.name, "/etc"),
        (&good.user.name, other.user.home.to_str().unwrap()),
    ] {
        let answer = with(name, home.as_ref());
        assert!((400..500).contains(&answer.status), "{name} {home}: {} {}", answer.status, answer.body);
    }
    Api::panel(node).get("/v1/hostings/arbitrary").refused(404, "not_found");
}

fn a_hosting_with_instances_is_not_forgotten(node: &Node) {
    let hosting = node.hosting("empty").unwrap();
    paper(node, "last", "empty");
    let guest = share(node, "last", &person("guest"), &json!({ "role": "view_only" }));
    Api::panel(node).delete("/v1/hostings/empty").refused(409, "conflict");
    Api::panel(node).delete("/v1/instances/last").done();
    guest.person().get("/v1/instances/last").refused(404, "not_found");
    Api::panel(node).delete("/v1/hostings/empty").done();
    Api::panel(node).get("/v1/hostings/empty").refused(404, "not_found");
    assert_eq!(put_hosting(node, &hosting, "active").status, 201);
    // The instance comes back under the same id without its former guests.
    paper(node, "last", "empty");
    guest.person().get("/v1/instances/last").refused(404, "not_found");
}

fn an_instance_lies_beneath_its_home_and_stays_on_its_hosting(node: &Node) {
    let home = node.hosting(PAPERS).unwrap().user.home.display().to_string();
    for (field, value) in [
        ("docroot", json!("/etc")),
        ("docroot", json!("relative")),
        ("docroot", json!(format!("{home}/../elsewhere"))),
        ("docroot", json!(format!("{home}-2/site"))),
        ("url", json!("javascript:alert(1)")),
        ("url", json!("https://example.org/")),
        ("label", json!("")),
        ("hosting", json!("no-such")),
        ("staging_of", json!("no-such")),
    ] {
        let mut different = json!({});
        different[field] = value;
        let problem = put_paper(node, "misplaced", PAPERS, &different).refused(400, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
    }
    Api::panel(node).get("/v1/instances/misplaced").refused(404, "not_found");
    paper(node, "settled", PAPERS);
    let there = node.hosting("demo").unwrap().user.home.join("settled");
    put_paper(node, "settled", PAPERS, &json!({ "hosting": "demo", "docroot": there })).refused(409, "conflict");
}

fn database_prefixes_do_not_overlap(node: &Node) {
    let good = node.hosting("neighbour").unwrap();
    for (prefix, status) in [("papers_", 409), ("papers_x_", 409), ("p", 400), ("Upper_", 400), ("_x_", 400)] {
        let hosting = Hosting { id: "neighbour".into(), db_prefix: prefix.into(), ..good.clone() };
        let answer = put_hosting(node, &hosting, "active");
        assert_eq!(answer.status, status, "{prefix}: {}", answer.body);
        assert_eq!(answer.json()["field"], "db_prefix");
    }
    let known = Api::panel(node).get("/v1/hostings/neighbour").done();
    assert_eq!(known["db_prefix"], good.db_prefix.as_str());
    assert_eq!(sites::put_hosting(node, &good, "active").status, 200);
}
