//! What is written about an adapter on this node: its manifest, which asks, and the operator's file, which grants.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use latchkey_access::AdapterName;
use latchkey_adapters::Limits;
use latchkey_adapters::limits::LimitError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `adapter.toml`, which comes with an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The name of its folder.
    pub(crate) name: AdapterName,
    /// Its own version.
    pub(crate) version: String,
    /// What it is for, in one line.
    pub(crate) title: String,
    /// What it wants to use.
    #[serde(default)]
    pub(crate) asks: Rights,
}

/// What may be used of the agent beyond `log` and `clock`: asked for by the manifest, granted by the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rights {
    /// To keep a few values.
    #[serde(default)]
    pub(crate) state: bool,
}

impl Rights {
    /// The line that asks for and grants `state`.
    pub(crate) const STATE: &str = "state = true";

    /// What both allow.
    fn and(&self, other: &Self) -> Self {
        Self { state: self.state && other.state }
    }

    /// What is asked for and not among the `granted`, as lines for the operator's file.
    pub(crate) fn beyond(&self, granted: &Self) -> Vec<&'static str> {
        (self.state && !granted.state).then_some(Self::STATE).into_iter().collect()
    }
}

/// The operator's file for an adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operator {
    #[serde(default)]
    grants: Rights,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    hostings: BTreeMap<String, OfHosting>,
}

/// What the operator says about one hosting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfHosting {
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

/// An adapter as it lies on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) manifest: Manifest,
    /// What it may use.
    pub(crate) rights: Rights,
    /// What each call may use up.
    pub(crate) limits: Limits,
    /// The operator's file, whether there is one or not.
    pub(crate) operator: PathBuf,
    settings: BTreeMap<String, OfHosting>,
}

/// Why an adapter's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstalledError {
    /// It is not there.
    #[error("there is no adapter in {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Somebody else than root could have written it.
    #[error("{} has to belong to root and to be writable by root alone", .0.display())]
    NotRoots(PathBuf),
    /// It is not what was expected.
    #[error("{} is not valid", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    /// The manifest is of another adapter.
    #[error("{}: name: expected {expected}, the name of its folder, got {found}", path.display())]
    Name { path: PathBuf, expected: AdapterName, found: AdapterName },
    /// A limit is out of its bounds.
    #[error("{}", path.display())]
    Limit { path: PathBuf, source: LimitError },
}

impl Installed {
    /// Reads both files. Blocks.
    pub(crate) fn read(name: &AdapterName, adapters: &Path, operators: &Path) -> Result<Self, InstalledError> {
        let folder = adapters.join(name.as_str());
        let path = folder.join("adapter.toml");
        let manifest: Manifest = parse(&path)?.ok_or(InstalledError::Missing(folder))?;
        if manifest.name != *name {
            return Err(InstalledError::Name { path, expected: name.clone(), found: manifest.name });
        }
        let path = operators.join(format!("{name}.toml"));
        let operator: Operator = parse(&path)?.unwrap_or_default();
        operator.limits.check().map_err(|source| InstalledError::Limit { path: path.clone(), source })?;
        let rights = manifest.asks.and(&operator.grants);
        Ok(Self { manifest, rights, limits: operator.limits, operator: path, settings: operator.hostings })
    }

    /// What the operator set for it on a hosting, by name.
    pub(crate) fn settings(&self, hosting: &str) -> Vec<(String, String)> {
        let settings = self.settings.get(hosting).map(|hosting| &hosting.settings);
        settings.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// The names of all that are installed, in order. Blocks.
pub(crate) fn names(adapters: &Path) -> Vec<AdapterName> {
    let entries = fs::read_dir(adapters).into_iter().flatten().flatten();
    // What an installation that was cut off left is no name.
    let mut names: Vec<AdapterName> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    names.sort();
    names
}

/// A file of root's; `None` if there is none.
fn parse<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, InstalledError> {
    let failed = |source: io::Error| InstalledError::Read { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !found.is_file() || found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(InstalledError::NotRoots(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let parsed = toml::from_str(&text);
    parsed.map(Some).map_err(|source| InstalledError::Parse { path: path.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const MANIFEST: &str = "name = \"linux\"\nversion = \"1.0.0\"\ntitle = \"A node\"\n[asks]\nstate = true\n";

    struct Node(tempfile::TempDir);

    impl Node {
        fn with(manifest: &str, operator: Option<&str>) -> Self {
            let node = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(node.adapters().join("linux")).unwrap();
            fs::create_dir(node.operators()).unwrap();
            fs::write(node.adapters().join("linux/adapter.toml"), manifest).unwrap();
            operator.into_iter().for_each(|text| fs::write(node.operators().join("linux.toml"), text).unwrap());
            node
        }

        fn adapters(&self) -> PathBuf {
            self.0.path().join("adapters")
        }

        fn operators(&self) -> PathBuf {
            self.0.path().join("adapters.d")
        }

        fn read(&self) -> Result<Installed, InstalledError> {
            Installed::read(&"linux".parse().unwrap(), &self.adapters(), &self.operators())
        }
    }

    #[test]
    fn what_both_allow_is_granted_and_nothing_else() {
        let asks = |operator| Node::with(MANIFEST, operator).read().unwrap().rights.state;
        assert!(!asks(None));
        assert!(!asks(Some("[grants]\nstate = false")));
        assert!(asks(Some("[grants]\nstate = true")));
        let asks_nothing = MANIFEST.replace("state = true", "state = false");
        assert!(!Node::with(&asks_nothing, Some("[grants]\nstate = true")).read().unwrap().rights.state);
        let beyond = |operator| {
            let installed = Node::with(MANIFEST, operator).read().unwrap();
            installed.manifest.asks.beyond(&installed.rights)
        };
        assert_eq!((beyond(None), beyond(Some("[grants]\nstate = true"))), (vec!["state = true"], vec![]));
    }

    #[test]
    fn limits_and_settings_are_the_operators() {
        let node = Node::with(MANIFEST, Some("[limits]\ncpu_ms = 50\n[hostings.h1.settings]\naccount = \"alice\""));
        let installed = node.read().unwrap();
        assert_eq!(installed.limits, Limits { cpu_ms: 50, ..Limits::default() });
        assert_eq!(installed.settings("h1"), [("account".to_owned(), "alice".to_owned())]);
        assert_eq!(installed.settings("h2"), []);
    }

    #[test]
    fn what_is_not_as_expected_is_refused_by_its_name() {
        let said =
            |manifest: &str, operator| crate::problem::chain(&Node::with(manifest, operator).read().unwrap_err());
        assert!(said(MANIFEST, Some("[limits]\ncpu_ms = 1")).contains("limits.cpu_ms: expected 10 to 60000"));
        assert!(said(MANIFEST, Some("[grants]\nshell = true")).contains("unknown field `shell`"));
        assert!(
            said(&MANIFEST.replace("linux", "other"), None)
                .contains("expected linux, the name of its folder, got other")
        );
        assert!(said("name = 1", None).contains("adapter.toml is not valid"));
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let node = Node::with(MANIFEST, Some(""));
        for (path, mode) in
            [(node.operators().join("linux.toml"), 0o664), (node.adapters().join("linux/adapter.toml"), 0o646)]
        {
            node.read().unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(node.read(), Err(InstalledError::NotRoots(named)) if named == path));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}
