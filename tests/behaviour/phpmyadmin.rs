//! `phpmyadmin.open`: real phpMyAdmin as a temporary account, and what MariaDB knows of it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::browser::{Browser, action_of, field_of};
use latchkey_tests::databases::{crash_during, sql};
use latchkey_tests::exchange::{Request, Response};
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::Node;
use xtask::process::Program;

crate::trials! {
    beside_others:
        a_link_opens_phpmyadmin_once_for_one_database_as_a_temporary_account,
        two_sessions_never_see_each_others_database,
        other_databases_and_other_people_are_refused,
        one_share_has_so_many_sessions_at_a_time,
        nobody_but_phpmyadmins_user_is_answered_at_its_socket;
    alone:
        a_restart_drops_what_sessions_had,
        an_account_at_a_server_that_hangs_is_unconfirmed_until_it_is_dropped,
        a_server_that_dies_while_somebody_signs_in_keeps_no_account;
}

const SITE: &str = "admined";
const BESIDE: &str = "admined-beside";
/// Of the trial with many sessions.
const MANY: &str = "opened";
/// Of the trial that counts accounts.
const ONCE: &str = "admined-once";

fn guest<'n>(node: &'n Node, site: &str) -> Share<'n> {
    let may = json!({ "role": "custom", "privileges": ["hosting.phpmyadmin_sso"] });
    share(node, site, &person("may"), &may)
}

fn database(node: &Node, site: &str) -> String {
    node.instance(site).unwrap().database.name
}

/// A session in phpMyAdmin.
pub(crate) struct Session {
    browser: Browser,
    /// Its path, with a slash at the end.
    path: String,
    database: String,
}

impl Session {
    #[track_caller]
    fn page(&mut self) -> Response {
        let page = format!("{}index.php?route=/database/structure&db={}", self.path, self.database);
        self.browser.open(&page)
    }

    #[track_caller]
    pub(crate) fn is_in(&mut self) {
        let page = self.page();
        assert_eq!(page.status, 200, "{} to {}", page.status, page.location());
        assert!(page.body.contains("wp_options"), "{}", page.body);
    }

    #[track_caller]
    pub(crate) fn is_out(&mut self) {
        let page = self.page();
        assert_eq!((page.status, page.location()), (302, format!("{}sign-out", self.path).as_str()), "{}", page.body);
        assert_eq!(self.browser.open(&format!("{}sign-out", self.path)).status, 403);
    }
}

fn ask(person: &Api<'_>, site: &str, database: &str) -> Response {
    person.operate(site, "phpmyadmin.open", &json!({ "database": database }))
}

/// The token of a new link, by way of the gateway's page.
#[track_caller]
fn token(node: &Node, person: &Api<'_>, site: &str, database: &str) -> String {
    let url = ask(person, site, database).done()["url"].as_str().unwrap().to_owned();
    let page = Browser::at_gateway(node).open(&url);
    assert!(page.status == 200 && page.body.contains(database), "{}", page.body);
    let action = action_of(&page.body, "name=\"token\"").unwrap();
    assert_eq!(action, format!("{}/latchkey/sign-in", node.agent().unwrap().urls().phpmyadmin));
    field_of(&page.body, "token").unwrap()
}

fn present(node: &Node, token: &str) -> Response {
    present_from(node, token, &node.agent().unwrap().urls().gateway)
}

fn present_from(node: &Node, token: &str, origin: &str) -> Response {
    let agent = node.agent().unwrap();
    let request = Request::new("POST", format!("{}/latchkey/sign-in", agent.urls().phpmyadmin));
    request.form(&[("token", token)]).header("Origin", origin).send()
}

#[track_caller]
pub(crate) fn sign_in(node: &Node, person: &Api<'_>, site: &str) -> Session {
    let database = database(node, site);
    let opened = present(node, &token(node, person, site, &database));
    assert_eq!(opened.status, 303, "{}", opened.body);
    let path = opened.location().split("index.php").next().unwrap().to_owned();
    let cookie = opened.header("set-cookie").unwrap();
    for attribute in [format!("path={path}"), "HttpOnly".into(), "SameSite=Lax".into()] {
        assert!(cookie.contains(&attribute), "{cookie}");
    }
    let mut browser = Browser::at_site(&node.agent().unwrap().urls().phpmyadmin);
    browser.keep_cookies(&opened);
    Session { browser, path, database }
}

