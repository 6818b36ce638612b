//! Which sites live on a database, so that nobody takes one from under a site by accident.

use std::collections::BTreeSet;

use latchkey_access::{AccessTable, InstanceId};

use crate::problem::Problem;

/// The instances that were registered with one of these databases, by id.
pub(crate) fn instances_on<'n>(
    table: &AccessTable,
    databases: impl IntoIterator<Item = &'n str>,
) -> BTreeSet<InstanceId> {
    let databases: BTreeSet<&str> = databases.into_iter().collect();
    let on_one = table.instances().filter(|instance| databases.contains(instance.database.as_str()));
    on_one.map(|instance| instance.id.clone()).collect()
}

/// Refuses unless every instance that lives on it was named.
pub(crate) fn refuse_accident(what: &str, instances: &BTreeSet<InstanceId>, named: &[String]) -> Result<(), Problem> {
    let forgotten: Vec<&str> =
        instances.iter().map(InstanceId::as_str).filter(|id| !named.iter().any(|name| name == id)).collect();
    if forgotten.is_empty() {
        return Ok(());
    }
    let ids = forgotten.join(", ");
    let detail = format!("{what} is in use by the instance {ids}; to go on, name it in `instances`");
    Err(Problem { field: Some("instances".into()), ..Problem::conflict(detail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_names_all_instances_goes_on() {
        let two: BTreeSet<InstanceId> = ["live", "second"].iter().map(|id| id.parse().unwrap()).collect();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(refuse_accident("s1_wp", &BTreeSet::new(), &[]), Ok(()));
        assert_eq!(refuse_accident("s1_wp", &two, &named(&["second", "live"])), Ok(()));
        for (given, left) in [(&[][..], "live, second"), (&["live"], "second"), (&["Live", "second "], "live, second")]
        {
            let refused = refuse_accident("s1_wp", &two, &named(given)).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("instances"));
            assert!(refused.detail.contains(&format!("the instance {left};")), "{}", refused.detail);
        }
    }
}
