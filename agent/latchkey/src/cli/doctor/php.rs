//! Checks of PHP: the programs that hostings may name, and whether PHP really starts for the hostings.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use latchkey_protocol::{PhpCall, Purpose};
use serde_json::Value;

use super::hostings::{Registered, registered};
use super::{Finding, Patient, failure, warning, well};
use crate::broker::{Broker, BrokerError};
use crate::cli::view::at;
use crate::problem::chain;
use crate::wordpress::bridge::shortened;
use crate::wordpress::bridge_call::{self, Outcome};

/// PHP without a site takes some 30 milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);
/// The deadline, and what the broker takes to end a call that does not keep it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);
/// Somebody waits for the table, and the calls are made one after the other.
const MOST_TRIED: usize = 100;
/// So many faults say what is wrong.
const FAULTS_ENOUGH: usize = 3;
/// An action that no bridge has: PHP starts, reads the bridge, and says so. No code of the site is loaded.
const REQUEST: &[u8] = br#"{"action":"doctor.none"}"#;

pub(super) fn programs(patient: &Patient) -> Finding {
    let settings = match patient.broker_settings() {
        Ok(settings) => settings,
        Err(not_looked) => return not_looked.into(),
    };
    Finding::worst_of(settings.php_binaries.iter().map(|path| look_at_program(path)))
}

fn look_at_program(path: &Path) -> Finding {
    let name = path.display();
    let to_do = "install it, or take it out of php_binaries in broker.toml";
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() || found.mode() & 0o111 == 0 => failure(format!("{name} cannot be run"), to_do),
        Ok(found) if found.uid() != 0 || found.mode() & 0o022 != 0 => {
            failure(format!("{name} can be changed by others than root"), "install it again")
        }
        Ok(_) => well(name.to_string()),
        Err(error) => failure(format!("{name}: {error}"), to_do),
    }
}

pub(super) fn starts(patient: &Patient) -> Finding {
    let (broker, hostings) = match (patient.broker(), registered(patient)) {
        (Ok(broker), Ok(hostings)) => (broker, each_program_first(hostings)),
        (Err(not_looked), _) => return not_looked.into(),
        (_, Err(finding)) => return finding,
    };
    if broker.version().is_err() {
        return warning("not tried while the broker does not answer", "see `broker`");
    }
    let all = hostings.len();
    let findings = try_each(hostings, move |hosting| judge(hosting, start(&broker, hosting)));
    let tried = findings.len();
    match Finding::worst_of(findings) {
        Finding::Well(_) => well(format!("for {tried} of {all} hostings")),
        worse => worse,
    }
}

/// The same hostings, those first that have a program or settings that none before them has.
fn each_program_first(hostings: Vec<Registered>) -> Vec<Registered> {
    let mut seen = HashSet::new();
    let new = |hosting: &Registered| seen.insert((hosting.php_binary.clone(), hosting.php_ini.clone()));
    let (mut first, others): (Vec<_>, Vec<_>) = hostings.into_iter().partition(new);
    first.extend(others);
    first
}

/// Tries one after the other, until enough is known. One that is not answered at all is the last.
pub(super) fn try_each<T: Send + 'static>(all: Vec<T>, run: impl Fn(&T) -> Finding + Send + 'static) -> Vec<Finding> {
    let (tell, told) = mpsc::sync_channel(0);
    // A call over the broker's socket cannot be given up on from outside; a thread can be left behind.
    std::thread::spawn(move || {
        all.iter().take(MOST_TRIED).take_while(|one| tell.send(run(one)).is_ok()).for_each(drop);
    });
    let mut findings: Vec<Finding> = Vec::new();
    while findings.iter().filter(|finding| !matches!(finding, Finding::Well(_))).count() < FAULTS_ENOUGH {
        match told.recv_timeout(ANSWERED_WITHIN) {
            Ok(finding) => findings.push(finding),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                findings.push(failure("the broker does not end a PHP call in time", "see the broker's log"));
                break;
            }
        }
    }
    findings
}

