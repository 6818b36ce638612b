//! `database.*`, `database_user.*`, `database_grant.set`: the reply, and what real MariaDB says.

use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::databases::{connections, crash_during, sql, sql_as};
use latchkey_tests::exchange::Response;
use latchkey_tests::hostile_text::texts;
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::{owner_of, paper, put_hosting_with};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::Node;

crate::trials! {
    beside_others:
        databases_are_made_listed_renamed_and_deleted,
        users_do_what_they_are_granted_on_every_site_and_on_no_other_hosting,
        what_a_site_lives_on_is_not_taken_away_by_accident,
        a_shown_password_ends_with_its_share_and_stays_known,
        what_only_looks_like_the_prefix_belongs_to_others,
        hostile_names_reach_no_statement,
        a14_what_no_adapter_of_the_hosting_serves_is_shown_and_refused;
    alone:
        a_server_that_hangs_leaves_nothing_half_made,
        a_server_that_dies_in_the_middle_leaves_nothing_half_made,
        while_adapters_are_loaded_nothing_is_called_unsupported,
        connections_at_a_server_that_hangs_are_unconfirmed_until_they_have_ended;
}

/// Where databases belong to these trials.
const SITE: &str = "base";
const BESIDE: &str = "base-beside";

fn guest<'n>(node: &'n Node, site: &str) -> Share<'n> {
    let may = json!({ "role": "custom", "privileges": ["hosting.manage_mysql"] });
    share(node, site, &person("may"), &may)
}

