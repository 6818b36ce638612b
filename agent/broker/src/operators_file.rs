//! The operator's file about an adapter, as far as it is the broker's: a section of `[grants.commands]` or
//! `[grants.config-files]`. The rest is serve's.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use latchkey_protocol::TextFault;
use serde::{Deserialize, de::DeserializeOwned};

use crate::roots_own::{self, NotRoots};

/// The longest file that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Where sections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// `[grants.commands.NAME]`
    Command,
    /// `[grants.config-files.NAME]`
    ConfigFiles,
}

/// Why the operator's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It is not root's alone.
    #[error(transparent)]
    NotRoots(NotRoots),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not TOML.
    #[error("{} is not valid, {fault}", path.display())]
    Parse { path: PathBuf, fault: TextFault },
    /// What is written down is not what was expected.
    #[error("{}: grants.{}.{name}: {}", path.display(), grant.key(), source.message())]
    Section { path: PathBuf, grant: Grant, name: String, source: Box<toml::de::Error> },
}

/// How long a program may take where the operator did not say.
pub(crate) fn default_timeout_ms() -> u32 {
    10_000
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    grants: Grants,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Grants {
    // Each by itself, so that a mistake in one is no other's.
    commands: BTreeMap<String, toml::Value>,
    #[serde(rename = "config-files")]
    config_files: BTreeMap<String, toml::Value>,
}

impl Grant {
    fn key(self) -> &'static str {
        match self {
            Self::Command => "commands",
            Self::ConfigFiles => "config-files",
        }
    }
}

/// What the operator wrote down under this name; `None` if there is nothing, or no file.
pub(crate) fn section<T: DeserializeOwned>(path: &Path, grant: Grant, name: &str) -> Result<Option<T>, FileError> {
    match text(path)? {
        Some(text) => in_text(path, &text, grant, name),
        None => Ok(None),
    }
}

/// The same of the text of the file at `path`, which is named in errors only.
pub(crate) fn in_text<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    grant: Grant,
    name: &str,
) -> Result<Option<T>, FileError> {
    sections(path, text, grant)?.remove(name).map(|section| parsed(path, grant, name, section)).transpose()
}

/// All that the operator wrote down of a kind, about all adapters; what is no such section is left out.
pub(crate) fn all<T: DeserializeOwned>(folder: &Path, grant: Grant) -> Vec<T> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all = Vec::new();
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let Ok(Some(text)) = text(&path) else { continue };
        let found = sections(&path, &text, grant).unwrap_or_default().into_iter();
        all.extend(found.filter_map(|(name, section)| parsed(&path, grant, &name, section).ok()));
    }
    all
}

fn text(path: &Path) -> Result<Option<String>, FileError> {
    let file = match roots_own::open(path) {
        Ok(file) => File::from(file),
        Err(NotRoots::Missing(missing)) if missing == path => return Ok(None),
        Err(error) => return Err(FileError::NotRoots(error)),
    };
    let mut text = String::new();
    let read = file.take(FILE_MAX_BYTES).read_to_string(&mut text);
    read.map(|_| Some(text)).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

fn sections(path: &Path, text: &str, grant: Grant) -> Result<BTreeMap<String, toml::Value>, FileError> {
    let parsed = toml::from_str::<Document>(text);
    let fault = |error: toml::de::Error| TextFault::new(text, error.span(), error.message());
    let document = parsed.map_err(|error| FileError::Parse { path: path.to_owned(), fault: fault(error) })?;
    Ok(match grant {
        Grant::Command => document.grants.commands,
        Grant::ConfigFiles => document.grants.config_files,
    })
}

fn parsed<T: DeserializeOwned>(path: &Path, grant: Grant, name: &str, section: toml::Value) -> Result<T, FileError> {
    section.try_into().map_err(|source| FileError::Section {
        path: path.to_owned(),
        grant,
        name: name.to_owned(),
        source: Box::new(source),
    })
}
