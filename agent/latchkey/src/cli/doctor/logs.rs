//! Whether the broker opens the logs that the panel named with hostings: it does beneath the roots that the operator lists.

use latchkey_access::{AccessTable, InstanceId};

use super::{Finding, Patient, failure, warning, well};
use crate::broker::{Broker, BrokerError};
use crate::logs::location::{Place, Site};
use crate::problem::chain;
use crate::store::{self, access_rows};

pub(super) fn opened(patient: &Patient) -> Finding {
    let (broker, config) = match (patient.broker(), patient.config()) {
        (Ok(broker), Ok(config)) => (broker, config),
        (Err(not_looked), _) | (_, Err(not_looked)) => return not_looked.into(),
    };
    let read = store::open_to_read(&config.state_dir).and_then(|connection| access_rows::load(&connection));
    let table = match read {
        Ok(table) => table,
        Err(error) => return failure(chain(&error), "run this as root; see `database`"),
    };
    if broker.version().is_err() {
        return warning("not tried while the broker does not answer", "see `broker`");
    }
    let instances = table.instances().map(|instance| &instance.id);
    let looked_at: Vec<Finding> = instances.flat_map(|instance| look_at(&broker, &table, instance)).collect();
    let count = looked_at.len();
    match Finding::worst_of(looked_at) {
        Finding::Well(_) => well(format!("{count} named with hostings")),
        worse => worse,
    }
}

/// The logs of an instance that lie on the node. One that is not written yet is well.
fn look_at(broker: &Broker, table: &AccessTable, instance: &InstanceId) -> Vec<Finding> {
    let Ok(site) = Site::of(table, instance) else { return Vec::new() };
    let on_node = site.own().into_iter().filter_map(|location| match location.place {
        Place::Node(path) => Some(path),
        Place::Home(..) => None,
    });
    on_node.map(|path| judge(&path, &broker.open_log(site.hosting_id().to_string(), path.clone()))).collect()
}

fn judge<T>(path: &str, opened: &Result<T, BrokerError>) -> Finding {
    match opened {
        Ok(_) => well(path),
        Err(BrokerError::Refused { message, .. }) => warning(
            format!("{path} is not opened: {message}"),
            "list its directory in `log_roots` of broker.toml, or take it out of the hosting's log_paths",
        ),
        Err(error) => warning(format!("{path} is not opened: {}", chain(error)), "see `broker`"),
    }
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::RefusalCode;

    use super::*;

    #[test]
    fn a_log_that_the_broker_refuses_is_named_with_what_to_do() {
        assert_eq!(judge("/logs/a", &Ok(())), well("/logs/a"));
        let (code, message) = (RefusalCode::Invalid, "expected it elsewhere".to_owned());
        let refused: Result<(), _> = Err(BrokerError::Refused { code, field: None, message });
        let Finding::Warning { what, to_do } = judge("/logs/a", &refused) else { panic!("no warning") };
        assert!(what == "/logs/a is not opened: expected it elsewhere" && to_do.contains("`log_roots`"), "{what}");
    }
}
