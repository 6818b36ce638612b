//! Checks of the registered hostings: their accounts and homes.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Finding, Patient, failure, well};

/// What is of interest in the broker's registry.
#[derive(Deserialize)]
struct Registry {
    hostings: Vec<Registered>,
}

/// One hosting as the broker holds it.
#[derive(Clone, Deserialize)]
pub(super) struct Registered {
    pub(super) hosting: String,
    pub(super) system_user: String,
    uid: u32,
    gid: u32,
    home: String,
    pub(super) php_binary: PathBuf,
    pub(super) php_ini: Option<PathBuf>,
}

/// The hostings that the broker knows, from its file: root can read it whether the broker runs or not.
pub(super) fn registered(patient: &Patient) -> Result<Vec<Registered>, Finding> {
    let path = patient.broker_settings().map_err(Finding::from)?.state_dir.join("registry.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure(format!("{}: {error}", path.display()), "run this as root")),
    };
    match serde_json::from_str::<Registry>(&text) {
        Ok(registry) => Ok(registry.hostings),
        Err(_) => Err(failure(
            format!("{} is damaged", path.display()),
            "restore it from a backup, or register the hostings again",
        )),
    }
}

pub(super) fn accounts_and_homes(patient: &Patient) -> Finding {
    let hostings = match registered(patient) {
        Ok(hostings) => hostings,
        Err(finding) => return finding,
    };
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    match Finding::worst_of(hostings.iter().map(|hosting| look_at_hosting(hosting, &accounts))) {
        Finding::Well(_) => well(format!("{} registered", hostings.len())),
        worse => worse,
    }
}

fn look_at_hosting(hosting: &Registered, accounts: &str) -> Finding {
    let Registered { hosting: id, system_user, uid, gid, home, .. } = hosting;
    let to_do = "register the hosting again, or delete it in the panel";
    let account = format!("{system_user}:");
    let ids = accounts.lines().find_map(|line| {
        let mut fields = line.strip_prefix(&account)?.split(':').skip(1);
        Some((fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?))
    });
    match ids {
        None => return failure(format!("the system user {system_user} of {id} is gone"), to_do),
        Some(now) if now != (*uid, *gid) => {
            return failure(format!("the system user {system_user} of {id} has other ids than registered"), to_do);
        }
        Some(_) => {}
    }
    match std::fs::symlink_metadata(home) {
        Ok(found) if found.is_dir() && found.uid() == *uid => well(id.clone()),
        Ok(_) => failure(format!("the home {home} of {id} is no directory of {system_user}"), to_do),
        Err(error) => failure(format!("the home {home} of {id}: {error}"), to_do),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::is_failure;
    use super::*;

    #[test]
    fn an_account_or_home_that_changed_since_its_registration_fails() {
        let dir = tempfile::tempdir().unwrap();
        let uid = fs::metadata(dir.path()).unwrap().uid();
        let home = dir.path().to_str().unwrap().to_owned();
        let hosting = |uid, home: &str| Registered {
            hosting: "h".into(),
            system_user: "alice".into(),
            uid,
            gid: 7,
            home: home.into(),
            php_binary: "/usr/bin/php".into(),
            php_ini: None,
        };
        let accounts = format!("root:x:0:0::/root:\nalicea:x:1:1::/:\nalice:x:{uid}:7::{home}:/bin/sh\n");
        assert_eq!(look_at_hosting(&hosting(uid, &home), &accounts), well("h"));
        assert!(is_failure(&look_at_hosting(&hosting(uid, &home), "alicea:x:1:1::/:\n")));
        assert!(is_failure(&look_at_hosting(&hosting(uid + 1, &home), &accounts)));
        assert!(is_failure(&look_at_hosting(&hosting(uid, &format!("{home}/gone")), &accounts)));
    }
}
