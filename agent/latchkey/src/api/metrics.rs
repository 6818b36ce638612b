//! `GET /metrics`, in Prometheus' text format.
//!
//! What is counted as it happens is in `counted`; what can be looked up is looked up here, when it is asked for.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::call::Call;
use super::reply::{Content, Reply};
use crate::counted::{BOUNDS_S, COUNTED, Counted, Durations};
use crate::problem::Problem;
use crate::serve::Serve;
use crate::store::{audit, mail_queue};

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let mut page = MetricsPage::default();
    of_the_state(&mut page, &call.serve);
    let (queued, head) =
        call.serve.read(|connection| Ok((mail_queue::count_queued(connection)?, audit::head(connection)?))).await?;
    page.single("latchkey_mails_queued", "Letters that wait to be sent.", queued);
    let written = head.map_or(0, |head| head.seq);
    let recorded = call.serve.state.recorded_head();
    page.single("latchkey_audit_rows", "The number of the newest row of the audit.", written);
    page.single("latchkey_audit_recorded_row", "The newest row whose hash the broker has since the start.", recorded);
    page.of_counted(&COUNTED);
    let body = Content::Text("text/plain; version=0.0.4", page.0);
    Ok(Reply { status: 200, body, generation: None, is_secret: false, headers: axum::http::HeaderMap::new() })
}

fn of_the_state(page: &mut MetricsPage, serve: &Serve) {
    let state = &serve.state;
    let table = state.table();
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for share in table.shares() {
        *shares.entry(share.state.as_str()).or_default() += 1;
    }
    let mut channels: BTreeMap<&str, usize> =
        BTreeMap::from(["ftp", "gateway", "sftp", "wordpress"].map(|kind| (kind, 0)));
    for channel in state.channels.list().into_iter().filter(|channel| !channel.is_past(state.clock.now())) {
        *channels.entry(channel.kind()).or_default() += 1;
    }
    let uptime = crate::clock::until(state.clock.now(), serve.started_at).as_secs();
    let unconfirmed = state.channels.unconfirmed();
    page.family("latchkey_build_info", "gauge", "The agent's version.", "version", [(env!("CARGO_PKG_VERSION"), 1)]);
    page.family("latchkey_shares", "gauge", "Shares by state.", "state", shares);
    page.family("latchkey_channels", "gauge", "Open channels by kind.", "kind", channels);
    page.single("latchkey_instances", "Registered instances.", table.instances().count());
    page.single("latchkey_hostings", "Registered hostings.", table.hostings().count());
    page.single("latchkey_unconfirmed", "Channels that must end and are not confirmed to have ended.", unconfirmed);
    page.single("latchkey_watched", "Channels that have ended and are looked at again.", state.channels.watched());
    page.single("latchkey_uptime_seconds", "Seconds since the agent started.", uptime);
}

/// The text as it grows.
#[derive(Debug, Default)]
struct MetricsPage(String);

impl MetricsPage {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn family<'v>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, impl Display)>,
    ) {
        self.head(name, kind, help);
        for (value, count) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {count}");
        }
    }

    fn durations(&mut self, name: &str, help: &str, durations: &Durations) {
        self.head(name, "histogram", help);
        let cumulated = durations.cumulated();
        for (bound, count) in BOUNDS_S.iter().map(ToString::to_string).chain(["+Inf".into()]).zip(&cumulated) {
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let all = cumulated.last().copied().unwrap_or_default();
        let _ = writeln!(self.0, "{name}_sum {}\n{name}_count {all}", durations.sum_s());
    }

    fn of_counted(&mut self, counted: &Counted) {
        let families = [
            (
                "latchkey_calls_total",
                "Calls of the API by what came of them.",
                "outcome",
                vec![
                    ("allowed", &counted.calls_allowed),
                    ("denied", &counted.calls_denied),
                    ("invalid", &counted.calls_invalid),
                    ("failed", &counted.calls_failed),
                ],
            ),
            (
                "latchkey_php_calls_total",
                "Calls of PHP by what came of them.",
                "outcome",
                vec![
                    ("answered", &counted.php_answered),
                    ("site_error", &counted.php_site_errors),
                    ("timed_out", &counted.php_timed_out),
                    ("no_answer", &counted.php_no_answer),
                    ("not_started", &counted.php_not_started),
                ],
            ),
            (
                "latchkey_broker_calls_total",
                "Requests to the broker by what came of them.",
                "outcome",
                vec![
                    ("done", &counted.broker_done),
                    ("refused", &counted.broker_refused),
                    ("unreachable", &counted.broker_unreachable),
                ],
            ),
            (
                "latchkey_mails_total",
                "Attempts to send a letter by what came of them.",
                "outcome",
                vec![
                    ("sent", &counted.mails_sent),
                    ("postponed", &counted.mails_postponed),
                    ("given_up", &counted.mails_given_up),
                ],
            ),
            (
                "latchkey_turned_away_total",
                "What a limit turned away: requests by rate, connections for want of room, unfinished ones for a new one.",
                "limit",
                vec![
                    ("rate", &counted.rate_refusals),
                    ("room", &counted.connections_refused),
                    ("unfinished", &counted.connections_evicted),
                ],
            ),
        ];
        for (name, help, label, counters) in families {
            let values = counters.into_iter().map(|(value, counter)| (value, counter.total()));
            self.family(name, "counter", help, label, values);
        }
        self.single("latchkey_php_calls_in_use", "Calls of PHP under way.", counted.php_in_use.now());
        self.durations("latchkey_end_seconds", "How long ending channels took.", &counted.ends);
        self.durations("latchkey_state_write_seconds", "How long changes of the state took.", &counted.state_writes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_and_durations_are_written_as_prometheus_reads_them() {
        let counted = Counted::new();
        counted.calls_denied.count();
        counted.ends.count(Duration::from_millis(40));
        let mut page = MetricsPage::default();
        page.of_counted(&counted);
        for line in [
            "# TYPE latchkey_calls_total counter",
            "latchkey_calls_total{outcome=\"denied\"} 1",
            "latchkey_calls_total{outcome=\"allowed\"} 0",
            "# TYPE latchkey_end_seconds histogram",
            "latchkey_end_seconds_bucket{le=\"0.01\"} 0",
            "latchkey_end_seconds_bucket{le=\"0.05\"} 1",
            "latchkey_end_seconds_bucket{le=\"+Inf\"} 1",
            "latchkey_end_seconds_sum 0.04",
            "latchkey_end_seconds_count 1",
        ] {
            assert!(page.0.lines().any(|found| found == line), "{line}: {}", page.0);
        }
    }
}
