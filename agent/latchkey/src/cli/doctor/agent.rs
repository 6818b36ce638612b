//! Checks of the running processes.

use std::ops::ControlFlow;

use super::{Finding, Patient, failure, warning, well};
use crate::cli::client::{Call, CallError};
use crate::cli::view::at;
use crate::problem::chain;

pub(super) fn serve(patient: &Patient) -> Finding {
    match patient.health() {
        Ok(health) => well(format!("runs since {}", at(&health, "started_at").as_str().unwrap_or("-"))),
        Err(error) => failure(error, "systemctl status latchkey; journalctl -u latchkey"),
    }
}

pub(super) fn broker(patient: &Patient) -> Finding {
    let broker = match patient.broker() {
        Ok(broker) => broker,
        Err(not_looked) => return not_looked.into(),
    };
    match broker.version() {
        Ok(_) => well("answers"),
        Err(error) => failure(chain(&error), "systemctl status latchkey-broker; journalctl -u latchkey-broker"),
    }
}

pub(super) fn versions(patient: &Patient) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let serve = patient.health().ok().and_then(|health| at(&health, "version").as_str().map(str::to_owned));
    let broker = patient.broker().ok().and_then(|broker| broker.version().ok());
    compare(own, serve.as_deref(), broker.as_deref())
}

fn compare(own: &str, serve: Option<&str>, broker: Option<&str>) -> Finding {
    let parts = [("agent", serve), ("broker", broker)];
    let finding = |(part, version): (&str, Option<&str>)| match version {
        Some(version) if version == own => well(format!("{part} {version}")),
        Some(version) => failure(
            format!("the {part} that runs is {version}, this program is {own}"),
            "systemctl restart latchkey-broker latchkey",
        ),
        None => {
            warning(format!("the {part} does not say its version"), format!("see `{part}`").replace("agent", "serve"))
        }
    };
    Finding::worst_of(parts.map(finding))
}

pub(super) fn limits(patient: &Patient) -> Finding {
    let mut page = String::new();
    let read = patient.client.as_ref().map_err(ToString::to_string).and_then(|client| {
        let asked = client.lines(&Call::metrics(), "text/plain", &mut |line| {
            page.push_str(line);
            page.push('\n');
            ControlFlow::Continue(())
        });
        asked.map_err(|error: CallError| chain(&error))
    });
    match read {
        Ok(()) => turned_away(&page),
        Err(_) => warning("the agent does not say", "see `serve`"),
    }
}

fn turned_away(page: &str) -> Finding {
    let count = |limit: &str| {
        let name = format!("latchkey_turned_away_total{{limit=\"{limit}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap_or_default()
    };
    let (rate, room, unfinished) = (count("rate"), count("room"), count("unfinished"));
    if room + unfinished > 0 {
        return warning(
            format!(
                "since its start the agent closed {room} connections for want of room, and {unfinished} unfinished ones"
            ),
            "look for the addresses in the agent's log; a firewall may have to keep them off",
        );
    }
    well(format!("nobody for want of room; {rate} requests by rate since the start"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_another_version_fail_and_silent_ones_are_named() {
        assert!(matches!(compare("1", Some("1"), Some("1")), Finding::Well(_)));
        assert!(matches!(compare("1", Some("2"), Some("1")), Finding::Failure { .. }));
        assert!(matches!(compare("1", Some("1"), None), Finding::Warning { .. }));
    }

    #[test]
    fn a_connection_that_had_no_room_is_a_warning() {
        let page = |room: u64| format!("latchkey_turned_away_total{{limit=\"room\"}} {room}\n");
        assert!(matches!(turned_away(&page(0)), Finding::Well(_)));
        assert!(matches!(turned_away(&page(3)), Finding::Warning { .. }));
    }
}
