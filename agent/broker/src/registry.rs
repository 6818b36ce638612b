//! The broker's own list of hostings, in one root-only file that is replaced as a whole.
//!
//! What may be in it is decided in [`crate::admission`].

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use latchkey_protocol::RegisteredHosting;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

const FILE: &str = "registry.json";
const TEMPORARY: &str = "registry.json.new";
const VERSION: u32 = 1;

/// One registered hosting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosting {
    /// Its id.
    pub hosting: String,
    /// Name of its Unix account.
    pub system_user: String,
    /// User id of that account.
    pub uid: u32,
    /// Primary group id of that account.
    pub gid: u32,
    /// Absolute path of its home.
    pub home: PathBuf,
    /// Its PHP program.
    pub php_binary: PathBuf,
    /// Its `php.ini`, when it is not the program's own.
    pub php_ini: Option<PathBuf>,
}

/// The registered hostings, in memory as on disk.
#[derive(Debug)]
pub struct Registry {
    state_dir: PathBuf,
    hostings: BTreeMap<String, Hosting>,
}

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file is there and cannot be read.
    #[error("cannot read the registry {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is not a registry. Nothing is guessed: the broker does not start.
    #[error(
        "the registry {path:?} is damaged; restore it from a backup, or move it away and register the hostings again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The file was written by a newer version.
    #[error("the registry {path:?} has version {version}, this broker reads version {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        version: u32,
    },
    /// It could not be replaced; the old one stands.
    #[error("cannot {action} the registry")]
    Write {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    hostings: Vec<Hosting>,
}

impl Registry {
    /// Reads the registry; a file that does not exist is an empty one.
    pub fn load(state_dir: &Path) -> Result<Registry, RegistryError> {
        let path = state_dir.join(FILE);
        let mut registry = Registry { state_dir: state_dir.to_owned(), hostings: BTreeMap::new() };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(registry),
            Err(source) => return Err(RegistryError::Read { path, source }),
        };
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|source| RegistryError::Damaged { path: path.clone(), source })?;
        if document.version != VERSION {
            return Err(RegistryError::Version { path, version: document.version });
        }
        registry.hostings = document.hostings.into_iter().map(|item| (item.hosting.clone(), item)).collect();
        Ok(registry)
    }

    /// All hostings, ordered by id.
    pub fn hostings(&self) -> impl Iterator<Item = &Hosting> {
        self.hostings.values()
    }

    /// The hosting with that id.
    pub fn find(&self, hosting: &str) -> Option<&Hosting> {
        self.hostings.get(hosting)
    }

    /// Adds a hosting or replaces the one with its id; on disk when it returns. Nothing changed when it fails.
    pub fn insert(&mut self, hosting: Hosting) -> Result<(), RegistryError> {
        let mut hostings = self.hostings.clone();
        hostings.insert(hosting.hosting.clone(), hosting);
        self.replace(hostings)
    }

    /// Forgets a hosting; `false` when there was none. Nothing changed when it fails.
    pub fn remove(&mut self, hosting: &str) -> Result<bool, RegistryError> {
        let mut hostings = self.hostings.clone();
        if hostings.remove(hosting).is_none() {
            return Ok(false);
        }
        self.replace(hostings)?;
        Ok(true)
    }

    fn replace(&mut self, hostings: BTreeMap<String, Hosting>) -> Result<(), RegistryError> {
        let document = Document { version: VERSION, hostings: hostings.values().cloned().collect() };
        let bytes = serde_json::to_vec_pretty(&document)
            .map_err(|source| RegistryError::Write { action: "encode", source: source.into() })?;
        self.replace_file(&bytes)?;
        self.hostings = hostings;
        Ok(())
    }

    /// Writes a new file beside the old one, makes it durable, and only then lets it take the name.
    fn replace_file(&self, bytes: &[u8]) -> Result<(), RegistryError> {
        let directory = rustix::fs::open(&self.state_dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(writing("open the directory of"))?;
        // Left over from a broker that was killed while it wrote.
        let _ = rustix::fs::unlinkat(&directory, TEMPORARY, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, TEMPORARY, flags, Mode::from_raw_mode(0o600))
            .map_err(writing("make a new file for"))?;
        let mut file = fs::File::from(file);
        io::Write::write_all(&mut file, bytes).map_err(|source| RegistryError::Write { action: "write", source })?;
        file.sync_all().map_err(|source| RegistryError::Write { action: "sync", source })?;
        rustix::fs::renameat(&directory, TEMPORARY, &directory, FILE).map_err(writing("replace"))?;
        rustix::fs::fsync(&directory).map_err(writing("sync the directory of"))
    }
}

impl From<&Hosting> for RegisteredHosting {
    fn from(hosting: &Hosting) -> RegisteredHosting {
        RegisteredHosting {
            hosting: hosting.hosting.clone(),
            system_user: hosting.system_user.clone(),
            uid: hosting.uid,
            gid: hosting.gid,
            // Only text comes in, so nothing is lost here.
            home: hosting.home.to_string_lossy().into_owned(),
        }
    }
}

fn writing(action: &'static str) -> impl Fn(rustix::io::Errno) -> RegistryError {
    move |source| RegistryError::Write { action, source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn hosting(id: &str) -> Hosting {
        Hosting {
            hosting: id.into(),
            system_user: "alice".into(),
            uid: 1001,
            gid: 1001,
            home: "/home/alice".into(),
            php_binary: "/usr/bin/php8.2".into(),
            php_ini: None,
        }
    }

    #[test]
    fn what_was_registered_is_there_after_a_restart_and_for_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::load(dir.path()).unwrap();
        registry.insert(hosting("b")).unwrap();
        registry.insert(hosting("a")).unwrap();
        assert!(registry.remove("b").unwrap());
        assert!(!registry.remove("b").unwrap());
        let again = Registry::load(dir.path()).unwrap();
        assert_eq!(again.hostings().cloned().collect::<Vec<_>>(), [hosting("a")]);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!dir.path().join(TEMPORARY).exists());
    }

    #[test]
    fn a_damaged_registry_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"version":1,"hostings":[{"hosting":"a"}]}"#, r#"{"version":1,"hostings":[],"x":1}"#] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(matches!(Registry::load(dir.path()), Err(RegistryError::Damaged { .. })), "{text}");
        }
        fs::write(dir.path().join(FILE), r#"{"version":2,"hostings":[]}"#).unwrap();
        assert!(matches!(Registry::load(dir.path()), Err(RegistryError::Version { version: 2, .. })));
    }

    #[test]
    fn a_registry_that_cannot_be_written_keeps_its_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::load(dir.path()).unwrap();
        registry.insert(hosting("a")).unwrap();
        // A directory of that name cannot be unlinked or opened for writing, not even by root.
        fs::create_dir(dir.path().join(TEMPORARY)).unwrap();
        assert!(registry.insert(hosting("b")).is_err());
        assert!(registry.find("b").is_none());
        assert!(Registry::load(dir.path()).unwrap().find("a").is_some());
    }
}
