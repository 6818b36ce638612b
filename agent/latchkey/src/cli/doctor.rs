//! `latchkey doctor`: one table of checks, each of which proves one thing about this node and says what to do if not.
//!
//! It looks by itself, as root, and works when the agent does not.

mod adapters;
mod agent;
mod caches;
mod certificates;
mod files;
mod ftp;
mod ftp_certificate;
mod greeting;
mod hostings;
mod kernel;
mod logs;
mod php;
mod records;
mod sftp;
mod size;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Answer;
use super::client::{Call, CallError, Client, Reply};
use super::connection::Connection;
use super::settings::BrokerSettings;
use super::view::{at, cell};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Config;
use crate::problem::chain;
use crate::verification::Verified;

/// An agent that does not answer within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// `latchkey doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Run these checks only, by their names.
    #[arg(value_name = "CHECK", value_parser = clap::builder::PossibleValuesParser::new(CHECKS.iter().map(|check| check.id)))]
    only: Vec<String>,
}

/// One thing to be proved.
struct Check {
    id: &'static str,
    /// What it proves when it is well.
    proves: &'static str,
    run: fn(&Patient) -> Finding,
}

/// Every check, in the order in which a fault of one explains those of later ones.
const CHECKS: &[Check] = &[
    Check { id: "config", proves: "both configurations are valid and only root can change them", run: files::config },
    Check { id: "state_dir", proves: "the state belongs to the agent alone and can be written", run: files::state_dir },
    Check { id: "disk", proves: "there is room for the state to grow", run: files::disk },
    Check { id: "size", proves: "the state does not grow without end", run: size::of_state },
    Check { id: "database", proves: "the state's database is whole", run: records::database },
    Check { id: "serve", proves: "the agent answers", run: agent::serve },
    Check { id: "broker", proves: "the broker answers", run: agent::broker },
    Check { id: "kernel", proves: "the kernel has what confines the processes", run: kernel::features },
    Check { id: "versions", proves: "all parts are of one version", run: agent::versions },
    Check { id: "certificates", proves: "no certificate is or soon will be expired", run: certificates::all },
    Check { id: "clock", proves: "the clock is not behind what was written already", run: records::clock },
    Check { id: "audit", proves: "no row of the audit was changed, removed or cut off", run: records::audit },
    Check { id: "audit_heads", proves: "the audit's heads reach the broker", run: records::audit_heads },
    Check { id: "unconfirmed", proves: "everything that had to end has ended", run: records::unconfirmed },
    Check { id: "sso_scripts", proves: "scripts for signing in are removed after their minute", run: records::scripts },
    Check { id: "mail", proves: "letters are sent", run: records::mail },
    Check { id: "php", proves: "the PHP programs of the sites are there, and root's", run: php::programs },
    Check {
        id: "hostings",
        proves: "system users and homes are as they were registered",
        run: hostings::accounts_and_homes,
    },
    Check { id: "php_starts", proves: "PHP starts, confined, as the hostings' system users", run: php::starts },
    Check { id: "redeemer", proves: "every site can reach the redeemer's socket", run: files::redeemer },
    Check {
        id: "object_caches",
        proves: "ends of access reach what sites' object caches remember",
        run: caches::reached,
    },
    Check { id: "logs", proves: "the broker opens the logs that are named with hostings", run: logs::opened },
    Check { id: "sftp", proves: "SFTP answers, with the host key that people are told", run: sftp::all },
    Check { id: "ftp", proves: "the FTP server answers, insists on TLS and can ask who may come in", run: ftp::all },
    Check { id: "adapters", proves: "the adapters that hostings name are loaded and called", run: adapters::all },
    Check {
        id: "phpmyadmin",
        proves: "phpMyAdmin can ask for the accounts of its sessions",
        run: adapters::phpmyadmin,
    },
    Check { id: "limits", proves: "nobody is turned away for want of room", run: agent::limits },
];

/// What a check found, in a sentence, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Well(String),
    Warning { what: String, to_do: String },
    Failure { what: String, to_do: String },
}

fn well(what: impl Into<String>) -> Finding {
    Finding::Well(what.into())
}

fn warning(what: impl Into<String>, to_do: impl Into<String>) -> Finding {
    Finding::Warning { what: what.into(), to_do: to_do.into() }
}

fn failure(what: impl Into<String>, to_do: impl Into<String>) -> Finding {
    Finding::Failure { what: what.into(), to_do: to_do.into() }
}

