//! What is written about an adapter on this node: its manifest, which asks, and the operator's file, which grants.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use latchkey_access::AdapterName;
use latchkey_adapters::Limits;
use latchkey_adapters::limits::LimitError;
use latchkey_protocol::TextFault;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rights::{Asks, Grants};
use super::secret::{Secret, Secrets};

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
    pub(crate) asks: Asks,
}

/// The operator's file for an adapter: what is granted, and what it has to know. It holds from the next call on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Terms {
    /// What of that which is asked for may be used.
    pub(crate) grants: Grants,
    /// What each call may use up.
    pub(crate) limits: Limits,
    hostings: BTreeMap<String, OfHosting>,
}

/// What the operator says about one hosting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OfHosting {
    settings: BTreeMap<String, String>,
    secrets: Secrets,
}

/// An adapter as it lies on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) manifest: Manifest,
    /// The operator's file, whether there is one or not.
    pub(crate) operator: PathBuf,
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
    /// It holds secrets, and not only root and the agent can read it.
    #[error("{} holds secrets: expected that only root and the group of the agent can read it (mode 640)", .0.display())]
    Readable(PathBuf),
    /// It is not what was expected.
    #[error("{} is not valid, {fault}", path.display())]
    Parse { path: PathBuf, fault: TextFault },
    /// The manifest is of another adapter.
    #[error("{}: name: expected {expected}, the name of its folder, got {found}", path.display())]
    Name { path: PathBuf, expected: AdapterName, found: AdapterName },
    /// A limit is out of its bounds.
    #[error("{}", path.display())]
    Limit { path: PathBuf, source: LimitError },
}

impl Installed {
    /// Reads the manifest. Blocks.
    pub(crate) fn read(name: &AdapterName, adapters: &Path, operators: &Path) -> Result<Self, InstalledError> {
        let folder = adapters.join(name.as_str());
        let path = folder.join("adapter.toml");
        let (manifest, _) = parse::<Manifest>(&path)?.ok_or(InstalledError::Missing(folder))?;
        if manifest.name != *name {
            return Err(InstalledError::Name { path, expected: name.clone(), found: manifest.name });
        }
        Ok(Self { manifest, operator: operators.join(format!("{name}.toml")) })
    }

    /// Reads the operator's file; without one nothing is granted. Blocks.
    pub(crate) fn terms(&self) -> Result<Terms, InstalledError> {
        let path = || self.operator.clone();
        let Some((terms, mode)) = parse::<Terms>(&self.operator)? else { return Ok(Terms::default()) };
        terms.limits.check().map_err(|source| InstalledError::Limit { path: path(), source })?;
        let has_secrets = terms.hostings.values().any(|hosting| !hosting.secrets.is_empty());
        if has_secrets && mode & 0o007 != 0 { Err(InstalledError::Readable(path())) } else { Ok(terms) }
    }
}

impl Terms {
    /// What the operator set for the adapter on a hosting, by name.
    pub(crate) fn settings(&self, hosting: &str) -> Vec<(String, String)> {
        let settings = self.hostings.get(hosting).map(|hosting| &hosting.settings);
        settings.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A secret that the operator keeps for the adapter on a hosting.
    pub(crate) fn secret(&self, hosting: &str, name: &str) -> Option<&Secret> {
        self.hostings.get(hosting)?.secrets.get(name)
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

/// A file of root's, and its mode; `None` if there is none.
fn parse<T: DeserializeOwned>(path: &Path) -> Result<Option<(T, u32)>, InstalledError> {
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
    let invalid = |error: toml::de::Error| InstalledError::Parse {
        path: path.to_owned(),
        fault: TextFault::new(&text, error.span(), error.message()),
    };
    Ok(Some((toml::from_str(&text).map_err(invalid)?, found.mode())))
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

        fn read(&self) -> Result<(Installed, Terms), InstalledError> {
            let installed = Installed::read(&"linux".parse().unwrap(), &self.adapters(), &self.operators())?;
            let terms = installed.terms()?;
            Ok((installed, terms))
        }
    }

    #[test]
    fn without_the_operators_file_nothing_is_granted() {
        let (installed, terms) = Node::with(MANIFEST, None).read().unwrap();
        assert_eq!(terms, Terms::default());
        assert_eq!(installed.manifest.asks.beyond(&terms.grants), ["state = true"]);
        let (installed, terms) = Node::with(MANIFEST, Some("[grants]\nstate = true")).read().unwrap();
        assert_eq!(installed.manifest.asks.beyond(&terms.grants), Vec::<String>::new());
    }

    #[test]
    fn limits_and_settings_are_the_operators() {
        let node = Node::with(MANIFEST, Some("[limits]\ncpu_ms = 50\n[hostings.h1.settings]\naccount = \"alice\""));
        let (_, terms) = node.read().unwrap();
        assert_eq!(terms.limits, Limits { cpu_ms: 50, ..Limits::default() });
        assert_eq!(terms.settings("h1"), [("account".to_owned(), "alice".to_owned())]);
        assert_eq!(terms.settings("h2"), []);
    }

    #[test]
    fn secrets_are_apart_for_each_hosting_and_not_everybodys() {
        let node = Node::with(MANIFEST, Some("[hostings.h1.secrets]\ntoken = \"t0ken\""));
        let path = node.operators().join("linux.toml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let (_, terms) = node.read().unwrap();
        assert_eq!(terms.secret("h1", "token").map(Secret::reveal), Some("t0ken"));
        assert_eq!((terms.secret("h2", "token"), terms.secret("h1", "other")), (None, None));
        assert!(!format!("{terms:?}").contains("t0ken"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(node.read(), Err(InstalledError::Readable(named)) if named == path));
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
        assert!(said("name = 1", None).contains("adapter.toml is not valid, line 1: invalid type: integer"));
        for secret in
            ["secrets = \"t0ken\"", "secrets.token = [\"t0ken\"]", "secrets.token = \"t0ken", "settings = \"t0ken\""]
        {
            let operator = format!("\n[hostings.h1]\n{secret}\n");
            let said = Node::with(MANIFEST, Some(&operator)).read().unwrap_err().to_string();
            assert!(said.contains("linux.toml is not valid, line 3: ") && !said.contains("t0ken"), "{said}");
        }
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
