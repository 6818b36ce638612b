//! Checks of files, directories and sockets of the agent itself.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

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

pub(super) fn redeemer(patient: &Patient) -> Finding {
    match patient.config() {
        Ok(config) => look_at_socket(&config.redeemer.socket),
        Err(not_looked) => not_looked.into(),
    }
}

fn look_at_socket(path: &Path) -> Finding {
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

    use super::super::is_failure;
    use super::*;

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
    fn a_redeemers_socket_that_is_gone_none_or_out_of_reach_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redeemer.sock");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        assert!(is_failure(&look_at_socket(&path)));
        fs::write(&path, "").unwrap();
        assert!(is_failure(&look_at_socket(&path)));
        fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (of_socket, of_directory, fails) in [(0o666, 0o711, false), (0o660, 0o711, true), (0o666, 0o710, true)] {
            fs::set_permissions(&path, Permissions::from_mode(of_socket)).unwrap();
            fs::set_permissions(dir.path(), Permissions::from_mode(of_directory)).unwrap();
            assert_eq!(is_failure(&look_at_socket(&path)), fails, "{of_socket:o} in {of_directory:o}");
        }
    }
}
