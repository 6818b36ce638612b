//! Whether ends of access reach the sites that have an object cache: one in the memory of a PHP pool is reached by the
//! site's own URL only.

use std::path::Path;
use std::time::Duration;

use latchkey_access::InstanceId;
use latchkey_protocol::{PhpCall, Purpose, RefusalCode};
use serde_json::{Value, json};

use super::php::try_each;
use super::{Finding, Patient, failure, warning, well};
use crate::broker::{Broker, BrokerError};
use crate::cli::view::at;
use crate::problem::chain;
use crate::store::wordpress_sessions::Site;
use crate::store::{self, access_rows};
use crate::wordpress::bridge::shortened;
use crate::wordpress::{bridge_call, site_of};

/// WordPress without its plugins, and the second and a half that its pool gets for an answer.
const DEADLINE: Duration = Duration::from_secs(4);
/// A docroot of WordPress has some twenty entries.
const MOST_ENTRIES: usize = 1000;

/// An instance and where its WordPress is.
type Cached = (InstanceId, Site);

pub(super) fn reached(patient: &Patient) -> Finding {
    let (broker, sites) = match (patient.broker(), with_a_cache(patient)) {
        (Ok(broker), Ok(sites)) => (broker, sites),
        (Err(not_looked), _) => return not_looked.into(),
        (_, Err(finding)) => return finding,
    };
    if broker.version().is_err() {
        return warning("not tried while the broker does not answer", "see `broker`");
    }
    let all = sites.len();
    let findings = try_each(sites, move |(id, site)| judge(id, site, &ask(&broker, site)));
    let tried = findings.len();
    match Finding::worst_of(findings) {
        Finding::Well(_) => well(format!("{tried} of {all} sites that have one")),
        worse => worse,
    }
}

/// The sites with an object cache, from the agent's own state and the files on the disk.
fn with_a_cache(patient: &Patient) -> Result<Vec<Cached>, Finding> {
    let config = patient.config().map_err(Finding::from)?;
    let read = store::open_to_read(&config.state_dir).and_then(|connection| access_rows::load(&connection));
    let table = read.map_err(|error| failure(chain(&error), "run this as root; see `database`"))?;
    let has_one = table.instances().filter(|instance| has_drop_in(Path::new(&instance.docroot)));
    let mut sites: Vec<Cached> =
        has_one.filter_map(|instance| Some((instance.id.clone(), site_of(&table, &instance.id).ok()?))).collect();
    sites.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(sites)
}

/// Whether a folder of the docroot holds the drop-in of an object cache: `wp-content`, or what stands in its place. Opens
/// no file.
fn has_drop_in(docroot: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(docroot) else { return false };
    let folders = entries.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path()));
    folders.map(|folder| folder.join("object-cache.php")).any(|drop_in| std::fs::symlink_metadata(drop_in).is_ok())
}

/// What the site says of its cache. Two calls: what the second finds of the first is in a cache that all processes share.
fn ask(broker: &Broker, site: &Site) -> Result<Value, BrokerError> {
    call(broker, site, "object_cache.put")?;
    call(broker, site, "object_cache.reach")
}

fn call(broker: &Broker, site: &Site, action: &str) -> Result<Value, BrokerError> {
    let deadline_ms = u32::try_from(DEADLINE.as_millis()).unwrap_or(u32::MAX);
    let Site { hosting, docroot, url } = site.clone();
    let request = json!({ "action": action, "args": {}, "site": { "url": url }, "skip_plugins": true }).to_string();
    let call = PhpCall { hosting, docroot, deadline_ms, purpose: Purpose::Ordinary };
    let outcome = bridge_call::run(&broker.connect()?, call, request.as_bytes())?;
    Ok(outcome.line.and_then(|line| serde_json::from_slice(&line).ok()).unwrap_or_default())
}

fn judge(id: &InstanceId, site: &Site, told: &Result<Value, BrokerError>) -> Finding {
    let told = match told {
        Ok(told) => told,
        Err(BrokerError::Refused { code: RefusalCode::Busy, .. }) => {
            return warning(format!("not tried for {id}: too many calls are running"), "run this again");
        }
        Err(error) => return warning(format!("{id} cannot be asked: {}", chain(error)), "see `php_starts`"),
    };
    match at(told, "result.reach").as_str() {
        Some("none_needed" | "shared" | "pool") => well(id.to_string()),
        Some("nobody") => warning(
            format!("{id} caches in the memory of its PHP pool, which does not answer: ends there stay unconfirmed"),
            format!(
                "let this node reach {}/.well-known/latchkey-sso (name, firewall, the location of the redeemer), or let the site cache elsewhere",
                site.url
            ),
        ),
        _ => {
            let why = shortened(at(told, "error.message").as_str().unwrap_or("no answer"), 200);
            warning(
                format!("{id} has an object cache and does not start ({why}): ends there stay unconfirmed"),
                "have its owner repair it",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_drop_in_is_found_wherever_the_docroot_has_its_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("content")).unwrap();
        fs::write(dir.path().join("object-cache.php"), "no drop-in here").unwrap();
        assert!(!has_drop_in(dir.path()) && !has_drop_in(&dir.path().join("gone")));
        fs::write(dir.path().join("content/object-cache.php"), "").unwrap();
        assert!(has_drop_in(dir.path()));
    }

    #[test]
    fn a_pool_that_cannot_be_reached_is_told_from_caches_that_can() {
        let id: InstanceId = "live".parse().unwrap();
        let site = Site { hosting: "h".into(), docroot: String::new(), url: "https://a.example".into() };
        let judged = |told: Value| judge(&id, &site, &Ok(told));
        for reach in ["none_needed", "shared", "pool"] {
            assert_eq!(judged(json!({ "ok": true, "result": { "reach": reach } })), well("live"), "{reach}");
        }
        let Finding::Warning { what, to_do } = judged(json!({ "ok": true, "result": { "reach": "nobody" } })) else {
            panic!()
        };
        assert!(
            what.contains("live") && to_do.contains("https://a.example/.well-known/latchkey-sso"),
            "{what} {to_do}"
        );
        let broken = judged(json!({ "ok": false, "error": { "code": "database", "message": "no\ndatabase" } }));
        let Finding::Warning { what, .. } = broken else { panic!() };
        assert!(what.contains("(no database)"), "{what}");
        assert!(matches!(judged(Value::Null), Finding::Warning { .. }));
        let refused = |code| BrokerError::Refused { code, field: None, message: String::new() };
        for code in [RefusalCode::Busy, RefusalCode::Internal] {
            assert!(matches!(judge(&id, &site, &Err(refused(code))), Finding::Warning { .. }));
        }
    }
}
