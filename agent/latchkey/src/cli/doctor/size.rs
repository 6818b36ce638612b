//! How large the state is: what grows without end fills the disk one day.

use std::path::Path;

use super::{Finding, Patient, failure, warning, well};

/// Far more than years of audit on a busy node; SQLite copies all of it for a backup.
const LARGE_BYTES: u64 = 4 << 30;
/// What is written goes into the database every few megabytes, unless somebody reads without end.
const LARGE_LOG_BYTES: u64 = 256 << 20;

pub(super) fn of_state(patient: &Patient) -> Finding {
    let state = match patient.config() {
        Ok(config) => &config.state_dir,
        Err(not_looked) => return not_looked.into(),
    };
    let database = judge(
        &state.join("latchkey.db"),
        LARGE_BYTES,
        "read what fills it, the audit most likely: latchkey audit export keeps a copy elsewhere",
    );
    let log = judge(
        &state.join("latchkey.db-wal"),
        LARGE_LOG_BYTES,
        "end whatever reads the database at length, a backup for example; restart the agent",
    );
    let heads = patient.broker_settings().ok().map(|settings| {
        let to_do = "see whether the audit's heads are recorded more often than the audit grows";
        judge(&settings.state_dir.join("audit-heads"), LARGE_BYTES, to_do)
    });
    Finding::worst_of([database, log].into_iter().chain(heads))
}

fn judge(path: &Path, large: u64, to_do: &str) -> Finding {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match std::fs::metadata(path) {
        Ok(found) if found.len() > large => warning(format!("{name} has {}", mebibytes(found.len())), to_do),
        Ok(found) => well(format!("{name} {}", mebibytes(found.len()))),
        // The log goes with its last reader, and nothing was recorded yet on a new node.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => well(format!("{name} none")),
        Err(error) => failure(format!("{}: {error}", path.display()), "run this as root"),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_that_grew_large_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latchkey.db");
        assert_eq!(judge(&path, 5, ""), well("latchkey.db none"));
        let file = File::create(&path).unwrap();
        for (length, is_well) in [(5, true), (6, false)] {
            file.set_len(length).unwrap();
            assert_eq!(matches!(judge(&path, 5, ""), Finding::Well(_)), is_well, "{length}");
        }
    }
}
