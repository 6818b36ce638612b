//! Configuration files of the node in directories that the operator wrote down for this adapter, by their names. The manifest
//! asks with `config-file = ["vhosts"]`; the operator's file says which directory that is, which names are about which
//! hosting, and which program says whether the files are right.
//!
//! ```
//! use latchkey_adapter_sdk::{config_file, fake};
//!
//! let _host = fake::Host::new();
//! config_file::create("vhosts", "h1_shop.conf", "server {}").unwrap();
//! let file = config_file::read("vhosts", "h1_shop.conf").unwrap();
//! config_file::replace("vhosts", "h1_shop.conf", &file, "server { listen 80; }").unwrap();
//! ```

pub use crate::bindings::latchkey::adapter::config_file::{File, FileError};

use crate::Error;
#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::config_file as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::config_file as host;

/// Names of the files that are about this hosting, in order.
pub fn names(directory: &str) -> Result<Vec<String>, FileError> {
    host::list_files(directory)
}

/// Reads a file.
pub fn read(directory: &str, name: &str) -> Result<File, FileError> {
    host::read(directory, name)
}

/// Makes a file that is not there yet. Repeating answers *changed*.
pub fn create(directory: &str, name: &str, content: impl AsRef<[u8]>) -> Result<(), FileError> {
    host::write(directory, name, None, content.as_ref())
}

/// Replaces a file if it still is what was read. Repeating answers *changed*.
pub fn replace(directory: &str, name: &str, was: &File, content: impl AsRef<[u8]>) -> Result<(), FileError> {
    host::write(directory, name, Some(&was.version), content.as_ref())
}

/// Removes a file if it still is what was read. Repeating answers *not-found*.
pub fn remove(directory: &str, name: &str, was: &File) -> Result<(), FileError> {
    host::remove(directory, name, &was.version)
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Denied(denial) => denial.into(),
            // The name and the content are the adapter's own doing, not the caller's.
            FileError::Invalid(expected) => Self::failed(format!("the adapter's configuration file: {expected}")),
            FileError::NotFound => Self::not_found("there is no such configuration file"),
            FileError::Changed => Self::changed("somebody else has changed the configuration file"),
            FileError::Rejected(reason) | FileError::Refused(reason) => Self::refused(reason),
            FileError::Unavailable(reason) => Self::unavailable(reason),
            FileError::Uncertain(reason) => Self::uncertain(reason),
        }
    }
}
