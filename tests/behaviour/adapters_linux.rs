//! The adapter of a plain node, on real MariaDB: what it answers, and what the server says.

use latchkey_tests::adapters::Adapter;
use latchkey_tests::command_line::{Printed, latchkey_told};
use latchkey_tests::databases;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::{ONE, TWO};

crate::trials! {
    beside_others:
        databases_are_made_listed_renamed_and_dropped,
        users_do_what_they_are_granted_and_nothing_else,
        names_of_others_and_hostile_ones_reach_no_statement,
        mysql_takes_a_grant,
        a_rename_that_was_cut_off_goes_on,
        a_database_that_cannot_be_moved_whole_is_not_renamed;
    alone:
        passwords_are_in_no_log_of_the_server,
        a_server_that_hangs_is_an_error_and_leaves_nothing_half_done;
}

const GRANTS: &str = "[grants]\nmysql = true\nstate = true\n";

struct Linux<'n> {
    node: &'n Node,
    adapter: Adapter<'n>,
}

impl<'n> Linux<'n> {
    /// Several trials may have it installed at a time, under names of their own.
    fn on(node: &'n Node, name: &'static str) -> Self {
        let adapter = Adapter::shipped_as(node, "linux", name);
        adapter.write_operators_file(GRANTS);
        let _ = adapter.install(&["--unsigned"]).done();
        Self { node, adapter }
    }

    fn does(&self, function: &str, more: &[&str]) -> Printed {
        self.adapter.call(ONE, ["databases", function], more)
    }

    fn list(&self, function: &str) -> Vec<Value> {
        self.does(function, &["--json"]).json()["returned"].as_array().unwrap().clone()
    }

    /// A database or a user of this name in a list.
    fn listed(&self, function: &str, name: &str) -> Option<Value> {
        self.list(function).into_iter().find(|row| row["name"] == name)
    }

    fn with_password(&self, function: &str, user: &str, password: &str) -> Printed {
        let name = format!("name={user}");
        let line = ["adapter", "run", self.adapter.name, ONE, "databases", function, &name, "password=new"];
        latchkey_told(self.node, &[&line[..], &["--secret", "new"]].concat(), &format!("{password}\n"))
    }

    fn sql(&self, statement: &str) -> String {
        databases::sql(self.node, statement)
    }

    fn sql_as(&self, user: &str, password: &str, statement: &str) -> Result<String, String> {
        databases::sql_as(self.node, (user, password), statement)
    }

    fn databases_like(&self, pattern: &str) -> String {
        self.sql(&format!("SHOW DATABASES LIKE '{pattern}'"))
    }
}

fn databases_are_made_listed_renamed_and_dropped(node: &Node) {
    let linux = Linux::on(node, "linux-dbs");
    let _ = linux.does("create-database", &["name=one_d_shop"]).done();
    linux.does("create-database", &["name=one_d_shop"]).failed(6, "there is a one_d_shop already");
    assert_eq!(linux.databases_like("one\\_d\\_%"), "one_d_shop");
    linux.sql("CREATE TABLE one_d_shop.`odd ``'\\\\name` (id INT) ENGINE=InnoDB; INSERT INTO one_d_shop.`odd ``'\\\\name` VALUES (7)");
    let row = linux.listed("list-databases", "one_d_shop").unwrap();
    assert!(row["tables"] == 1 && row["size"].as_u64().unwrap() > 0, "{row}");
    assert!(linux.list("list-databases").iter().all(|row| row["name"].as_str().unwrap().starts_with("one_")));
    let _ = linux.with_password("create-user", "one_d_u", "s3cret").done();
    let grant = ["user=one_d_u", "database=one_d_shop", "privileges=[\"select\"]"];
    let _ = linux.does("set-grant", &grant).done();
    let _ = linux.does("rename-database", &["name=one_d_shop", "new-name=one_d_blog"]).done();
    assert_eq!(linux.databases_like("one\\_d\\_%"), "one_d_blog");
    let read = linux.sql_as("one_d_u", "s3cret", "SELECT * FROM one_d_blog.`odd ``'\\\\name`");
    assert_eq!(read.unwrap(), "7");
    let grants = &linux.listed("list-users", "one_d_u").unwrap()["grants"];
    assert_eq!(*grants, json!([{ "database": "one_d_blog", "privileges": ["select"] }]));
    linux.does("rename-database", &["name=one_d_shop", "new-name=one_d_x"]).failed(3, "there is no one_d_shop");
    let _ = linux.does("delete-database", &["name=one_d_blog"]).done();
    linux.does("delete-database", &["name=one_d_blog"]).failed(3, "there is no one_d_blog");
    assert_eq!(
        (linux.databases_like("one\\_d\\_%"), linux.sql("SELECT Db FROM mysql.db WHERE User = 'one_d_u'")),
        Default::default()
    );
    let _ = linux.does("delete-user", &["name=one_d_u"]).done();
    assert_eq!(linux.listed("list-users", "one_d_u"), None);
}