fn listed(person: &Api<'_>, operation: &str, name: &str) -> Option<Value> {
    let all = person.operate(SITE, operation, &json!({})).done();
    all["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned()
}

fn password(answer: &Response, name: &str) -> String {
    let answer = answer.done();
    assert_eq!(answer["name"], name, "{answer}");
    answer["password"].as_str().unwrap().to_owned()
}

fn databases_are_made_listed_renamed_and_deleted(node: &Node) {
    let (may, may_not) = (guest(node, SITE), share(node, SITE, &person("may-not"), &json!({ "role": "view_only" })));
    let (may_not, may) = (may_not.person(), may.person());
    let there = || sql(node, "SHOW DATABASES LIKE 'bases\\_d\\_%'");
    for (operation, input) in [
        ("database.list", json!({})),
        ("database.create", json!({ "name": "d_shop" })),
        ("database.rename", json!({ "name": "bases_d_shop", "new_name": "d_blog" })),
        ("database.delete", json!({ "name": "bases_d_shop" })),
    ] {
        may_not.operate(SITE, operation, &input).refused_by("A1", 403, "forbidden");
    }
    assert_eq!(there(), "");
    let made = may.operate(SITE, "database.create", &json!({ "name": "d_shop" })).done();
    assert_eq!((made, there().as_str()), (json!({ "name": "bases_d_shop" }), "bases_d_shop"));
    audited(node, SITE, "database.create", "allowed", |row| row["rule"] == "A7");
    let again = may.operate(SITE, "database.create", &json!({ "name": "d_shop" })).refused(409, "conflict");
    assert_eq!(again["adapter_error"], "already_exists", "{again}");
    sql(node, "CREATE TABLE bases_d_shop.t SELECT 7 AS id");
    let row = listed(&may, "database.list", "bases_d_shop").unwrap();
    assert!(row["tables"] == 1 && row["size_bytes"].as_u64().unwrap() > 0 && row["instances"] == json!([]), "{row}");
    let site = listed(&may, "database.list", &node.instance(SITE).unwrap().database.name).unwrap();
    assert_eq!(site["instances"], json!([SITE]));
    let renamed = may.operate(SITE, "database.rename", &json!({ "name": "bases_d_shop", "new_name": "d_blog" })).done();
    assert_eq!((renamed, there().as_str()), (json!({ "name": "bases_d_blog" }), "bases_d_blog"));
    assert_eq!(sql(node, "SELECT id FROM bases_d_blog.t"), "7");
    may_not.operate(SITE, "database.delete", &json!({ "name": "bases_d_blog" })).refused_by("A1", 403, "forbidden");
    assert_eq!(there(), "bases_d_blog");
    may.operate(SITE, "database.delete", &json!({ "name": "bases_d_blog" })).done();
    assert_eq!(there(), "");
    let gone = may.operate(SITE, "database.delete", &json!({ "name": "bases_d_blog" })).refused(404, "not_found");
    assert_eq!(gone["adapter_error"], "not_found", "{gone}");
}

fn users_do_what_they_are_granted_on_every_site_and_on_no_other_hosting(node: &Node) {
    let (share, may_not) = (guest(node, SITE), share(node, SITE, &person("may-not"), &json!({ "role": "developer" })));
    let (may, may_not) = (share.person(), may_not.person());
    for name in ["u_a_b", "u_axb"] {
        may.operate(SITE, "database.create", &json!({ "name": name })).done();
        sql(node, &format!("CREATE TABLE bases_{name}.t SELECT 1 AS id"));
    }
    may_not.operate(SITE, "database_user.create", &json!({ "name": "u_u" })).refused_by("A1", 403, "forbidden");
    assert_eq!(sql(node, "SELECT User FROM mysql.user WHERE User = 'bases_u_u'"), "");
    let first = password(&may.operate(SITE, "database_user.create", &json!({ "name": "u_u" })), "bases_u_u");
    let read =
        |password: &str, database: &str| sql_as(node, ("bases_u_u", password), &format!("SELECT id FROM {database}.t"));
    assert!(sql_as(node, ("bases_u_u", &first), "SELECT 1").is_ok() && read(&first, "bases_u_a_b").is_err());
    let grant = |person: &Api<'_>, database: &str, privileges: Value| {
        let input = json!({ "user": "bases_u_u", "database": database, "privileges": privileges });
        person.operate(SITE, "database_grant.set", &input)
    };
    grant(&may_not, "bases_u_a_b", json!(["select"])).refused_by("A1", 403, "forbidden");
    assert!(read(&first, "bases_u_a_b").is_err());
    let set = grant(&may, "bases_u_a_b", json!(["lock_tables", "select"])).done();
    let granted = json!({ "database": "bases_u_a_b", "privileges": ["select", "lock_tables"] });
    assert_eq!(set, json!({ "user": "bases_u_u", "grant": granted }));
    // `_` stands for itself: a database whose name fits the pattern is another one.
    assert!(read(&first, "bases_u_a_b").is_ok() && read(&first, "bases_u_axb").is_err());
    let row = listed(&may, "database_user.list", "bases_u_u").unwrap();
    assert_eq!((&row["grants"], &row["instances"]), (&json!([granted]), &json!([])), "{row}");
    // The whole hosting (A6): the other site's database too, and no other hosting's.
    let beside = node.instance(BESIDE).unwrap().database.name;
    let other = node.instance("named").unwrap().database.name;
    grant(&may, &beside, json!(["select"])).done();
    assert!(sql_as(node, ("bases_u_u", &first), &format!("SELECT COUNT(*) FROM {beside}.wp_users")).is_ok());
    assert_eq!(grant(&may, &other, json!(["select"])).refused(400, "invalid")["field"], "database");
    assert!(sql_as(node, ("bases_u_u", &first), &format!("SELECT COUNT(*) FROM {other}.wp_users")).is_err());
    grant(&may, &beside, json!([])).refused(409, "conflict");
    let input = json!({ "user": "bases_u_u", "database": beside, "privileges": [], "instances": [BESIDE] });
    may.operate(SITE, "database_grant.set", &input).done();
    assert!(sql_as(node, ("bases_u_u", &first), &format!("SELECT COUNT(*) FROM {beside}.wp_users")).is_err());
    assert_eq!(grant(&may, "bases_u_a_b", json!(["super"])).refused(400, "invalid")["field"], "privileges[0]");
    let second =
        password(&may.operate(SITE, "database_user.set_password", &json!({ "name": "bases_u_u" })), "bases_u_u");
    assert!(read(&first, "bases_u_a_b").is_err() && read(&second, "bases_u_a_b").is_ok());
    // A connection that is open when its user goes.
    std::thread::scope(|scope| {
        let open = scope.spawn(|| sql_as(node, ("bases_u_u", &second), "SELECT SLEEP(100)"));
        eventually("the connection", || connections(node, "bases_u_u") == "1");
        may.operate(SITE, "database_user.delete", &json!({ "name": "bases_u_u" })).done();
        assert!(open.join().unwrap().is_err());
    });
    assert_eq!((connections(node, "bases_u_u"), listed(&may, "database_user.list", "bases_u_u")), ("0".into(), None));
    may.operate(SITE, "database_user.delete", &json!({ "name": "bases_u_u" })).refused(404, "not_found");
    for name in ["bases_u_a_b", "bases_u_axb"] {
        may.operate(SITE, "database.delete", &json!({ "name": name })).done();
    }
}

