//! The cPanel adapter as it ships, on a node, against the simulator: random sequences of calls with faults, in short. The
//! long form, natively, is in `plugins/cpanel/tests/sequences`.

use std::collections::BTreeSet;
use std::time::Duration;

use cpanel_simulator::{Account, CronLine, Simulator, blind_repeat};
use fastrand::Rng;
use latchkey_tests::adapters::Adapter;
use latchkey_tests::exchange::{Request, Response};
use serde_json::{Value, json};
use xtask::node::Node;

use crate::ONE;

crate::trials! {
    beside_others:
        cpanel_is_as_the_adapter_says_whatever_goes_wrong;
}

const SEQUENCES: u64 = 30;
const CALLS: usize = 5;
const FAULTS: f64 = 0.25;
/// Longer than the adapter waits for an answer.
const DELAY: Duration = Duration::from_secs(10);
const TOKEN: &str = "T0KEN";
const ZONE: &str = "example.com";

/// A hosting on cPanel.
struct Played<'n> {
    node: &'n Node,
    cpanel: Simulator,
    adapter: Adapter<'n>,
}

/// A call of the adapter.
struct Call {
    interface: &'static str,
    function: &'static str,
    arguments: Value,
}

impl<'n> Played<'n> {
    fn begin(node: &'n Node) -> Self {
        let cpanel = Simulator::start(account()).unwrap();
        let adapter = Adapter::shipped(node, "cpanel");
        let origin = cpanel.origin();
        adapter.write_operators_file(&format!(
            "[grants]\nhttp = [\"{origin}\"]\nstate = true\n\n[hostings.{ONE}.settings]\nserver = \"{origin}\"\n\
             user = \"h1\"\nanswer_ms = \"400\"\n\n[hostings.{ONE}.secrets]\ntoken = \"{TOKEN}\"\n",
        ));
        let _ = adapter.install(&["--unsigned"]).done();
        Self { node, cpanel, adapter }
    }

    fn make(&self, call: &Call) -> Response {
        let socket = self.node.agent().unwrap().paths().cli_socket.display().to_string();
        let url = format!("http://node/v1/adapters/{}/calls", self.adapter.name);
        let (interface, function, arguments) = (call.interface, call.function, &call.arguments);
        Request::new("POST", url)
            .option("--unix-socket")
            .option(&socket)
            .json(&json!({
                "hosting": ONE, "interface": interface, "function": function, "arguments": arguments,
                "secrets": { "new": "p&ss w\u{f6}rd" },
            }))
            .send()
    }

    /// What a call that changes nothing returns.
    #[track_caller]
    fn read(&self, interface: &'static str, function: &'static str, arguments: Value) -> Value {
        self.make(&Call { interface, function, arguments }).done()["returned"].take()
    }

    fn account(&self) -> Account {
        self.cpanel.played().account.clone()
    }
}

fn account() -> Account {
    Account::new("h1", TOKEN, "one_", ZONE)
}

fn cpanel_is_as_the_adapter_says_whatever_goes_wrong(node: &Node) {
    let played = Played::begin(node);
    let mut statuses = BTreeSet::new();
    for seed in 0..SEQUENCES {
        let mut rng = Rng::with_seed(seed);
        played.cpanel.played().account = account();
        for number in 0..CALLS {
            let call = draw(&mut rng, &played, &format!("{seed}-{number}"));
            statuses.extend(run(&played, &call, &mut rng, seed));
        }
        agrees(&played, seed);
    }
    // Done, there already or not there, unavailable, uncertain: all of it has happened.
    for expected in [200, 404, 409, 503, 504] {
        assert!(statuses.contains(&expected), "{statuses:?}");
    }
    a_token_that_cpanel_does_not_take_is_told(&played);
}

/// Makes a call, again with the same key while it is unavailable, and compares cPanel with what each said.
#[track_caller]
fn run(played: &Played<'_>, call: &Call, rng: &mut Rng, seed: u64) -> BTreeSet<u16> {
    let (before, since) = (played.account(), played.cpanel.played().journal.len());
    played.cpanel.played().faults.at_random(rng.u64(..), FAULTS, DELAY);
    let mut statuses = BTreeSet::new();
    for _ in 0..4 {
        let came = played.make(call);
        let now = played.account();
        let about = format!("seed {seed}: {}.{} {} came to {came:?}", call.interface, call.function, call.arguments);
        statuses.insert(came.status);
        match came.status {
            200 => assert!(call.is_so(&now), "{about}"),
            504 => assert!(now == before || call.is_so(&now), "{about}"),
            404 | 409 | 503 => assert_eq!(now, before, "{about}"),
            _ => panic!("{about}"),
        }
        if came.status != 503 {
            break;
        }
    }
    let mut cpanel = played.cpanel.played();
    cpanel.faults.end();
    let asked = &cpanel.journal[since..];
    assert_eq!(blind_repeat(asked), None, "seed {seed}: {asked:#?}");
    statuses
}

