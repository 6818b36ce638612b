//! Putting an adapter into its place, so that it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use latchkey_access::AdapterName;
use serde_json::{Value, json};

use super::package::{Package, PackageError};
use crate::cli::Answer;
use crate::cli::client::{Call, CallError, Client};
use crate::cli::connection::Connection;
use crate::cli::view::{at, cell};

/// Who signed the files beside it, as it was verified when they were put there.
const SIGNED_BY: &str = "signed-by";

/// `latchkey adapter install`.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The adapter's files: in a folder, or in an archive that tar made.
    #[arg(value_name = "FILE|DIR")]
    package: PathBuf,
    /// Take one that nobody has signed; the log says so.
    #[arg(long)]
    unsigned: bool,
}

/// Where adapters and the keys of those who may sign them are.
pub(super) struct Folders {
    adapters: PathBuf,
    keys: PathBuf,
}

impl Folders {
    /// Those of the agent that is asked.
    pub(super) fn of(connection: &Connection) -> Result<Self, CallError> {
        let settings = connection.adapters()?;
        Ok(Self { adapters: settings.directory, keys: settings.keys })
    }

    /// Removes an adapter's files.
    pub(super) fn remove(&self, adapter: &AdapterName) -> Result<(), CallError> {
        let place = self.adapters.join(adapter.as_str());
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", &place)(error)),
            _ => Ok(()),
        }
    }

    /// Where an adapter is while it is being put there, and where the one before is meanwhile.
    fn beside(&self, adapter: &str) -> (PathBuf, PathBuf) {
        (self.adapters.join(format!(".{adapter}.new")), self.adapters.join(format!(".{adapter}.before")))
    }
}

impl Install {
    pub(super) fn run(&self, client: &Client, folders: &Folders) -> Result<Answer, CallError> {
        let package = Package::read(&self.package).map_err(CallError::package)?;
        let signer = match package.signer(&folders.keys) {
            Err(PackageError::Unsigned(_)) if self.unsigned => None,
            signer => Some(signer.map_err(CallError::package)?),
        };
        let name = package.manifest.name.as_str();
        let (new, before) = folders.beside(name);
        let place = folders.adapters.join(name);
        // What an installation that was cut off left.
        clear(&new)?;
        if !place.exists() && before.exists() {
            fs::rename(&before, &place).map_err(fault("put back", &place))?;
        }
        clear(&before)?;
        write(&new, &package, signer.as_deref())?;
        let had_one = place.exists();
        if had_one {
            fs::rename(&place, &before).map_err(fault("move aside", &place))?;
        }
        fs::rename(&new, &place).map_err(fault("put into place", &place))?;
        let load = |signer| client.send(&Call::put(&["adapters", name], json!({ "signed_by": signer })));
        match load(signer) {
            Ok(reply) => {
                clear(&before)?;
                Ok(Answer::new(reply, told))
            }
            Err(error) => {
                clear(&place)?;
                if had_one {
                    fs::rename(&before, &place).map_err(fault("put back", &place))?;
                    // It was well before; if that cannot be said now, the first error says more.
                    drop(load(fs::read_to_string(place.join(SIGNED_BY)).ok()));
                }
                Err(error)
            }
        }
    }
}

fn write(folder: &Path, package: &Package, signer: Option<&str>) -> Result<(), CallError> {
    fs::create_dir_all(folder).map_err(fault("make", folder))?;
    let files = [("adapter.toml", package.manifest_text.as_bytes()), ("adapter.wasm", &package.component)];
    let signed = signer.map(|signer| (SIGNED_BY, signer.as_bytes()));
    for (name, content) in files.into_iter().chain(signed) {
        let path = folder.join(name);
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        written.map_err(fault("write", &path))?;
    }
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(fault("make durable", folder))
}

fn clear(folder: &Path) -> Result<(), CallError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("clear", folder)(error)),
        _ => Ok(()),
    }
}

fn fault(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CallError {
    let path = path.to_owned();
    move |source| CallError::Adapter { attempt, path, source }
}

fn told(reply: &Value) -> String {
    let mut text = format!(
        "{} {} is loaded: it serves {}.",
        cell(at(reply, "name")),
        cell(at(reply, "version")),
        cell(at(reply, "exports"))
    );
    let missing = at(reply, "missing").as_array().map_or(&[][..], Vec::as_slice);
    if !missing.is_empty() {
        let file = cell(at(reply, "operators_file"));
        text += &format!("\nIt asks for what is not granted; to grant it, write under [grants] in {file}:");
        missing.iter().for_each(|line| text += &format!("\n  {}", cell(line)));
    }
    text
}
