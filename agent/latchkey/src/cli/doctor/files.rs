//! Checks of files, directories, sockets and accounts of the node.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde::Deserialize;

use super::{Finding, Patient, failure, warning, well};
use crate::cli::settings::BrokerSettings;

/// With less room the next hours may end in a state that cannot be written.
const LITTLE_ROOM_BYTES: u64 = 256 << 20;
/// With less room a change may fail at any moment.
const NO_ROOM_BYTES: u64 = 16 << 20;

pub(super) fn config(patient: &Patient) -> Finding {
    let broker = BrokerSettings::path_beside(&patient.path);
    let validity = |fault: Option<&String>| match fault {
        None => well("valid"),
        Some(fault) => failure(fault.clone(), "correct the line; packaging/config explains each key"),
    };
    Finding::worst_of([
        validity(patient.config.as_ref().err()),
        validity(patient.broker.as_ref().err()),
        only_roots(&patient.path),
        only_roots(&broker),
    ])
}

/// Whether nobody but root can change a file.
fn only_roots(path: &Path) -> Finding {
    let name = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.uid() == 0 && found.mode() & 0o022 == 0 => well(format!("{name} is root's")),
        Ok(_) => failure(
            format!("{name} can be changed by others than root"),
            format!("chown root {name} && chmod go-w {name}"),
        ),
        Err(error) => failure(format!("{name}: {error}"), "name the configuration with --config"),
    }
}

pub(super) fn state_dir(patient: &Patient) -> Finding {
    let path = match patient.config() {
        Ok(config) => &config.state_dir,
        Err(not_looked) => return not_looked.into(),
    };
    let database = path.join("latchkey.db");
    match (std::fs::metadata(path), std::fs::metadata(&database), rustix::fs::statvfs(path)) {
        (Ok(directory), Ok(file), Ok(system)) => {
            let read_only = system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
            judge_state(path, &directory, &file, read_only)
        }
        (Err(error), ..) | (_, Err(error), _) => {
            failure(format!("{}: {error}", path.display()), "run this as root; start the agent once")
        }
        (.., Err(error)) => failure(format!("{}: {error}", path.display()), "run this as root"),
    }
}

fn judge_state(path: &Path, directory: &Metadata, database: &Metadata, read_only: bool) -> Finding {
    let name = path.display();
    Finding::worst_of([
        if directory.mode() & 0o077 == 0 {
            well("for the agent alone")
        } else {
            failure(format!("{name} is open to others"), format!("chmod 700 {name}"))
        },
        if directory.uid() == database.uid() && directory.uid() != 0 {
            well(format!("uid {}", directory.uid()))
        } else {
            failure(
                format!("{name} belongs to uid {}, the database in it to uid {}", directory.uid(), database.uid()),
                format!("chown -R latchkey: {name}"),
            )
        },
        if read_only { failure(format!("{name} is mounted read-only"), "mount it writable") } else { well("writable") },
    ])
}

pub(super) fn disk(patient: &Patient) -> Finding {
    let config = match patient.config() {
        Ok(config) => config,
        Err(not_looked) => return not_looked.into(),
    };
    let broker = patient.broker_settings().ok().map(|settings| settings.state_dir.clone());
    let findings =
        [Some(config.state_dir.clone()), broker].into_iter().flatten().map(|path| match rustix::fs::statvfs(&path) {
            Ok(found) => judge_room(&path, found.f_bavail * found.f_frsize, found.f_favail, found.f_files),
            Err(error) => failure(format!("{}: {error}", path.display()), "run this as root"),
        });
    Finding::worst_of(findings)
}

fn judge_room(path: &Path, free_bytes: u64, free_files: u64, files: u64) -> Finding {
    let (name, mib) = (path.display(), free_bytes >> 20);
    let to_do = "make room: what cannot be written is refused";
    // Some file systems do not count files.
    if free_bytes < NO_ROOM_BYTES || (files > 0 && free_files < 16) {
        failure(format!("{name} has room for {mib} MiB and {free_files} files"), to_do)
    } else if free_bytes < LITTLE_ROOM_BYTES {
        warning(format!("{name} has room for {mib} MiB only"), to_do)
    } else {
        well(format!("{name} has room for {mib} MiB"))
    }
}

pub(super) fn php(patient: &Patient) -> Finding {
    let settings = match patient.broker_settings() {
        Ok(settings) => settings,
        Err(not_looked) => return not_looked.into(),
    };
    Finding::worst_of(settings.php_binaries.iter().map(|path| look_at_program(path)))
}

fn look_at_program(path: &Path) -> Finding {
    let name = path.display();
    let to_do = "install it, or take it out of php_binaries in broker.toml";
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() || found.mode() & 0o111 == 0 => failure(format!("{name} cannot be run"), to_do),
        Ok(found) if found.uid() != 0 || found.mode() & 0o022 != 0 => {
            failure(format!("{name} can be changed by others than root"), "install it again")
        }
        Ok(_) => well(name.to_string()),
        Err(error) => failure(format!("{name}: {error}"), to_do),
    }
}

