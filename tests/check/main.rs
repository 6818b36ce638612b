//! `latchkey adapter check`, as an author runs it: an adapter without faults passes every check, and for each check there is
//! one that fails exactly it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use latchkey_tests::adapters::{Components, shipped};
use serde_json::Value;
use tempfile::TempDir;
use xtask::build::Build;

/// Somebody without an account.
const SOMEBODY: u32 = 61_234;

/// The programs and components, where everybody may read them.
fn bench() -> &'static Path {
    static BENCH: OnceLock<TempDir> = OnceLock::new();
    let bench = BENCH.get_or_init(|| {
        let bench = tempfile::tempdir().unwrap();
        fs::set_permissions(bench.path(), Permissions::from_mode(0o755)).unwrap();
        let built = Build::for_tests().run().unwrap();
        for program in ["latchkey", "latchkey-compiler", "latchkey-runner"] {
            let place = bench.path().join(program);
            fs::hard_link(built.join(program), &place)
                .or_else(|_| fs::copy(built.join(program), &place).map(drop))
                .unwrap();
        }
        let components = Components::get();
        for (name, bytes) in [
            ("careless", &components.careless),
            ("too_new", &components.too_new),
            ("unlike", &components.unlike),
            ("wandering", &components.wandering),
        ] {
            fs::write(bench.path().join(name), bytes).unwrap();
        }
        bench
    });
    bench.path()
}

fn run(component: &str, arguments: &[&str], uid: Option<u32>) -> Output {
    let mut command = Command::new(bench().join("latchkey"));
    command.args(["adapter", "check"]).arg(bench().join(component)).args(arguments).current_dir("/").env_clear();
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    command.output().unwrap()
}

#[track_caller]
fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The names of the checks with that result.
fn with_result(report: &Value, result: &str) -> BTreeSet<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let found = checks.filter(|check| check["result"] == result);
    found.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

/// The names of the checks that failed.
fn failed(report: &Value) -> BTreeSet<String> {
    with_result(report, "failed")
}

/// Asserts that one check fails, that it says so with these words, and what to do.
#[track_caller]
fn fails(component: &str, arguments: &[&str], expected: &str, words: &str) {
    let output = run(component, &[&["--json"], arguments].concat(), None);
    let report = report(&output);
    assert_eq!(failed(&report), BTreeSet::from([expected.to_owned()]), "{arguments:?}: {report:#}");
    assert_eq!((output.status.code(), &report["passed"]), (Some(1), &Value::Bool(false)));
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == expected).unwrap();
    assert!(check.to_string().contains(words), "{check:#}");
    assert!(check["to_do"].as_str().is_some_and(|to_do| to_do.len() > 20), "{check:#}");
}

/// The component with a habit.
#[track_caller]
fn with_habit(habit: &str, expected: &str, words: &str) {
    fails("careless", &["--setting", &format!("habit={habit}")], expected, words);
}

#[track_caller]
fn passes(output: &Output) -> Value {
    let report = report(output);
    assert_eq!((output.status.code(), failed(&report)), (Some(0), BTreeSet::new()), "{report:#}");
    report
}

#[test]
fn an_adapter_without_faults_passes_every_check_for_root_and_for_everybody() {
    for uid in [None, Some(SOMEBODY)] {
        let report = passes(&run("careless", &["--json"], uid));
        assert_eq!(report["format"], 1);
        assert_eq!(report["component"]["exports"], serde_json::json!(["databases"]));
        assert!(report["calls"].as_u64().unwrap() > 100, "{report:#}");
        let looked_at = report["checks"].as_array().unwrap().iter().filter(|check| check["result"] == "passed");
        assert!(looked_at.count() >= NOT_APPLICABLE_TO_NONE, "{report:#}");
    }
}

/// So many checks look at something of the careless adapter.
const NOT_APPLICABLE_TO_NONE: usize = 39;

#[test]
fn the_adapter_for_cpanel_passes_every_check_that_is_about_it() {
    fs::write(bench().join("cpanel"), shipped("cpanel")).unwrap();
    let report = passes(&run("cpanel", &[&["--json"], &OF_CPANEL[..]].concat(), None));
    let exports = ["cron", "databases", "dns", "ftp-accounts", "mail"];
    assert_eq!(report["component"]["exports"], serde_json::json!(exports));
    let imports = ["clock", "http", "log", "state"];
    assert_eq!(report["component"]["imports"], serde_json::json!(imports));
    let mut not_looked_at = with_result(&report, "not_applicable");
    not_looked_at.retain(|check| check.strip_prefix("denied.").is_none_or(|interface| imports.contains(&interface)));
    // What the played platform answers is no cPanel's, so nothing is changed, and with UAPI reads are sent by POST, too.
    let expected = ["api.blind_repeat", "repeat.same"].map(str::to_owned);
    assert_eq!(not_looked_at, BTreeSet::from(expected), "{report:#}");
}

#[test]
fn the_adapter_for_plain_nodes_passes_every_check_that_is_about_it() {
    fs::write(bench().join("linux"), shipped("linux")).unwrap();
    let report = passes(&run("linux", &["--json"], None));
    assert_eq!(report["component"]["imports"], serde_json::json!(["crontab", "log", "mysql", "state"]));
    let not_looked_at = with_result(&report, "not_applicable");
    let is_other = |check: &String| {
        check.starts_with("api.") || ["denied.command", "denied.config-file", "denied.http"].contains(&check.as_str())
    };
    assert!(not_looked_at.iter().all(is_other), "{report:#}");
}