fn users_do_what_they_are_granted_and_nothing_else(node: &Node) {
    let linux = Linux::on(node, "linux-users");
    for name in ["one_u_a_b", "one_u_axb"] {
        let _ = linux.does("create-database", &[&format!("name={name}")]).done();
        linux.sql(&format!("CREATE TABLE {name}.t (id INT); INSERT INTO {name}.t VALUES (1)"));
    }
    let password = "p'\"`\\ wörd;--";
    let _ = linux.with_password("create-user", "one_u_u", password).done();
    linux.with_password("create-user", "one_u_u", "other").failed(6, "there is a one_u_u already");
    let select = |database: &str| linux.sql_as("one_u_u", password, &format!("SELECT id FROM {database}.t"));
    let insert = || linux.sql_as("one_u_u", password, "INSERT INTO one_u_a_b.t VALUES (2)");
    assert!(select("one_u_a_b").is_err());
    let grant = |privileges: &str| {
        let _ = linux
            .does("set-grant", &["user=one_u_u", "database=one_u_a_b", &format!("privileges={privileges}")])
            .done();
    };
    grant("[\"select\"]");
    assert_eq!(select("one_u_a_b").unwrap(), "1");
    // `_` stands for itself: a database whose name fits the pattern is another one.
    assert!(select("one_u_axb").is_err() && insert().is_err());
    grant("[\"insert\", \"lock-tables\"]");
    assert!(insert().is_ok() && select("one_u_a_b").is_err());
    let all: Vec<String> = latchkey_privileges().map(str::to_owned).collect();
    grant(&json!(all).to_string());
    assert_eq!(linux.listed("list-users", "one_u_u").unwrap()["grants"][0]["privileges"], json!(all));
    assert!(linux.sql_as("one_u_u", password, "GRANT SELECT ON one_u_a_b.* TO 'one_u_u'@'localhost'").is_err());
    grant("[]");
    assert!(select("one_u_a_b").is_err());
    assert_eq!(linux.listed("list-users", "one_u_u").unwrap()["grants"], json!([]));
    let _ = linux.with_password("set-password", "one_u_u", "newer").done();
    assert!(linux.sql_as("one_u_u", password, "SELECT 1").is_err());
    assert_eq!(linux.sql_as("one_u_u", "newer", "SELECT 1").unwrap(), "1");
    // A connection that is open when its user goes.
    std::thread::scope(|scope| {
        let open = scope.spawn(|| linux.sql_as("one_u_u", "newer", "SELECT SLEEP(100)"));
        let connected = || databases::connections(node, "one_u_u");
        eventually("the connection", || connected() == "1");
        let _ = linux.does("delete-user", &["name=one_u_u"]).done();
        assert!(open.join().unwrap().is_err());
        eventually("none any more", || connected() == "0");
    });
    assert!(linux.sql_as("one_u_u", "newer", "SELECT 1").is_err());
    linux.with_password("set-password", "one_u_u", "late").failed(3, "there is no one_u_u");
    for name in ["one_u_a_b", "one_u_axb"] {
        let _ = linux.does("delete-database", &[&format!("name={name}")]).done();
    }
}

