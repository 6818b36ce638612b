//! Checks of what operations reach through others: adapters, and phpMyAdmin.

use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::{Finding, Patient, failure, warning, well};
use crate::cli::client::Call;
use crate::cli::view::{at, items};
use crate::phpmyadmin::uid_of;
use crate::problem::chain;

/// Whether the adapters that hostings name are loaded, called, and granted what they ask for.
pub(super) fn all(patient: &Patient) -> Finding {
    let ask = |path: &[&str]| match &patient.client {
        Ok(client) => client.send(&Call::get(path)).map(|reply| reply.json).map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    match (ask(&["adapters"]), ask(&["hostings"])) {
        (Ok(adapters), Ok(hostings)) => judge(items(&adapters), items(&hostings)),
        _ => warning("the agent does not say", "see `serve`"),
    }
}

fn judge(adapters: &[Value], hostings: &[Value]) -> Finding {
    let name = |adapter: &Value| at(adapter, "name").as_str().unwrap_or_default().to_owned();
    let loaded: Vec<String> = adapters.iter().map(name).collect();
    let missing = hostings.iter().flat_map(|hosting| {
        let named = items_of(hosting, "adapters").filter(|named| !loaded.contains(named));
        named.map(|named| {
            let what = format!("the hosting {} names the adapter {named}, which is not loaded", text(hosting, "id"));
            failure(what, "latchkey adapter install; journalctl -u latchkey says why one was not loaded")
        })
    });
    let own = adapters.iter().map(look_at);
    match Finding::worst_of(own.chain(missing.collect::<Vec<_>>())) {
        Finding::Well(_) => well(if loaded.is_empty() { "none".to_owned() } else { loaded.join(", ") }),
        worse => worse,
    }
}

fn look_at(adapter: &Value) -> Finding {
    let (name, file) = (text(adapter, "name"), text(adapter, "operators_file"));
    if let Some(fault) = at(adapter, "operators_file_fault").as_str() {
        return failure(format!("{name} is not called: {fault}"), format!("mend {file}"));
    }
    if at(adapter, "state") == "put_aside" {
        let why = at(adapter, "last_break").as_str().unwrap_or("it broke down too often").to_owned();
        return failure(format!("{name} was put aside: {why}"), "latchkey adapter install loads it again");
    }
    let missing: Vec<String> = items_of(adapter, "missing").collect();
    if missing.is_empty() {
        return well(name);
    }
    let what = format!("{name} asks for what is not granted: {}", missing.join(", "));
    warning(what, format!("add it under [grants] in {file}, or leave it: what needs it is refused"))
}

/// Whether phpMyAdmin can ask for accounts.
pub(super) fn phpmyadmin(patient: &Patient) -> Finding {
    let config = match patient.config() {
        Ok(config) => config,
        Err(not_looked) => return not_looked.into(),
    };
    let Some(settings) = &config.phpmyadmin else { return well("not served") };
    if config.mysql.is_none() {
        return failure("[phpmyadmin] needs [mysql], which is not there", "add [mysql] to latchkey.toml");
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if uid_of(&accounts, &settings.user).is_none() {
        let what = format!("[phpmyadmin] names the user {}, who is not there", settings.user);
        return failure(what, "make that user, whom phpMyAdmin's PHP pool runs as, and restart the agent");
    }
    let socket = settings.socket.display();
    match UnixStream::connect(&settings.socket) {
        Ok(_) => well(format!("{} can ask at {socket}", settings.user)),
        Err(error) => {
            failure(format!("nobody listens at {socket}: {error}"), "see `serve`; systemctl restart latchkey")
        }
    }
}

fn text(value: &Value, field: &str) -> String {
    at(value, field).as_str().unwrap_or_default().to_owned()
}

fn items_of<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = String> + use<'v> {
    let list = at(value, field).as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::is_failure;

    #[test]
    fn what_keeps_an_adapter_from_being_called_is_named() {
        let adapter = |more: Value| {
            let mut adapter =
                json!({ "name": "linux", "state": "ready", "missing": [], "operators_file": "/etc/l.toml" });
            adapter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            adapter
        };
        let hosting = json!({ "id": "shop", "adapters": ["linux"] });
        let found = |adapters: &[Value]| judge(adapters, std::slice::from_ref(&hosting));
        assert_eq!(found(&[adapter(json!({}))]), well("linux"));
        assert!(is_failure(&found(&[])));
        assert!(is_failure(&found(&[adapter(json!({ "operators_file_fault": "line 3" }))])));
        assert!(is_failure(&found(&[adapter(json!({ "state": "put_aside" }))])));
        let warned = found(&[adapter(json!({ "missing": ["mysql = true"] }))]);
        assert!(
            matches!(&warned, Finding::Warning { what, to_do } if what.contains("mysql = true") && to_do.contains("/etc/l.toml"))
        );
        assert_eq!(judge(&[], &[]), well("none"));
    }
}