fn draw(rng: &mut Rng, played: &Played<'_>, key: &str) -> Call {
    let one_of_two = rng.u8(..2);
    let name = format!("one_{one_of_two}");
    let address = format!("a{one_of_two}@{ZONE}");
    let (interface, function, arguments) = match rng.u8(..13) {
        0 | 1 => ("databases", "create-database", json!({ "key": key, "name": name })),
        2 => ("databases", "delete-database", json!({ "key": key, "name": name })),
        3 => ("databases", "create-user", json!({ "key": key, "name": name, "password": "new" })),
        4 => {
            let privileges = json!(["select", "create-view"]);
            let given = json!({ "key": key, "user": name, "database": name, "privileges": privileges });
            ("databases", "set-grant", given)
        }
        5 | 6 => {
            let given = json!({ "key": key, "address": address, "quota": 5 << 20, "password": "new" });
            ("mail", "create-mailbox", given)
        }
        7 => ("mail", "delete-mailbox", json!({ "key": key, "address": address })),
        8 => {
            let new = json!({ "name": format!("f{one_of_two}"), "directory": "web", "quota": null, "password": "new" });
            ("ftp-accounts", "create-account", json!({ "key": key, "account": new }))
        }
        9 | 10 => {
            let tag = format!("t{one_of_two}");
            let entry = json!({ "schedule": "*/5 * * * *", "command": "date", "tag": tag, "enabled": true });
            ("cron", "create-entry", json!({ "key": key, "entry": entry }))
        }
        11 => match played.read("cron", "list-entries", json!({})).as_array().unwrap().first() {
            Some(listed) => ("cron", "delete-entry", json!({ "key": key, "listed": listed })),
            None => ("databases", "delete-user", json!({ "key": key, "name": name })),
        },
        _ => {
            let zone = played.read("dns", "read-zone", json!({ "zone": ZONE }));
            let value = format!("192.0.2.{}", 10 + one_of_two);
            let content = json!({ "name": "x", "kind": "A", "ttl": 300, "value": value });
            let given = json!({ "key": key, "zone": ZONE, "version": zone["version"], "content": content });
            ("dns", "create-record", given)
        }
    };
    Call { interface, function, arguments }
}

impl Call {
    /// Whether an account is as the call wanted it.
    fn is_so(&self, account: &Account) -> bool {
        let text = |place: &str| self.arguments.pointer(place).and_then(Value::as_str).unwrap();
        match self.function {
            "create-database" => account.databases.contains_key(text("/name")),
            "delete-database" => !account.databases.contains_key(text("/name")),
            "create-user" => account.database_users.get(text("/name")).is_some_and(|user| user.password.ends_with('d')),
            "delete-user" => !account.database_users.contains_key(text("/name")),
            "set-grant" => {
                let grants = account.database_users.get(text("/user")).map(|user| &user.grants);
                let rights = grants.and_then(|grants| grants.get(text("/database")));
                rights.is_some_and(|rights| rights.iter().eq(["CREATE VIEW", "SELECT"]))
            }
            "create-mailbox" => account.mailboxes.get(text("/address")).is_some_and(|mailbox| mailbox.quota == 5),
            "delete-mailbox" => !account.mailboxes.contains_key(text("/address")),
            "create-account" => account.ftp_accounts.contains_key(&format!("{}@{ZONE}", text("/account/name"))),
            "create-entry" => account.crontab.contains(&line(text("/entry/tag"))),
            "delete-entry" => !account.crontab.contains(&line(text("/listed/entry/tag"))),
            "create-record" => {
                let mut records = account.zones[ZONE].records();
                records.any(|(_, record)| record.data == [text("/content/value")])
            }
            other => panic!("{other} is not drawn"),
        }
    }
}

fn line(tag: &str) -> CronLine {
    CronLine::command("*/5 * * * *", &format!(": latchkey:{tag}; date"))
}

/// Compares what the adapter lists with what there is.
#[track_caller]
fn agrees(played: &Played<'_>, seed: u64) {
    let account = played.account();
    let listed = |interface, function, name: &str| -> Vec<String> {
        let rows = played.read(interface, function, json!({}));
        rows.as_array().unwrap().iter().map(|row| row.pointer(name).unwrap().as_str().unwrap().to_owned()).collect()
    };
    let about = format!("seed {seed}");
    assert!(listed("databases", "list-databases", "/name").iter().eq(account.databases.keys()), "{about}");
    assert!(listed("databases", "list-users", "/name").iter().eq(account.database_users.keys()), "{about}");
    assert!(listed("mail", "list-mailboxes", "/address").iter().eq(account.mailboxes.keys()), "{about}");
    assert!(listed("ftp-accounts", "list-accounts", "/login").iter().eq(account.ftp_accounts.keys()), "{about}");
    let tags = listed("cron", "list-entries", "/entry/tag");
    let lines: Vec<CronLine> = tags.iter().map(|tag| line(tag)).collect();
    assert_eq!(lines, account.crontab[1..], "{about}");
    let zone = played.read("dns", "read-zone", json!({ "zone": ZONE }));
    assert_eq!(zone["version"], account.zones[ZONE].serial.to_string(), "{about}");
    assert_eq!(zone["records"].as_array().unwrap().len(), account.zones[ZONE].records().count(), "{about}");
}

#[track_caller]
fn a_token_that_cpanel_does_not_take_is_told(played: &Played<'_>) {
    let list = ["databases", "list-databases"];
    assert!(played.adapter.call(ONE, list, &["--json"]).json()["returned"].is_array());
    played.cpanel.played().account.token = "another".to_owned();
    played.adapter.call(ONE, list, &[]).failed(6, "cPanel lets nobody in with that token");
}