fn latchkey_privileges() -> impl Iterator<Item = &'static str> {
    "select insert update delete create drop alter index references create-temporary-tables lock-tables create-view \
     show-view trigger event create-routine alter-routine execute"
        .split_whitespace()
}

fn names_of_others_and_hostile_ones_reach_no_statement(node: &Node) {
    let linux = Linux::on(node, "linux-names");
    let two = node.hosting(TWO).unwrap().db_prefix.clone();
    let before = linux.sql("SHOW DATABASES; SELECT User FROM mysql.user ORDER BY User; SELECT Db, User FROM mysql.db");
    let theirs = format!("{two}shop");
    let long = format!("one_{}", "x".repeat(61));
    let hostile = [
        "mysql",
        "one",
        "one_",
        "One_a",
        "one_a`; DROP DATABASE x; --",
        "one_a'",
        "one_a\"",
        "one_\\",
        "one_a b",
        "one_%",
        "one_\u{430}",
        "one_a\n",
        "one_*",
        "../one_a",
        &theirs,
        &long,
    ];
    for name in hostile {
        let name = json!(name).to_string();
        for (function, arguments) in [
            ("create-database", vec![format!("name={name}")]),
            ("delete-database", vec![format!("name={name}")]),
            ("delete-user", vec![format!("name={name}")]),
            ("rename-database", vec![format!("name={name}"), "new-name=one_n_b".into()]),
            ("set-grant", vec![format!("user={name}"), "database=one_n_a".into(), "privileges=[\"select\"]".into()]),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let refused = linux.does(function, &arguments);
            assert_eq!(refused.code, 5, "{function} {name}: {}", refused.text);
        }
    }
    let after = linux.sql("SHOW DATABASES; SELECT User FROM mysql.user ORDER BY User; SELECT Db, User FROM mysql.db");
    let others = |text: &str| text.lines().filter(|line| !line.contains("one_")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((others(&before), linux.databases_like("one\\_n\\_%")), (others(&after), String::new()));
}

fn mysql_takes_a_grant(node: &Node) {
    let linux = Linux::on(node, "linux-grant");
    let file = linux.adapter.operators_file().display().to_string();
    linux.adapter.write_operators_file("[grants]\nstate = true\n");
    let missing = format!("mysql is not granted: it takes `mysql = true` under [grants] in {file}");
    linux.does("list-databases", &[]).failed(4, &missing);
    linux.does("create-database", &["name=one_g_a"]).failed(4, &missing);
    assert_eq!(linux.databases_like("one\\_g\\_%"), "");
    linux.adapter.write_operators_file(GRANTS);
    let _ = linux.does("create-database", &["name=one_g_a"]).done();
    let _ = linux.does("delete-database", &["name=one_g_a"]).done();
}

fn a_rename_that_was_cut_off_goes_on(node: &Node) {
    let linux = Linux::on(node, "linux-rename");
    let rename = || linux.does("rename-database", &["name=one_r_old", "new-name=one_r_new"]);
    let read = || linux.sql("SELECT id FROM one_r_new.a UNION SELECT id FROM one_r_new.b ORDER BY id");
    let make = || {
        let _ = linux.does("create-database", &["name=one_r_old"]).done();
        linux.sql("CREATE TABLE one_r_old.a SELECT 1 AS id; CREATE TABLE one_r_old.b SELECT 2 AS id");
    };
    let begun = "CREATE DATABASE one_r_new COMMENT 'latchkey: renamed from one_r_old'";
    // Cut off before its tables were moved, and after.
    for moved in ["", "RENAME TABLE one_r_old.a TO one_r_new.a, one_r_old.b TO one_r_new.b"] {
        make();
        linux.sql(begun);
        linux.sql(moved);
        let _ = rename().done();
        assert_eq!((read().as_str(), linux.databases_like("one\\_r\\_%").as_str()), ("1\n2", "one_r_new"));
        assert_eq!(
            linux.sql("SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'one_r_new'"),
            ""
        );
        let _ = linux.does("delete-database", &["name=one_r_new"]).done();
    }
    // Somebody else's of that name is no such thing.
    make();
    linux.sql("CREATE DATABASE one_r_new");
    rename().failed(6, "there is a one_r_new already");
    assert_eq!(linux.sql("SELECT id FROM one_r_old.a"), "1");
    for name in ["one_r_old", "one_r_new"] {
        let _ = linux.does("delete-database", &[&format!("name={name}")]).done();
    }
}

fn a_database_that_cannot_be_moved_whole_is_not_renamed(node: &Node) {
    let linux = Linux::on(node, "linux-whole");
    let _ = linux.does("create-database", &["name=one_w_a"]).done();
    linux.sql("CREATE TABLE one_w_a.t (id INT)");
    for (what, make, drop) in [
        ("views", "CREATE VIEW one_w_a.v AS SELECT 1", "DROP VIEW one_w_a.v"),
        (
            "triggers",
            "CREATE TRIGGER one_w_a.g BEFORE INSERT ON one_w_a.t FOR EACH ROW SET @a = 1",
            "DROP TRIGGER one_w_a.g",
        ),
        ("events", "CREATE EVENT one_w_a.e ON SCHEDULE EVERY 1 YEAR DO SET @a = 1", "DROP EVENT one_w_a.e"),
        ("routines", "CREATE FUNCTION one_w_a.f() RETURNS INT RETURN 1", "DROP FUNCTION one_w_a.f"),
    ] {
        linux.sql(make);
        let refused = linux.does("rename-database", &["name=one_w_a", "new-name=one_w_b"]);
        refused.failed(6, &format!("one_w_a has {what}, which cannot be moved"));
        assert_eq!(linux.databases_like("one\\_w\\_%"), "one_w_a");
        linux.sql(drop);
    }
    let _ = linux.does("rename-database", &["name=one_w_a", "new-name=one_w_b"]).done();
    let _ = linux.does("delete-database", &["name=one_w_b"]).done();
}

fn passwords_are_in_no_log_of_the_server(node: &Node) {
    let linux = Linux::on(node, "linux-logged");
    linux.sql("SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = ON");
    let _ = linux.with_password("create-user", "one_p_u", "first-Passw0rd").done();
    let _ = linux.with_password("set-password", "one_p_u", "second-Passw0rd").done();
    linux.sql("SET GLOBAL general_log = OFF");
    let logged =
        |words: &str| linux.sql(&format!("SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE '%{words}%'"));
    assert_eq!((logged("Passw0rd").as_str(), logged("one_p_u").as_str()), ("0", "2"));
    assert_eq!(linux.sql_as("one_p_u", "second-Passw0rd", "SELECT 1").unwrap(), "1");
    let _ = linux.does("delete-user", &["name=one_p_u"]).done();
}

fn a_server_that_hangs_is_an_error_and_leaves_nothing_half_done(node: &Node) {
    let linux = Linux::on(node, "linux-hangs");
    linux.adapter.write_operators_file(&format!("{GRANTS}\n[limits]\nwall_ms = 4000\n"));
    node.database().hang().unwrap();
    let hung = linux.does("create-database", &["name=one_h_a"]);
    node.database().resume().unwrap();
    hung.failed(12, "the database server did not answer in time");
    let _ = linux.does("create-database", &["name=one_h_a"]).done();
    assert_eq!(linux.databases_like("one\\_h\\_%"), "one_h_a");
    let _ = linux.does("delete-database", &["name=one_h_a"]).done();
    // A server that is slow is not the adapter's fault.
    assert_eq!(linux.adapter.listed().unwrap().get("last_break"), None);
    node.database().stop().unwrap();
    linux.does("create-database", &["name=one_h_b"]).failed(12, "the database server cannot be reached");
    node.database().start().unwrap();
    let _ = linux.does("create-database", &["name=one_h_b"]).done();
    let _ = linux.does("delete-database", &["name=one_h_b"]).done();
}