fn what_a_site_lives_on_is_not_taken_away_by_accident(node: &Node) {
    let may = guest(node, BESIDE).person();
    let site = node.instance(SITE).unwrap();
    let (database, user) = (site.database.name.clone(), site.database.user.clone());
    let works = || sql_as(node, (&user, &site.database.password), &format!("SELECT COUNT(*) FROM {database}.wp_users"));
    for (operation, input) in [
        ("database.delete", json!({ "name": database })),
        ("database.rename", json!({ "name": database, "new_name": "elsewhere" })),
        ("database_user.delete", json!({ "name": user })),
        ("database_user.set_password", json!({ "name": user, "instances": [BESIDE] })),
        ("database_grant.set", json!({ "user": user, "database": database, "privileges": ["select"] })),
    ] {
        let refused = may.operate(BESIDE, operation, &input).refused(409, "conflict");
        assert_eq!(refused["field"], "instances", "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("in use by the instance base;"), "{refused}");
        assert!(works().is_ok(), "{operation}");
    }
    // By its name it is. The site gets its password back.
    let named = json!({ "name": user, "instances": [SITE] });
    let new = password(&may.operate(BESIDE, "database_user.set_password", &named), &user);
    assert!(works().is_err() && sql_as(node, (&user, &new), "SELECT 1").is_ok());
    sql(node, &format!("ALTER USER '{user}'@'localhost' IDENTIFIED BY '{}'", site.database.password));
    assert!(works().is_ok());
}

fn what_only_looks_like_the_prefix_belongs_to_others(node: &Node) {
    // One begins like `bases_`, the other is what `_` matches as a pattern.
    let others = ["bases10_x", "basesXx"];
    for name in others {
        sql(node, &format!("CREATE DATABASE {name}; CREATE USER {name}@localhost"));
    }
    let may = guest(node, SITE).person();
    for name in others {
        for operation in ["database.list", "database_user.list"] {
            assert_eq!(listed(&may, operation, name), None);
        }
        for (operation, input) in [
            ("database.delete", json!({ "name": name })),
            ("database.rename", json!({ "name": name, "new_name": "u_mine" })),
            ("database_user.set_password", json!({ "name": name })),
            ("database_user.delete", json!({ "name": name })),
            ("database_grant.set", json!({ "user": name, "database": "bases_base", "privileges": ["select"] })),
        ] {
            may.operate(SITE, operation, &input).refused(400, "invalid");
        }
        let there = sql(node, &format!("SHOW DATABASES LIKE '{name}'; SHOW GRANTS FOR {name}@localhost"));
        assert_eq!(there.lines().count(), 2, "{there}");
    }
    // Nor is an instance of another hosting any of theirs.
    for (operation, input) in [
        ("database.list", json!({})),
        ("database.create", json!({ "name": "x" })),
        ("cron.list", json!({})),
        ("phpmyadmin.open", json!({ "database": "x" })),
        ("file.list", json!({})),
    ] {
        may.operate("named", operation, &input).refused_by("A2", 404, "not_found");
    }
    for name in others {
        sql(node, &format!("DROP DATABASE {name}; DROP USER {name}@localhost"));
    }
}

fn hostile_names_reach_no_statement(node: &Node) {
    let may = guest(node, SITE).person();
    // All of the server, without what other trials make meanwhile.
    let of_others =
        ["one_", "bases10_", "basesX", "bases_d_", "bases_u_", "bases_k_", "latchkey_tmp_", "latchkey\\_tmp\\_"];
    let facts = || {
        let all = sql(
            node,
            "SHOW DATABASES; SELECT User, Host FROM mysql.user ORDER BY 1, 2; SELECT Db, User FROM mysql.db ORDER BY 1, 2",
        );
        let lines = all.lines().filter(|line| !of_others.iter().any(|begins| line.contains(begins)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = facts();
    let theirs = node.instance("named").unwrap().database.name;
    let mut names: Vec<String> = texts().collect();
    names.extend(["bases_%", "bases10_a*", "mysql`", "root'", &theirs.to_uppercase()].map(str::to_owned));
    for name in &names {
        for (operation, input, field) in [
            ("database.create", json!({ "name": name }), "name"),
            ("database.delete", json!({ "name": name }), "name"),
            ("database.rename", json!({ "name": name, "new_name": "h_new" }), "name"),
            ("database.rename", json!({ "name": "bases_base", "new_name": name }), "new_name"),
            ("database_user.create", json!({ "name": name }), "name"),
            ("database_user.set_password", json!({ "name": name }), "name"),
            ("database_user.delete", json!({ "name": name }), "name"),
            ("database_grant.set", json!({ "user": name, "database": "bases_h", "privileges": ["select"] }), "user"),
            (
                "database_grant.set",
                json!({ "user": "bases_h", "database": name, "privileges": ["select"] }),
                "database",
            ),
        ] {
            let problem = may.operate(SITE, operation, &input).refused(400, "invalid");
            assert_eq!(problem["field"], field, "{operation} {name:?}: {problem}");
        }
    }
    // Names that are sound and another's, or nobody's.
    for name in [theirs.as_str(), "mysql", "root", "bases", "bases10_a", &format!("bases_{}", "x".repeat(60))] {
        may.operate(SITE, "database.delete", &json!({ "name": name })).refused(400, "invalid");
        may.operate(SITE, "database_user.delete", &json!({ "name": name })).refused(400, "invalid");
    }
    assert_eq!(facts(), before);
}

fn a_server_that_hangs_leaves_nothing_half_made(node: &Node) {
    let may = guest(node, SITE).person();
    node.database().hang().unwrap();
    let hung = may.operate(SITE, "database.create", &json!({ "name": "h_a" }));
    node.database().resume().unwrap();
    assert!(hung.refused(503, "unavailable")["retry_after_s"].as_u64().is_some());
    may.operate(SITE, "database.create", &json!({ "name": "h_a" })).done();
    node.database().stop().unwrap();
    may.operate(SITE, "database_user.create", &json!({ "name": "h_u" })).refused(503, "unavailable");
    node.database().start().unwrap();
    assert_eq!(sql(node, "SELECT User FROM mysql.user WHERE User = 'bases_h_u'"), "");
    password(&may.operate(SITE, "database_user.create", &json!({ "name": "h_u" })), "bases_h_u");
    may.operate(SITE, "database_user.delete", &json!({ "name": "bases_h_u" })).done();
    may.operate(SITE, "database.delete", &json!({ "name": "bases_h_a" })).done();
}

fn a_shown_password_ends_with_its_share_and_stays_known(node: &Node) {
    let share = guest(node, SITE);
    let made = share.person().operate(SITE, "database_user.create", &json!({ "name": "k_u" }));
    let secret = password(&made, "bases_k_u");
    // For the time of a SELECT SLEEP; what ends it, and whether the connection lived until then.
    let while_connected = |secret: &str, end: &dyn Fn() -> Value| {
        std::thread::scope(|scope| {
            let open = scope.spawn(|| sql_as(node, ("bases_k_u", secret), "SELECT SLEEP(100)"));
            eventually("the connection", || connections(node, "bases_k_u") == "1");
            let ended = end();
            assert!(open.join().unwrap().is_err());
            assert_eq!(connections(node, "bases_k_u"), "0");
            ended
        })
    };
    let ended = while_connected(&secret, &|| share.suspend());
    assert_eq!((&ended["closed"]["database"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    share.reinstate();
    let live = || Api::panel(node).get("/v1/sessions").done().to_string().contains(&share.id);
    eventually("what is watched", live);
    let ended = while_connected(&secret, &|| share.revoke());
    assert_eq!(ended["closed"]["database"], 1, "{ended}");
    let residue = json!([{
        "kind": "database_user",
        "what": "the password of the database user bases_k_u was shown through this share",
        "undo": "run database_user.set_password or database_user.delete with the name bases_k_u",
    }]);
    assert!(ended["residue"].as_array().unwrap().contains(&residue[0]), "{ended}");
    assert_eq!(share.residue(), residue);
    // It works still, as it says, until somebody does what it says.
    assert!(sql_as(node, ("bases_k_u", &secret), "SELECT 1").is_ok());
    let owner = Api::acting_as(node, &owner_of("bases"));
    owner.operate(SITE, "database_user.set_password", &json!({ "name": "bases_k_u" })).done();
    assert!(sql_as(node, ("bases_k_u", &secret), "SELECT 1").is_err());
    assert_eq!(share.residue(), json!([]));
    owner.operate(SITE, "database_user.delete", &json!({ "name": "bases_k_u" })).done();
}

fn connections_at_a_server_that_hangs_are_unconfirmed_until_they_have_ended(node: &Node) {
    let share = guest(node, SITE);
    let made = share.person().operate(SITE, "database_user.create", &json!({ "name": "h_k" }));
    let secret = password(&made, "bases_h_k");
    std::thread::scope(|scope| {
        let open = scope.spawn(|| sql_as(node, ("bases_h_k", &secret), "SELECT SLEEP(100)"));
        eventually("the connection", || connections(node, "bases_h_k") == "1");
        node.database().hang().unwrap();
        let begun = Stopwatch::start();
        let ended = share.revoke();
        let took = begun.elapsed();
        node.database().resume().unwrap();
        assert!(took.as_secs_f64() < 3.2, "{took:?}");
        assert_eq!(
            (&ended["closed"]["database"], &ended["unconfirmed"][0]["channel"]),
            (&json!(0), &json!("database"))
        );
        assert!(open.join().unwrap().is_err());
    });
    eventually("confirmed", || share.shown().get("unconfirmed").is_none());
    Api::panel(node).operate(SITE, "database_user.delete", &json!({ "name": "bases_h_k" })).done();
}

fn a14_what_no_adapter_of_the_hosting_serves_is_shown_and_refused(node: &Node) {
    let hosting = node.hosting("bare").unwrap();
    let owner = Api::acting_as(node, &owner_of("bare-site"));
    paper(node, "bare-site", "bare");
    let unavailable = || owner.get("/v1/instances/bare-site").done()["unavailable"].clone();
    let of_adapters = |listed: &Value| {
        ["hosting.manage_mysql", "hosting.phpmyadmin_sso"].map(|id| listed.as_array().unwrap().contains(&json!(id)))
    };
    assert_eq!(of_adapters(&unavailable()), [false, false]);
    owner.operate("bare-site", "database.list", &json!({})).done();
    put_hosting_with(node, &hosting, &json!({ "adapters": [] })).done();
    // phpMyAdmin is the node's own.
    assert_eq!(of_adapters(&unavailable()), [true, false]);
    let refused = owner.operate("bare-site", "database.list", &json!({})).refused(501, "unsupported");
    assert_eq!(refused["detail"], "no adapter of the hosting bare serves databases");
    let may = guest(node, "bare-site");
    assert_eq!(may.shown()["unavailable"], json!(["hosting.manage_mysql"]));
}

fn a_server_that_dies_in_the_middle_leaves_nothing_half_made(node: &Node) {
    let may = guest(node, SITE).person();
    let create = |operation: &str| may.operate(SITE, operation, &json!({ "name": "m_a" }));
    for (operation, statement) in [("database.create", "CREATE DATABASE"), ("database_user.create", "CREATE USER")] {
        crash_during(node, statement, || create(operation)).refused(503, "unavailable");
        assert_eq!(sql(node, "SHOW DATABASES LIKE 'bases\\_m\\_%'"), "");
        assert_eq!(sql(node, "SELECT User FROM mysql.user WHERE User LIKE 'bases\\_m\\_%'"), "");
        create(operation).done();
        may.operate(SITE, &operation.replace("create", "delete"), &json!({ "name": "bases_m_a" })).done();
    }
}

fn while_adapters_are_loaded_nothing_is_called_unsupported(node: &Node) {
    let owner = Api::acting_as(node, &owner_of("bases"));
    node.serve().unwrap().crash().unwrap();
    eventually("the adapter is loaded", || {
        let listed = owner.operate(SITE, "database.list", &json!({}));
        assert!(listed.status == 200 || listed.status == 503, "{}", listed.body);
        listed.status == 200
    });
}
