//! `GET /metrics`, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::call::Call;
use super::reply::{Content, Reply};
use crate::channels::Channel;
use crate::problem::Problem;

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    let state = &call.serve.state;
    let table = state.table();
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for share in table.shares() {
        *shares.entry(share.state.as_str()).or_default() += 1;
    }
    let mut channels: BTreeMap<&str, usize> = BTreeMap::from([("gateway", 0), ("wordpress", 0)]);
    for channel in state.channels.list().into_iter().filter(|channel| !channel.is_past(state.clock.now())) {
        let kind = match channel {
            Channel::Wordpress(_) => "wordpress",
            Channel::Gateway(..) => "gateway",
        };
        *channels.entry(kind).or_default() += 1;
    }
    let uptime = crate::clock::until(state.clock.now(), call.serve.started_at).as_secs();
    let mut text = String::new();
    gauge(&mut text, "latchkey_shares", "Shares by state.", "state", &shares);
    gauge(&mut text, "latchkey_channels", "Open channels by kind.", "kind", &channels);
    let singles = [
        ("latchkey_instances", "Registered instances.", table.instances().count() as u64),
        ("latchkey_hostings", "Registered hostings.", table.hostings().count() as u64),
        (
            "latchkey_unconfirmed",
            "Channels that must end and are not confirmed to have ended.",
            state.channels.unconfirmed().len() as u64,
        ),
        ("latchkey_uptime_seconds", "Seconds since the agent started.", uptime),
    ];
    for (name, help, value) in singles {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    let body = Content::Text("text/plain; version=0.0.4", text);
    Ok(Reply { status: 200, body, generation: None, is_secret: false })
}

fn gauge(text: &mut String, name: &str, help: &str, label: &str, values: &BTreeMap<&str, usize>) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (value, count) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{value}\"}} {count}");
    }
}