/// The temporary accounts with something on a database.
fn accounts_on(node: &Node, database: &str) -> Vec<String> {
    let pattern = database.replace('_', "\\\\_");
    let found =
        sql(node, &format!("SELECT User FROM mysql.db WHERE Db = '{pattern}' AND User LIKE 'latchkey\\_tmp\\_%'"));
    found.lines().map(str::to_owned).collect()
}

fn a_link_opens_phpmyadmin_once_for_one_database_as_a_temporary_account(node: &Node) {
    let share = guest(node, ONCE);
    let database = database(node, ONCE);
    let token = token(node, &share.person(), ONCE, &database);
    assert_eq!(accounts_on(node, &database), Vec::<String>::new());
    // A form on somebody else's page does not sign anybody in, nor does it use the link up.
    let foreign = present_from(node, &token, "https://evil.example");
    assert_eq!((foreign.status, foreign.header("set-cookie")), (403, None), "{}", foreign.body);
    let opened = present(node, &token);
    assert_eq!(opened.status, 303, "{}", opened.body);
    let replayed = present(node, &token);
    assert_eq!((replayed.status, replayed.header("set-cookie")), (403, None), "{}", replayed.body);
    let accounts = accounts_on(node, &database);
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    let grants = sql(node, &format!("SHOW GRANTS FOR '{}'@'localhost'", accounts[0]));
    let on = database.replace('_', "\\_");
    let may =
        "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES";
    assert!(grants.replace("\\\\", "\\").contains(&format!("GRANT {may} ON `{on}`.*")), "{grants}");
    assert_eq!(grants.lines().count(), 2, "{grants}");
    audited(node, ONCE, "phpmyadmin.open", "allowed", |row| row["share"] == share.id.as_str());
    audited(node, ONCE, "phpmyadmin.sign_in", "allowed", |row| row["share"] == share.id.as_str());
    let mut session = sign_in(node, &share.person(), ONCE);
    session.is_in();
    // Its own words for whom it is connected as.
    let accounts = accounts_on(node, &database);
    let page = session.browser.open(&format!("{}index.php?route=/", session.path));
    assert!(accounts.iter().any(|account| page.body.contains(&format!("{account}@localhost"))), "{}", page.body);
    // Files of phpMyAdmin that are nobody's secret are served, and no others.
    let file = |name: &str| session.browser.request("GET", &format!("{}{name}", session.path)).send().status;
    assert_eq!((file("themes/pmahomme/img/logo_right.png"), file("libraries/vendor_config.php")), (200, 404));
    assert_eq!((file("config.inc.php"), file("setup/index.php"), file("js/../config.inc.php")), (404, 404, 404));
    let ended = share.revoke();
    assert_eq!((&ended["closed"]["phpmyadmin"], &ended["unconfirmed"]), (&json!(2), &json!([])), "{ended}");
    assert_eq!(accounts_on(node, &database), Vec::<String>::new());
    session.is_out();
}

fn two_sessions_never_see_each_others_database(node: &Node) {
    let share = guest(node, SITE);
    let (mut one, mut other) = (sign_in(node, &share.person(), SITE), sign_in(node, &share.person(), BESIDE));
    one.is_in();
    other.is_in();
    one.is_in();
    // The cookie of one session opens no other.
    let mut crossed =
        Session { browser: one.browser.clone(), path: other.path.clone(), database: other.database.clone() };
    crossed.is_out();
    other.is_in();
    // Nor does no cookie, or another database by name.
    let url = &node.agent().unwrap().urls().phpmyadmin;
    let mut nobody = Session { browser: Browser::at_site(url), path: one.path.clone(), database: one.database.clone() };
    nobody.is_out();
    one.database.clone_from(&other.database);
    assert!(!one.page().body.contains("wp_options"));
    one.database = database(node, SITE);
    one.is_in();
    // Signing out ends one of them.
    assert_eq!(one.browser.open(&format!("{}sign-out", one.path)).status, 403);
    eventually("it is signed out", || accounts_on(node, &one.database).is_empty());
    one.is_out();
    other.is_in();
    share.update(&json!({ "role": "view_only" }));
    other.is_out();
    assert_eq!(accounts_on(node, &other.database), Vec::<String>::new());
}

