//! `config-file`, played: files in memory, and a check that says what the test says.

use std::collections::BTreeMap;

use super::{Host, play};
use crate::config_file::{File, FileError};

/// The directories.
#[derive(Default)]
pub(super) struct ConfigFiles {
    /// What is in each file and which version that is, by the names of directory and file.
    files: BTreeMap<(String, String), File>,
    written: u64,
    answers: Option<FileError>,
}

/// Configuration files.
impl Host {
    /// Has every function of `config-file` answer this from now on, until it is given `None`.
    pub fn config_files_answer(&self, error: impl Into<Option<FileError>>) {
        play(|played| played.config_files.answers = error.into());
    }

    /// What is in a configuration file, if there is one.
    #[must_use]
    pub fn config_file(&self, directory: &str, name: &str) -> Option<Vec<u8>> {
        play(|played| played.config_files.files.get(&of(directory, name)).map(|file| file.content.clone()))
    }
}

fn work<T>(work: impl FnOnce(&mut ConfigFiles) -> Result<T, FileError>) -> Result<T, FileError> {
    play(|played| match played.config_files.answers.clone() {
        Some(error) => Err(error),
        None => work(&mut played.config_files),
    })
}

pub(crate) fn list_files(directory: &str) -> Result<Vec<String>, FileError> {
    work(|files| {
        let names = files.files.keys().filter(|(of, _)| of == directory);
        Ok(names.map(|(_, name)| name.clone()).collect())
    })
}

pub(crate) fn read(directory: &str, name: &str) -> Result<File, FileError> {
    work(|files| files.files.get(&of(directory, name)).cloned().ok_or(FileError::NotFound))
}

pub(crate) fn write(directory: &str, name: &str, version: Option<&str>, content: &[u8]) -> Result<(), FileError> {
    work(|files| {
        if files.files.get(&of(directory, name)).map(|file| file.version.as_str()) != version {
            return Err(FileError::Changed);
        }
        files.written += 1;
        let file = File { content: content.to_owned(), version: files.written.to_string() };
        files.files.insert(of(directory, name), file);
        Ok(())
    })
}

pub(crate) fn remove(directory: &str, name: &str, version: &str) -> Result<(), FileError> {
    work(|files| match files.files.get(&of(directory, name)) {
        None => Err(FileError::NotFound),
        Some(file) if file.version != version => Err(FileError::Changed),
        Some(_) => {
            files.files.remove(&of(directory, name));
            Ok(())
        }
    })
}

fn of(directory: &str, name: &str) -> (String, String) {
    (directory.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::config_file::{self, FileError};
    use crate::fake::Host;

    #[test]
    fn a_file_is_changed_only_by_who_has_read_what_it_is() {
        let host = Host::new();
        config_file::create("vhosts", "h1_a.conf", "one").unwrap();
        assert_eq!(config_file::create("vhosts", "h1_a.conf", "two"), Err(FileError::Changed));
        let one = config_file::read("vhosts", "h1_a.conf").unwrap();
        config_file::replace("vhosts", "h1_a.conf", &one, "two").unwrap();
        assert_eq!(config_file::replace("vhosts", "h1_a.conf", &one, "three"), Err(FileError::Changed));
        assert_eq!(config_file::remove("vhosts", "h1_a.conf", &one), Err(FileError::Changed));
        assert_eq!(host.config_file("vhosts", "h1_a.conf").as_deref(), Some(&b"two"[..]));
        host.config_files_answer(FileError::Rejected("unknown directive".into()));
        let two = config_file::read("vhosts", "h1_a.conf").map_err(Error::from);
        assert_eq!(two, Err(Error::refused("unknown directive")));
        host.config_files_answer(None);
        let two = config_file::read("vhosts", "h1_a.conf").unwrap();
        config_file::remove("vhosts", "h1_a.conf", &two).unwrap();
        assert_eq!(config_file::names("vhosts").unwrap(), Vec::<String>::new());
        assert_eq!(config_file::remove("vhosts", "h1_a.conf", &two), Err(FileError::NotFound));
    }
}
