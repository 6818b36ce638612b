//! SFTP: whether it answers where it is configured, with a host key that is kept well and is the one that people are told.

use std::fs::Metadata;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use latchkey_sftp::HostKey;

use super::greeting::Conversation;
use super::{Finding, Patient, failure, warning, well};
use crate::cli::view::at;
use crate::problem::chain;

pub(super) fn all(patient: &Patient) -> Finding {
    let config = match patient.config() {
        Ok(config) => config,
        Err(not_looked) => return not_looked.into(),
    };
    let Some(settings) = &config.sftp else { return well("not served") };
    let health = patient.health().ok();
    let told = health.as_ref().and_then(|health| at(health, "sftp_key").as_str());
    Finding::worst_of([greets(settings.listen), key(&settings.host_key, &config.state_dir, told)])
}

/// Whether somebody who speaks SSH answers.
fn greets(listening: SocketAddr) -> Finding {
    let to_do = "see `serve`; journalctl -u latchkey";
    match Conversation::begin(listening).and_then(|mut talk| talk.hear()) {
        Ok(greeting) if greeting.starts_with("SSH-2.0-") => well(format!("{listening} answers")),
        Ok(greeting) => failure(format!("{listening} answers {greeting:?}, which is no SSH"), to_do),
        Err(error) => failure(format!("{listening} does not answer: {error}"), to_do),
    }
}

/// Whether the host key is the agent's alone, and the one that it offers: `told` is what it says of that one.
fn key(path: &Path, state_dir: &Path, told: Option<&str>) -> Finding {
    let read = || std::fs::metadata(path).and_then(|found| Ok((found, std::fs::read_to_string(path)?)));
    let (found, text) = match read() {
        Ok(read) => read,
        Err(error) => return failure(format!("{}: {error}", path.display()), "run this as root; see `serve`"),
    };
    let agent = std::fs::metadata(state_dir).ok().map(|state| state.uid());
    match HostKey::parse(&text) {
        Ok(key) => Finding::worst_of([is_kept(path, &found, agent), is_offered(&key.fingerprint(), told)]),
        Err(error) => failure(
            format!("{}: {}", path.display(), chain(&error)),
            "put the key back that clients know; without it they are warned of somebody in between",
        ),
    }
}

fn is_kept(path: &Path, found: &Metadata, agent: Option<u32>) -> Finding {
    let name = path.display();
    if found.mode() & 0o077 != 0 {
        failure(
            format!("the host key {name} is open to others"),
            format!("chmod 600 {name}; whoever may have read it can pass for this node: make a new one then"),
        )
    } else if Some(found.uid()) != agent {
        failure(format!("the host key {name} belongs to uid {}", found.uid()), format!("chown latchkey: {name}"))
    } else {
        well("the host key is the agent's alone")
    }
}

fn is_offered(kept: &str, told: Option<&str>) -> Finding {
    match told {
        Some(told) if told == kept => well(kept),
        Some(told) => failure(
            format!("the agent offers {told} and tells people so, but the host key in its file is {kept}"),
            "put the former key back, or restart the agent and tell people of the new one",
        ),
        None => warning("the agent does not say which host key it offers", "see `serve`"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::super::greeting::server;
    use super::super::is_failure;
    use super::*;

    #[test]
    fn a_listener_that_is_silent_gone_or_speaks_something_else_fails() {
        assert!(matches!(greets(server(&[&["SSH-2.0-Latchkey\r\n"]])), Finding::Well(_)));
        assert!(is_failure(&greets(server(&[&["220 FTP\r\n"]]))));
        assert!(is_failure(&greets(server(&[&[""]]))));
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(is_failure(&greets(nobody)));
    }

    #[test]
    fn a_host_key_that_is_open_somebody_elses_damaged_or_another_than_is_offered_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sftp_host_key");
        let own = HostKey::generate().unwrap();
        let told = own.fingerprint();
        assert!(is_failure(&key(&path, dir.path(), Some(&told))));
        fs::write(&path, own.to_secret_text().unwrap()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(key(&path, dir.path(), Some(&told)), Finding::Well(_)));
        assert!(matches!(key(&path, dir.path(), None), Finding::Warning { .. }));
        assert!(is_failure(&key(&path, dir.path(), Some(&HostKey::generate().unwrap().fingerprint()))));
        for mode in [0o640, 0o604] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(is_failure(&key(&path, dir.path(), Some(&told))), "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(1234), None).unwrap();
        assert!(is_failure(&key(&path, dir.path(), Some(&told))));
        chown(dir.path(), Some(1234), None).unwrap();
        assert!(matches!(key(&path, dir.path(), Some(&told)), Finding::Well(_)));
        fs::write(&path, "no key").unwrap();
        assert!(is_failure(&key(&path, dir.path(), Some(&told))));
    }
}