/// What cPanel's README has an operator set.
const OF_CPANEL: [&str; 4] = ["--setting", "server=https://server.example.com:2083", "--setting", "user=shop"];

#[test]
fn people_read_what_failed_where_and_what_to_do() {
    let output = run("careless", &["--setting", "habit=dislikes-empty"], None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("\n  FAIL  calls.odd_text           1 of 63 calls went wrong\n"), "{text}");
    assert!(text.contains("\n        databases.create-database, name empty: the adapter broke down"), "{text}");
    assert!(text.contains("\n        To do: answer `invalid` with the parameter's name"), "{text}");
    assert!(!text.contains('\u{1b}'), "colour belongs to terminals: {text:?}");
}

#[test]
fn what_is_no_component_that_fits_fails_by_what_is_wrong() {
    fs::write(bench().join("text"), "no component").unwrap();
    fails("text", &[], "component.compiles", "expected");
    fs::write(bench().join("module"), b"\0asm\x01\0\0\0").unwrap();
    fails("module", &[], "component.compiles", "not a core module");
    let long = bench().join("long");
    fs::write(&long, padded(&Components::get().careless, 32 << 20)).unwrap();
    fails("long", &[], "component.size", "32 MiB");
    fails("too_new", &[], "component.imports", "state.rename of latchkey:adapter 0.1.1");
    fails("unlike", &[], "component.exports", "its interface logs");
    fails("careless", &["--limit", "memory_bytes=1048576"], "component.starts", "memory_bytes");
    fails("wandering", &[], "component.wasi", "wasi:keyvalue/store");
}

#[test]
fn each_habit_fails_the_check_that_is_about_it() {
    with_habit("panics", "calls.answer", "databases.list-users");
    with_habit("dislikes-empty", "calls.odd_text", "name empty");
    with_habit("counts-renames", "repeat.same", "databases.rename-database");
    with_habit("locks", "repeat.after_cut", "somebody else is deleting");
    with_habit("hides-denials", "denied.state", "failed: something went wrong");
    with_habit("hides-command", "denied.command", "failed: something went wrong");
    with_habit("hides-config-file", "denied.config-file", "failed: something went wrong");
    with_habit("hides-crontab", "denied.crontab", "failed: something went wrong");
    with_habit("hides-mysql", "denied.mysql", "failed: something went wrong");
    with_habit("wordless", "errors.words", "an error without words");
    let given = ["--setting", "habit=needs-a-server", "--setting", "server=https://panel.example.com"];
    fails("careless", &given, "calls.settings", "without the setting server");
}

#[test]
fn each_habit_with_a_platform_in_trouble_fails_the_check_that_is_about_it() {
    with_habit("hides-http", "denied.http", "failed: something went wrong");
    with_habit("despairs", "api.refused", "expected unavailable");
    with_habit("forgets-doubt", "api.no_answer", "expected uncertain");
    with_habit("insists", "api.blind_repeat", "sent again without reading: Post");
    with_habit("never-minds", "api.server_error", "as if all were well");
    with_habit("reads-half", "api.truncated", "as if all were well");
    with_habit("believes-200", "api.error_in_200", "200 with an error, as cPanel's UAPI");
    with_habit("believes-pages", "api.html", "as if all were well");
    with_habit("skims", "api.too_long", "as if all were well");
    with_habit("tries-again", "api.unauthorised", "expected refused");
    with_habit("hurries", "api.too_many", "expected unavailable");
    with_habit("is-elsewhere", "api.redirect", "as if all were well");
}

#[test]
fn each_limit_that_is_broken_fails_its_check() {
    with_habit("loops", "limits.cpu_ms", "2000 ms of processor time");
    let slow = ["--setting", "habit=loops", "--limit", "wall_ms=300"];
    fails("careless", &slow, "limits.wall_ms", "longer than 300 ms");
    with_habit("hoards", "limits.memory_bytes", "67108864 bytes");
    with_habit("clings", "limits.handles", "1000 handles");
    with_habit("nags", "limits.host_calls", "1000 times");
    with_habit("tells-all", "limits.copied_bytes", "at once");
    with_habit("chatters", "limits.log_bytes", "log_bytes");
    with_habit("floods", "limits.http_requests", "more requests than http_requests");
    with_habit("digs", "limits.stack", "too deep");
}

#[test]
fn what_cannot_be_checked_is_said() {
    let said = |component: &str, arguments: &[&str]| {
        let output = run(component, arguments, None);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("nothing", &[]).contains("cannot read"));
    let missing = said("careless", &["--programs", "/nowhere"]);
    assert!(missing.contains("there is no latchkey-runner and latchkey-compiler in /nowhere"), "{missing}");
    assert!(said("careless", &["--limit", "cpu_ms=1"]).contains("expected 10 to 60000"));
}

/// A component with a section of nothing behind it.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = component.to_vec();
    let mut length = bytes;
    padded.push(0);
    while length >= 0x80 {
        padded.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    padded.push(length as u8);
    padded.extend(vec![0; bytes]);
    padded
}

#[test]
fn the_programs_are_where_they_are_said_to_be() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(bench().join("latchkey-runner"), elsewhere.path().join("latchkey-runner")).unwrap();
    fs::copy(bench().join("latchkey-compiler"), elsewhere.path().join("latchkey-compiler")).unwrap();
    let folder: PathBuf = elsewhere.path().to_owned();
    passes(&run("careless", &["--json", "--programs", folder.to_str().unwrap()], None));
}
