//! What is written about an adapter on this node: its manifest, which asks, and the operator's file, which grants.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use latchkey_adapters::Limits;
use latchkey_adapters::limits::LimitError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `adapter.toml`, which comes with an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The name of its folder.
    pub(crate) name: String,
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
    /// What both allow.
    fn and(&self, other: &Self) -> Self {
        Self { state: self.state && other.state }
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
    #[error("{}: name: expected {expected:?}, the name of its folder, got {found:?}", path.display())]
    Name { path: PathBuf, expected: String, found: String },
    /// A limit is out of its bounds.
    #[error("{}", path.display())]
    Limit { path: PathBuf, source: LimitError },
}

impl Installed {
    /// Reads both files. Blocks.
    pub(crate) fn read(name: &str, adapters: &Path, operators: &Path) -> Result<Self, InstalledError> {
        let folder = adapters.join(name);
        let path = folder.join("adapter.toml");
        let manifest: Manifest = parse(&path)?.ok_or(InstalledError::Missing(folder))?;
        if manifest.name != name {
            return Err(InstalledError::Name { path, expected: name.to_owned(), found: manifest.name });
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

/// The names of all folders, in order. Blocks.
pub(crate) fn names(adapters: &Path) -> Vec<String> {
    let entries = fs::read_dir(adapters).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // Of an installation that was cut off.
    names.retain(|name| !name.starts_with('.'));
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