fn other_databases_and_other_people_are_refused(node: &Node) {
    let (may, may_not) = (guest(node, SITE), share(node, SITE, &person("may-not"), &json!({ "role": "developer" })));
    let (may, may_not) = (may.person(), may_not.person());
    let own = database(node, SITE);
    ask(&may_not, SITE, &own).refused_by("A1", 403, "forbidden");
    for other in [
        database(node, "named").as_str(),
        "mysql",
        "",
        "information_schema",
        "admined_%",
        "admined`",
        &"x".repeat(65_536),
    ] {
        assert_eq!(ask(&may, SITE, other).refused(400, "invalid")["field"], "database");
    }
    ask(&may, SITE, "admined_there_is_none").refused(404, "not_found");
    // The right to open is judged again when the link is used.
    let gone = guest(node, SITE);
    let token = token(node, &gone.person(), SITE, &own);
    gone.suspend();
    assert_eq!(present(node, &token).status, 403);
    for token in ["", "x", &"A".repeat(43), &"A".repeat(2_000)] {
        assert_eq!(present(node, token).status, 403, "{token}");
    }
}

fn nobody_but_phpmyadmins_user_is_answered_at_its_socket(node: &Node) {
    let socket = node.root().join("run/latchkey/phpmyadmin.sock");
    let connect = Program::new("/usr/bin/python3")
        .args(["-c", "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"]);
    let user = node.hosting("admined").unwrap().user;
    let refused = connect.arg(&socket).run_as(user.identity()).text().unwrap_err();
    assert!(format!("{refused:#}").contains("PermissionError"), "{refused:#}");
    // Root can connect anywhere, and is not answered.
    let mut stream = UnixStream::connect(socket).unwrap();
    // It may be gone before that is written.
    let _ = stream.write_all(b"{\"sign_out\":{\"session\":\"x\",\"cookie\":\"x\"}}\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

fn a_restart_drops_what_sessions_had(node: &Node) {
    let share = guest(node, SITE);
    let mut session = sign_in(node, &share.person(), SITE);
    session.is_in();
    node.serve().unwrap().crash().unwrap();
    session.is_out();
    eventually("the account is dropped", || accounts_on(node, &session.database).is_empty());
    sign_in(node, &share.person(), SITE).is_in();
    assert_eq!(share.revoke()["closed"]["phpmyadmin"], 1);
}

fn an_account_at_a_server_that_hangs_is_unconfirmed_until_it_is_dropped(node: &Node) {
    let share = guest(node, SITE);
    let mut session = sign_in(node, &share.person(), SITE);
    node.database().hang().unwrap();
    let begun = Stopwatch::start();
    let ended: Value = share.revoke();
    let took = begun.elapsed();
    node.database().resume().unwrap();
    assert!(took.as_secs_f64() < 3.2, "{took:?}");
    let told = (&ended["closed"]["phpmyadmin"], &ended["unconfirmed"][0]["channel"]);
    assert_eq!(told, (&json!(0), &json!("phpmyadmin")), "{ended}");
    session.is_out();
    eventually("confirmed", || share.shown().get("unconfirmed").is_none());
    assert_eq!(accounts_on(node, &session.database), Vec::<String>::new());
}

fn one_share_has_so_many_sessions_at_a_time(node: &Node) {
    let (guest, other) = (guest(node, MANY), guest(node, MANY));
    let (may, database) = (guest.person(), database(node, MANY));
    // A link from before is none of them, and takes no room.
    let late = token(node, &may, MANY, &database);
    let mut sessions: Vec<Session> = (0..20).map(|_| sign_in(node, &may, MANY)).collect();
    let problem = ask(&may, MANY, &database).refused(429, "busy");
    assert!(problem["retry_after_s"].as_u64().is_some(), "{problem}");
    let told = present(node, &late);
    assert!(told.status == 503 && told.body.contains("at most 20 sessions"), "{} {}", told.status, told.body);
    sign_in(node, &other.person(), MANY).is_in();
    let mut first = sessions.remove(0);
    first.browser.open(&format!("{}sign-out", first.path));
    sign_in(node, &may, MANY).is_in();
    assert_eq!(guest.revoke()["closed"]["phpmyadmin"], 20);
    sessions[0].is_out();
}

fn a_server_that_dies_while_somebody_signs_in_keeps_no_account(node: &Node) {
    let guest = guest(node, SITE);
    let (may, database) = (guest.person(), database(node, SITE));
    let token = token(node, &may, SITE, &database);
    let told = crash_during(node, "CREATE USER", || present(node, &token));
    assert!(told.status == 503 && told.body.contains("at the moment"), "{} {}", told.status, told.body);
    eventually("no account is left", || accounts_on(node, &database).is_empty());
    let left = "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'latchkey\\_tmp\\_%'";
    eventually("none without a grant either", || sql(node, left) == "0");
    sign_in(node, &may, SITE).is_in();
    guest.revoke();
}
