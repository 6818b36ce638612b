//! The five roles and *Custom* at the API, against the reviewed golden file of the access model.

use latchkey_tests::api::Api;
use latchkey_tests::shares::{person, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use serde_json::{Value, json};
use xtask::node::Node;

/// Role × operation, as reviewed.
const GOLDEN: &str = include_str!("../../agent/access/tests/golden/role-operation.txt");

crate::trials! { beside_others:
    every_role_may_exactly_what_the_golden_file_says,
    every_built_operation_is_in_the_golden_file,
    refusals_name_the_missing_privilege,
    the_privileges_of_a_role_are_frozen_at_grant,
    catalogued_operations_that_nothing_serves_say_so,
    the_catalogues_come_whole,
}

/// The rows of the built operations: name, then a cell for each role and the owner.
fn golden() -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let mut lines = GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let columns = lines.next().unwrap().split_whitespace().skip(1).map(str::to_owned).collect();
    let built = lines.take_while(|line| !line.starts_with("not built yet"));
    let rows = built.map(|line| {
        let (name, cells) = line.split_once(' ').unwrap();
        let cells = cells.replace("403 ", "403-").split_whitespace().map(str::to_owned).collect();
        (name.to_owned(), cells)
    });
    (columns, rows.collect())
}

fn every_role_may_exactly_what_the_golden_file_says(node: &Node) {
    paper(node, "roles", PAPERS);
    let (columns, rows) = golden();
    assert_eq!(columns, ["view_only", "view_and_sso", "developer", "full_access", "custom", "owner"]);
    let people: Vec<String> = columns
        .iter()
        .map(|column| match column.as_str() {
            "owner" => sites::owner_of("roles"),
            // A custom share with nothing but a file account.
            "custom" => {
                let terms = json!({ "role": "custom", "privileges": [], "file_access": { "kind": "sftp" } });
                share(node, "roles", &person("custom"), &terms).email
            }
            "view_only" => share(node, "roles", &person("view-only"), &json!({ "role": "view_only" })).email,
            role => share(node, "roles", &person("role"), &json!({ "role": role, "log_in_as": "all" })).email,
        })
        .collect();
    for (operation, cells) in rows {
        for ((person, column), cell) in people.iter().zip(&columns).zip(cells) {
            let about = format!("{operation} for {column}");
            // Garbage is looked at only after the decision.
            let api = Api::acting_as(node, person);
            let path = format!("/v1/instances/roles/operations/{operation}");
            let answer = api.request("POST", &path).body("application/json", "{ garbage").send();
            let explained = Api::panel(node).explain("roles", person, &operation);
            match cell.strip_prefix("403-") {
                Some(rule) => {
                    assert_eq!(
                        answer.refused_by(rule, 403, "forbidden")["privilege"],
                        explained["privilege"],
                        "{about}"
                    );
                    assert_eq!((&explained["decision"], &explained["rule"]), (&json!("deny"), &json!(rule)), "{about}");
                }
                None => {
                    assert_eq!(cell, "allow");
                    answer.refused(400, "invalid");
                    assert_eq!(explained["decision"], "allow", "{about}");
                }
            }
        }
    }
}

fn every_built_operation_is_in_the_golden_file(node: &Node) {
    let operations = Api::panel(node).get("/v1/operations").done();
    let names: Vec<&str> =
        operations["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let rows: Vec<String> = golden().1.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, rows);
}

fn refusals_name_the_missing_privilege(node: &Node) {
    paper(node, "missing", PAPERS);
    let guest = share(node, "missing", &person("guest"), &json!({ "role": "view_only" }));
    for (operation, privilege) in [
        ("sso.open", "wordpress.create_sso_link"),
        ("site_name.set", "wordpress.update_site_name"),
        ("maintenance.set", "wordpress.manage_maintenance_mode"),
        ("share.invite", "general.manage_shared_access"),
    ] {
        let problem = guest.person().operate("missing", operation, &json!({})).refused_by("A1", 403, "forbidden");
        assert_eq!(problem["privilege"], privilege, "{problem}");
    }
    // Somebody for whom the instance does not exist is told nothing.
    let stranger = Api::acting_as(node, &person("stranger"));
    let problem = stranger.operate("missing", "sso.open", &json!({})).refused_by("A2", 404, "not_found");
    assert_eq!(problem.get("privilege"), None, "{problem}");
    assert_eq!(problem["detail"], stranger.operate("no-such", "sso.open", &json!({})).json()["detail"]);
}

fn the_privileges_of_a_role_are_frozen_at_grant(node: &Node) {
    paper(node, "frozen", PAPERS);
    let roles = Api::panel(node).get("/v1/roles").done();
    for role in roles["items"].as_array().unwrap().iter().filter(|role| role["id"] != "custom") {
        let share = share(node, "frozen", &person("guest"), &json!({ "role": role["id"] }));
        let shown = share.shown();
        assert_eq!(shown["privileges"], role["privileges"], "{shown}");
        assert_eq!(shown["file_access"]["kind"], role["file_access"], "{shown}");
        // Saying again what the role means is no contradiction; taking one away is.
        share.update(&json!({ "role": role["id"], "privileges": role["privileges"] }));
        let less = Api::panel(node).patch(&share.path(), &json!({ "role": role["id"], "privileges": [] }));
        less.refused(400, "invalid");
    }
}

fn catalogued_operations_that_nothing_serves_say_so(node: &Node) {
    paper(node, "unserved", PAPERS);
    let owner = Api::acting_as(node, &sites::owner_of("unserved"));
    owner.operate("unserved", "backup.create", &json!({})).refused(501, "unsupported");
    owner.operate("unserved", "coffee.brew", &json!({})).refused(404, "not_found");
    Api::acting_as(node, &person("stranger"))
        .operate("unserved", "backup.create", &json!({}))
        .refused(404, "not_found");
    let full = share(node, "unserved", &person("guest"), &json!({ "role": "full_access" })).shown();
    assert!(full["unavailable"].as_array().unwrap().contains(&json!("wordpress.manage_backups")), "{full}");
    assert!(!full["unavailable"].as_array().unwrap().contains(&json!("wordpress.create_sso_link")), "{full}");
}

fn the_catalogues_come_whole(node: &Node) {
    let get = |path: &str| Api::panel(node).without_actor().get(path).done()["items"].as_array().unwrap().clone();
    let privileges = get("/v1/privileges");
    assert_eq!(privileges.len(), 38);
    let complete = |one: &Value| one["id"].is_string() && one["title"].is_string() && one["reach"].is_array();
    assert!(privileges.iter().all(complete), "{privileges:?}");
    let roles: Vec<String> = get("/v1/roles").iter().map(|role| role["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(roles, ["view_only", "view_and_sso", "developer", "full_access", "custom"]);
    assert!(get("/v1/operations").iter().all(|one| one["input"].is_object() && one["output"].is_object()));
}