fn start(broker: &Broker, hosting: &Registered) -> Result<Outcome, BrokerError> {
    let deadline_ms = u32::try_from(DEADLINE.as_millis()).unwrap_or(u32::MAX);
    // In the home itself: it exists, whatever the sites are.
    let (hosting, docroot) = (hosting.hosting.clone(), String::new());
    let call = PhpCall { hosting, docroot, deadline_ms, purpose: Purpose::Ordinary };
    bridge_call::run(&broker.connect()?, call, REQUEST)
}

fn judge(hosting: &Registered, tried: Result<Outcome, BrokerError>) -> Finding {
    let Registered { hosting: id, system_user, php_binary, .. } = hosting;
    let what = format!("{} does not start as {system_user} for {id}", php_binary.display());
    let to_do = "run it as that user by hand; the broker's log has more";
    match tried {
        Ok(outcome) if is_the_bridges(&outcome) => well(id.clone()),
        Ok(outcome) => {
            let said = shortened(&String::from_utf8_lossy(&outcome.log), 300);
            failure(format!("{what}: {:?}: {}", outcome.end, said.trim()), to_do)
        }
        Err(BrokerError::Refused { code: latchkey_protocol::RefusalCode::Busy, .. }) => {
            warning(format!("not tried for {id}: too many calls are running"), "run this again")
        }
        Err(error) => failure(format!("{what}: {}", chain(&error)), to_do),
    }
}

fn is_the_bridges(outcome: &Outcome) -> bool {
    let reply = outcome.line.as_ref().and_then(|line| serde_json::from_slice::<Value>(line).ok());
    reply.is_some_and(|reply| at(&reply, "error.code") == "unsupported")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use latchkey_protocol::{PhpEnd, RefusalCode};

    use super::super::is_failure;
    use super::*;

    fn hosting(id: &str, php: &str) -> Registered {
        let text = format!(
            r#"{{"hosting": "{id}", "system_user": "u", "uid": 1, "gid": 1, "home": "/h", "php_binary": "{php}"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_program_that_is_gone_or_cannot_be_run_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("php");
        assert!(is_failure(&look_at_program(&path)));
        fs::write(&path, "").unwrap();
        for (mode, fails) in [(0o755, false), (0o644, true), (0o777, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_failure(&look_at_program(&path)), fails, "{mode:o}");
        }
        assert!(is_failure(&look_at_program(dir.path())));
    }

    #[test]
    fn a_php_that_starts_is_told_from_one_that_does_not() {
        let judged = |line: Option<&str>, code| {
            let line = line.map(|line| line.as_bytes().to_vec());
            let outcome = Outcome { line, log: b"cannot\nload".to_vec(), end: PhpEnd::Exited { code } };
            judge(&hosting("h1", "/php"), Ok(outcome))
        };
        assert_eq!(judged(Some(r#"{"ok":false,"error":{"code":"unsupported","message":""}}"#), 0), well("h1"));
        assert!(is_failure(&judged(Some(r#"{"ok":false,"error":{"code":"fatal","message":""}}"#), 255)));
        let Finding::Failure { what, .. } = judged(None, 127) else { panic!() };
        assert_eq!(what, "/php does not start as u for h1: Exited { code: 127 }: cannot load");
        let refused = |code| BrokerError::Refused { code, field: None, message: String::new() };
        assert!(is_failure(&judge(&hosting("h1", "/php"), Err(refused(RefusalCode::Internal)))));
        let busy = judge(&hosting("h1", "/php"), Err(refused(RefusalCode::Busy)));
        assert!(matches!(busy, Finding::Warning { .. }));
    }

    #[test]
    fn each_program_is_tried_first_and_three_faults_are_enough() {
        let hostings = [("a", "/7"), ("b", "/7"), ("c", "/8"), ("d", "/8")].map(|(id, php)| hosting(id, php));
        let ordered = each_program_first(hostings.to_vec());
        assert_eq!(ordered.iter().map(|hosting| hosting.hosting.as_str()).collect::<String>(), "acbd");
        assert_eq!(try_each(ordered.clone(), |_| failure("f", "")).len(), FAULTS_ENOUGH);
        assert_eq!(try_each(ordered.clone(), |_| warning("w", "")).len(), FAULTS_ENOUGH);
        assert_eq!(try_each(ordered, |_| well("w")).len(), 4);
        assert_eq!(try_each(vec![hosting("a", "/7"); MOST_TRIED + 1], |_| well("w")).len(), MOST_TRIED);
    }
}
