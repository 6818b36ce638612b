//! The files of a package: in a folder, or in an archive that `tar` made of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use latchkey_protocol::COMPONENT_MAX_BYTES;

use super::{PackageError, reading};

/// All that there may be. Others in a folder are left alone; an archive is for this and has nothing else.
const NAMES: [&str; 4] = ["adapter.toml", "adapter.wasm", "adapter.sums", "adapter.sums.sig"];

/// Beside the component an archive has so much at most.
const AROUND_BYTES: u64 = 1 << 20;

/// What was read of them, once.
pub(super) struct Files {
    place: PathBuf,
    found: BTreeMap<&'static str, Vec<u8>>,
}

impl Files {
    /// Reads a folder or an archive.
    pub(super) fn read(place: &Path) -> Result<Self, PackageError> {
        let facts = std::fs::metadata(place).map_err(reading(place))?;
        let found = if facts.is_dir() { folder(place)? } else { archive(place)? };
        Ok(Self { place: place.to_owned(), found })
    }

    /// Where a file is, or would be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// What is in a file, if there is one.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.found.get(name).map(Vec::as_slice)
    }

    /// What is in a file, as text.
    pub(super) fn text(&self, name: &str) -> Result<&str, PackageError> {
        let bytes = self.bytes(name).ok_or_else(|| PackageError::Missing(self.path(name)))?;
        let text = std::str::from_utf8(bytes);
        text.map_err(|error| reading(&self.path(name))(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

fn folder(place: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>, PackageError> {
    let mut found = BTreeMap::new();
    for name in NAMES {
        let path = place.join(name);
        match File::open(&path) {
            Ok(file) => drop(found.insert(name, whole(file, &path)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(reading(&path)(error)),
        }
    }
    Ok(found)
}

fn archive(place: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>, PackageError> {
    let not_one = |_| PackageError::Archive(place.to_owned());
    // Whatever it says of itself, no more of it is read.
    let bounded = File::open(place).map_err(reading(place))?.take(COMPONENT_MAX_BYTES + AROUND_BYTES);
    let mut archive = tar::Archive::new(bounded);
    let mut found = BTreeMap::new();
    for entry in archive.entries().map_err(not_one)? {
        let entry = entry.map_err(not_one)?;
        let path = entry.path().map_err(not_one)?.into_owned();
        let name = NAMES.into_iter().find(|name| path.strip_prefix(".").unwrap_or(&path) == Path::new(name));
        match name {
            Some(name) if entry.header().entry_type().is_file() && !found.contains_key(name) => {
                found.insert(name, whole(entry, &place.join(name))?);
            }
            // The folder itself.
            None if entry.header().entry_type().is_dir() && path.components().count() <= 1 => {}
            _ => return Err(PackageError::Archive(place.to_owned())),
        }
    }
    Ok(found)
}

/// All of a file, which is no longer than a component may be.
fn whole(file: impl Read, path: &Path) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    let read = file.take(COMPONENT_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(reading(path))?;
    if read as u64 > COMPONENT_MAX_BYTES { Err(PackageError::TooLong(path.to_owned())) } else { Ok(bytes) }
}
