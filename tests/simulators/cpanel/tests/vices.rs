//! The vices of the published API, as an adapter meets them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails at the line that was wrong")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cpanel_simulator::{Account, CronLine, Envelope, Fault, Simulator};
use serde_json::Value;

fn simulator() -> Simulator {
    Simulator::start(Account::new("h1", "T0KEN", "h1_", "example.com")).unwrap()
}

/// All that comes back, until the end.
fn ask_with(simulator: &Simulator, authorization: &str, target: &str, form: &str) -> String {
    let origin = simulator.origin();
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let method = if form.is_empty() { "GET" } else { "POST" };
    let length = form.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(simulator: &Simulator, target: &str) -> String {
    ask_with(simulator, "cpanel h1:T0KEN", target, "")
}

/// The JSON of an answer, whose status has to be 200.
#[track_caller]
fn json(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn cron(function: &str, arguments: &str) -> String {
    format!(
        "/json-api/cpanel?cpanel_jsonapi_user=h1&cpanel_jsonapi_apiversion=2&cpanel_jsonapi_module=Cron&cpanel_jsonapi_func={function}{arguments}"
    )
}

#[test]
fn what_failed_has_status_200_and_errors() {
    let simulator = simulator();
    let refused = json(&ask(&simulator, "/execute/Mysql/create_database?name=other_shop"));
    assert_eq!(refused["status"], 0);
    assert!(refused["errors"][0].as_str().unwrap().contains("prefix"));
    assert!(simulator.played().account.databases.is_empty());
    assert_eq!(json(&ask(&simulator, "/execute/Mysql/no_such"))["status"], 0);
}

#[test]
fn a_get_changes_something_and_so_does_a_form() {
    let simulator = simulator();
    assert_eq!(json(&ask(&simulator, "/execute/Mysql/create_database?name=h1_shop"))["status"], 1);
    let form = ask_with(&simulator, "cpanel h1:T0KEN", "/execute/Mysql/create_database", "name=h1%5Fblog");
    assert_eq!(json(&form)["status"], 1);
    let names: Vec<String> = simulator.played().account.databases.keys().cloned().collect();
    assert_eq!(names, ["h1_blog", "h1_shop"]);
}

#[test]
fn answers_come_bare_or_as_documented() {
    let simulator = simulator();
    assert_eq!(json(&ask(&simulator, "/execute/Mysql/list_databases"))["status"], 1);
    simulator.played().envelope = Envelope::Documented;
    let wrapped = json(&ask(&simulator, "/execute/Mysql/list_databases"));
    assert_eq!((&wrapped["apiversion"], &wrapped["result"]["status"]), (&3.into(), &1.into()));
}

#[test]
fn a_token_that_is_not_valid_gets_the_login_page() {
    let simulator = simulator();
    for authorization in ["cpanel h1:WRONG", "cpanel h2:T0KEN", "whm h1:T0KEN", ""] {
        let answer = ask_with(&simulator, authorization, "/execute/Mysql/create_database?name=h1_shop", "");
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("<html>"), "{answer}");
    }
    simulator.played().faults.script([Some(Fault::LoginPage)]);
    let answer = ask(&simulator, "/execute/Mysql/create_database?name=h1_shop");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("<html>"), "{answer}");
    assert!(simulator.played().account.databases.is_empty());
}

#[test]
fn a_serial_that_is_stale_is_refused() {
    let simulator = simulator();
    let add = |serial: u32| {
        let record = r#"{"dname":"a","ttl":60,"record_type":"A","data":["192.0.2.9"]}"#.replace('"', "%22");
        let target = format!("/execute/DNS/mass_edit_zone?zone=example.com&serial={serial}&add={record}");
        json(&ask(&simulator, &target))
    };
    let serial = simulator.played().account.zones["example.com"].serial;
    assert_eq!(add(serial)["data"]["new_serial"], (serial + 1).to_string());
    assert_eq!(add(serial)["status"], 0);
    assert_eq!(add(serial + 1)["status"], 1);
}

#[test]
fn lines_of_the_crontab_are_named_by_their_place() {
    let simulator = simulator();
    for command in ["first", "second", "third"] {
        let line = format!("&minute=1&hour=2&day=*&month=*&weekday=*&command={command}");
        assert_eq!(json(&ask(&simulator, &cron("add_line", &line)))["cpanelresult"]["data"][0]["status"], 1);
    }
    let remove = || json(&ask(&simulator, &cron("remove_line", "&linekey=2")));
    assert_eq!(remove()["cpanelresult"]["data"][0]["status"], 1);
    remove();
    let left = simulator.played().account.crontab[1..].to_vec();
    assert_eq!(left, [CronLine::command("1 2 * * *", "third")]);
    let refused = json(&ask(&simulator, &cron("remove_line", "&linekey=9")));
    assert_eq!(refused["cpanelresult"]["event"]["result"], 1);
    assert_eq!(refused["cpanelresult"]["data"][0]["status"], 0);
}

#[test]
fn faults_strike_before_or_after_the_effect() {
    let faults = [
        (Fault::CutBefore, false),
        (Fault::CutAfter, true),
        (Fault::FailBefore, false),
        (Fault::FailAfter, true),
        (Fault::Truncate, true),
        (Fault::Delay(Duration::from_millis(20)), true),
    ];
    for (fault, has_effect) in faults {
        let simulator = simulator();
        simulator.played().faults.script([Some(fault)]);
        let answer = ask(&simulator, "/execute/Mysql/create_database?name=h1_shop");
        assert_eq!(simulator.played().account.databases.len(), usize::from(has_effect), "{fault:?}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let is_whole = serde_json::from_str::<Value>(body).is_ok();
        assert_eq!(is_whole, matches!(fault, Fault::Delay(_)), "{fault:?}: {answer}");
        assert!(ask(&simulator, "/execute/Mysql/list_databases").starts_with("HTTP/1.1 200"));
    }
}