impl Finding {
    /// The worst of several findings; all sentences of its kind.
    fn worst_of(findings: impl IntoIterator<Item = Self>) -> Self {
        let (mut well_of, mut warnings, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for finding in findings {
            match finding {
                Self::Well(what) => well_of.push(what),
                Self::Warning { what, to_do } => warnings.push((what, to_do)),
                Self::Failure { what, to_do } => failures.push((what, to_do)),
            }
        }
        let join = |found: Vec<(String, String)>| {
            let (what, mut to_do): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            to_do.dedup();
            (what.join("; "), to_do.join("; "))
        };
        match (failures.is_empty(), warnings.is_empty()) {
            (false, _) => {
                let (what, to_do) = join(failures);
                failure(what, to_do)
            }
            (true, false) => {
                let (what, to_do) = join(warnings);
                warning(what, to_do)
            }
            (true, true) => well(well_of.join("; ")),
        }
    }
}

#[cfg(test)]
fn is_failure(finding: &Finding) -> bool {
    matches!(finding, Finding::Failure { .. })
}

/// A check that cannot be made, as a finding of its own: silence would look like health.
struct NotLooked(Finding);

impl From<NotLooked> for Finding {
    fn from(not_looked: NotLooked) -> Self {
        not_looked.0
    }
}

/// What the checks look at.
struct Patient {
    path: PathBuf,
    config: Result<Config, String>,
    broker: Result<BrokerSettings, String>,
    client: Result<Client, CallError>,
    now: Timestamp,
    /// The audit is verified once, for all checks that ask.
    verified: OnceCell<Result<Verified, Finding>>,
}

impl Patient {
    fn of(connection: &Connection) -> Self {
        let path = connection.configuration().unwrap_or_default();
        Self {
            config: Config::read(&path).map_err(|error| chain(&error)),
            broker: BrokerSettings::beside(&path),
            client: connection.client().map(|client| client.with_deadline(PATIENCE)),
            now: Clock::default().now(),
            path,
            verified: OnceCell::new(),
        }
    }

    fn config(&self) -> Result<&Config, NotLooked> {
        let not_looked = |_| NotLooked(warning("not looked at without a valid configuration", "see `config`"));
        self.config.as_ref().map_err(not_looked)
    }

    fn broker_settings(&self) -> Result<&BrokerSettings, NotLooked> {
        let not_looked = |_| NotLooked(warning("not looked at without the broker's configuration", "see `config`"));
        self.broker.as_ref().map_err(not_looked)
    }

    fn broker(&self) -> Result<Broker, NotLooked> {
        Ok(Broker::at(&self.config()?.broker.socket))
    }

    fn health(&self) -> Result<Value, String> {
        let client = self.client.as_ref().map_err(ToString::to_string)?;
        client.send(&Call::get(&["health"])).map(|reply| reply.json).map_err(|error| chain(&error))
    }
}

/// What a check found, for programs.
#[derive(Debug, Serialize)]
struct Row {
    check: &'static str,
    proves: &'static str,
    /// `well`, `warning` or `failure`.
    state: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

impl Row {
    fn of(check: &Check, finding: Finding) -> Self {
        let (state, what, to_do) = match finding {
            Finding::Well(what) => ("well", what, None),
            Finding::Warning { what, to_do } => ("warning", what, Some(to_do)),
            Finding::Failure { what, to_do } => ("failure", what, Some(to_do)),
        };
        Self { check: check.id, proves: check.proves, state, what, to_do }
    }
}

impl Doctor {
    /// Runs the checks. The exit code is 0, 1 with warnings, 2 with failures, as monitoring expects of a plugin.
    pub(super) fn run(&self, connection: &Connection) -> Answer {
        let patient = Patient::of(connection);
        let asked = |check: &&Check| self.only.is_empty() || self.only.iter().any(|id| id == check.id);
        let rows = CHECKS.iter().filter(asked).map(|check| Row::of(check, (check.run)(&patient)));
        report(&rows.collect::<Vec<_>>())
    }
}

fn report(rows: &[Row]) -> Answer {
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
    let (warnings, failures) = (count("warning"), count("failure"));
    let json = serde_json::json!({ "ok": failures + warnings == 0, "warnings": warnings, "failures": failures, "items": rows });
    let exit = if failures > 0 { 2 } else { u8::from(warnings > 0) };
    Answer { exit, ..Answer::new(Reply { text: json.to_string(), json }, in_words) }
}

fn in_words(report: &Value) -> String {
    let mut lines = Vec::new();
    for row in super::view::items(report) {
        let mark = match at(row, "state").as_str() {
            Some("well") => "ok     ",
            Some("warning") => "WARNING",
            _ => "FAILURE",
        };
        lines.push(format!("{mark}  {:<13}  {}", cell(at(row, "check")), cell(at(row, "what")).replace('\n', " ")));
        if let Some(to_do) = at(row, "to_do").as_str() {
            lines.push(format!("{:24}to do: {}", "", to_do.replace('\n', " ")));
        }
    }
    let counts = |name: &str| at(report, name).as_u64().unwrap_or_default();
    lines.push(match (counts("failures"), counts("warnings")) {
        (0, 0) => "All is well.".to_owned(),
        (failures, warnings) => format!("Failures: {failures}. Warnings: {warnings}."),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_counts_and_takes_its_like_along() {
        let findings = [well("a"), warning("b", "do b"), failure("c", "do"), failure("d", "do")];
        assert_eq!(Finding::worst_of(findings), failure("c; d", "do"));
        assert_eq!(Finding::worst_of([well("a"), warning("b", "do b")]), warning("b", "do b"));
        assert_eq!(Finding::worst_of([well("a"), well("b")]), well("a; b"));
    }

    #[test]
    fn the_exit_code_is_that_of_a_monitoring_plugin() {
        let exit = |findings: Vec<Finding>| {
            let rows = CHECKS.iter().zip(findings).map(|(check, finding)| Row::of(check, finding));
            report(&rows.collect::<Vec<_>>()).exit
        };
        assert_eq!(exit(vec![well("x"), well("y")]), 0);
        assert_eq!(exit(vec![well("x"), warning("y", "z")]), 1);
        assert_eq!(exit(vec![failure("x", "z"), warning("y", "z")]), 2);
    }

    #[test]
    fn each_check_has_its_own_name() {
        let mut ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
    }
}
