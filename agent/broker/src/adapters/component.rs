//! An installed component: opened if nobody but root can have written it.

use std::{
    fs::{self, File},
    path::Path,
};

use latchkey_protocol::COMPONENT_MAX_BYTES;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{AdapterError, system};
use crate::admission;

/// Opens those of all adapters; one that cannot be opened is left out.
pub(super) fn open_all(directory: &Path) -> Vec<File> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| open(directory, entry.file_name().to_str()?).ok()).collect()
}

/// Opens `adapter.wasm` of an adapter for reading.
pub(crate) fn open(directory: &Path, name: &str) -> Result<File, AdapterError> {
    if !admission::is_id(name) {
        return Err(AdapterError::Missing);
    }
    let path = directory.join(name).join("adapter.wasm");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(CWD, &path, flags, Mode::empty(), resolve) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Err(AdapterError::Missing),
        Err(error) => return Err(system("open", &path)(error.into())),
    };
    let facts = rustix::fs::fstat(&opened).map_err(|error| system("look at", &path)(error.into()))?;
    let is_short = u64::try_from(facts.st_size).is_ok_and(|size| size <= COMPONENT_MAX_BYTES);
    let is_roots = facts.st_uid == 0 && facts.st_mode & 0o022 == 0;
    if FileType::from_raw_mode(facts.st_mode).is_file() && is_roots && is_short {
        Ok(opened.into())
    } else {
        Err(AdapterError::Component)
    }
}
