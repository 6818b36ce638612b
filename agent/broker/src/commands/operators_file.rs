//! The operator's file about an adapter, as far as it is the broker's: `[grants.commands.NAME]`. The rest is serve's.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    line::Line,
    roots_own::{self, NotRoots},
};

/// The longest file that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;

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
    #[error("{} is not valid: {source}", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    /// What is written down about the command is not what was expected.
    #[error("{}: grants.commands.{name}: {}", path.display(), source.message())]
    Command { path: PathBuf, name: String, source: Box<toml::de::Error> },
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
}

/// What the operator wrote down under this name; `None` if there is nothing, or no file.
pub(super) fn command(path: &Path, name: &str) -> Result<Option<Line>, FileError> {
    let file = match roots_own::open(path) {
        Ok(file) => File::from(file),
        Err(NotRoots::Missing(missing)) if missing == path => return Ok(None),
        Err(error) => return Err(FileError::NotRoots(error)),
    };
    let mut text = String::new();
    let read = file.take(FILE_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    in_text(path, &text, name)
}

/// The same of the text of the file at `path`, which is named in errors only.
pub(crate) fn in_text(path: &Path, text: &str, name: &str) -> Result<Option<Line>, FileError> {
    let parsed = toml::from_str::<Document>(text);
    let document = parsed.map_err(|source| FileError::Parse { path: path.to_owned(), source: Box::new(source) })?;
    let Some(section) = document.grants.commands.get(name) else { return Ok(None) };
    let failed = |source| FileError::Command { path: path.to_owned(), name: name.to_owned(), source: Box::new(source) };
    section.clone().try_into().map(Some).map_err(failed)
}