/// What is of interest in the broker's registry.
#[derive(Deserialize)]
struct Registry {
    hostings: Vec<Registered>,
}

#[derive(Deserialize)]
struct Registered {
    hosting: String,
    system_user: String,
    uid: u32,
    gid: u32,
    home: String,
}

pub(super) fn hostings(patient: &Patient) -> Finding {
    let path = match patient.broker_settings() {
        Ok(settings) => settings.state_dir.join("registry.json"),
        Err(not_looked) => return not_looked.into(),
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return well("none is registered"),
        Err(error) => return failure(format!("{}: {error}", path.display()), "run this as root"),
    };
    let Ok(registry) = serde_json::from_str::<Registry>(&text) else {
        return failure(
            format!("{} is damaged", path.display()),
            "restore it from a backup, or register the hostings again",
        );
    };
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let findings: Vec<_> = registry.hostings.iter().map(|hosting| look_at_hosting(hosting, &accounts)).collect();
    match Finding::worst_of(findings) {
        Finding::Well(_) => well(format!("{} registered", registry.hostings.len())),
        worse => worse,
    }
}

fn look_at_hosting(hosting: &Registered, accounts: &str) -> Finding {
    let Registered { hosting: id, system_user, uid, gid, home } = hosting;
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

pub(super) fn redeemer(patient: &Patient) -> Finding {
    let path = match patient.config() {
        Ok(config) => &config.redeemer.socket,
        Err(not_looked) => return not_looked.into(),
    };
    let name = path.display();
    let directory = path.parent().and_then(|directory| std::fs::metadata(directory).ok());
    match std::fs::metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            failure(format!("{name} is no socket"), "remove it and restart the agent")
        }
        Ok(found)
            if found.mode() & 0o666 != 0o666 || directory.is_none_or(|directory| directory.mode() & 0o001 == 0) =>
        {
            failure(
                format!("not every system user can connect to {name}"),
                "restart the agent; its unit sets the modes",
            )
        }
        Ok(_) => well(name.to_string()),
        Err(error) => failure(format!("{name}: {error}"), "see `serve`"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn is_failure(finding: &Finding) -> bool {
        matches!(finding, Finding::Failure { .. })
    }

    #[test]
    fn a_file_that_others_can_change_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latchkey.toml");
        assert!(is_failure(&only_roots(&path)));
        fs::write(&path, "").unwrap();
        for (mode, fails) in [(0o644, false), (0o600, false), (0o664, true), (0o646, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_failure(&only_roots(&path)), fails, "{mode:o}");
        }
    }

    #[test]
    fn a_program_that_is_gone_or_cannot_be_run_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("php");
        assert!(is_failure(&look_at_program(&path)));
        fs::write(&path, "").unwrap();
        for (mode, fails) in [(0o755, false), (0o644, true), (0o777, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_failure(&look_at_program(&path)), fails, "{mode:o}");
        }
        assert!(is_failure(&look_at_program(dir.path())));
    }

    #[test]
    fn a_state_that_is_open_read_only_or_somebody_elses_fails() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("latchkey.db");
        fs::write(&database, "").unwrap();
        let judge = |mode, owner, read_only| {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::chown(dir.path(), Some(1234), None).unwrap();
            std::os::unix::fs::chown(&database, Some(owner), None).unwrap();
            let found = |path: &Path| fs::metadata(path).unwrap();
            is_failure(&judge_state(dir.path(), &found(dir.path()), &found(&database), read_only))
        };
        assert!(!judge(0o700, 1234, false));
        assert!(judge(0o750, 1234, false));
        assert!(judge(0o700, 0, false));
        assert!(judge(0o700, 1234, true));
    }

    #[test]
    fn little_room_warns_and_none_fails() {
        let judge = |mib: u64, files| judge_room(Path::new("/x"), mib << 20, files, 1000);
        assert!(matches!(judge(1000, 100), Finding::Well(_)));
        assert!(matches!(judge(100, 100), Finding::Warning { .. }));
        assert!(is_failure(&judge(1, 100)) && is_failure(&judge(1000, 3)));
    }

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
        };
        let accounts = format!("root:x:0:0::/root:\nalicea:x:1:1::/:\nalice:x:{uid}:7::{home}:/bin/sh\n");
        assert_eq!(look_at_hosting(&hosting(uid, &home), &accounts), well("h"));
        assert!(is_failure(&look_at_hosting(&hosting(uid, &home), "alicea:x:1:1::/:\n")));
        assert!(is_failure(&look_at_hosting(&hosting(uid + 1, &home), &accounts)));
        assert!(is_failure(&look_at_hosting(&hosting(uid, &format!("{home}/gone")), &accounts)));
    }
}
