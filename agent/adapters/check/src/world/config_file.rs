//! The host interface `config-file`: directories in memory, each granted, with a check that takes everything.

use std::collections::BTreeMap;

use latchkey_adapters::host::config_file::{File, FileError};
use latchkey_protocol::{CONFIG_FILE_MAX_BYTES, CONFIG_FILE_NAME_MAX_BYTES};
use serde_json::{Value, json};

use super::{Misunderstood, Model, decoded, encoded, unknown};

/// The directories: what is in each file, by the names of both.
#[derive(Debug, Default)]
pub(super) struct ConfigFiles(BTreeMap<(String, String), Vec<u8>>);

impl Model for ConfigFiles {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "list-files" => {
                let (directory,): (String,) = decoded(arguments)?;
                let names = self.0.keys().filter(|(of, _)| *of == directory).map(|(_, name)| name);
                encoded(&grant(&directory).map(|()| names.collect::<Vec<_>>()))
            }
            "read" => {
                let (directory, name): (String, String) = decoded(arguments)?;
                encoded(&check(&directory, &name).and_then(|()| self.read((directory, name))))
            }
            "write" => {
                let (directory, name, version, content): (String, String, Option<String>, Vec<u8>) =
                    decoded(arguments)?;
                encoded(&check(&directory, &name).and_then(|()| self.write((directory, name), version, content)))
            }
            "remove" => {
                let (directory, name, version): (String, String, String) = decoded(arguments)?;
                encoded(&check(&directory, &name).and_then(|()| self.remove(&(directory, name), &version)))
            }
            _ => Err(unknown(function)),
        }
    }

    fn kept(&self) -> Value {
        let file = |((directory, name), content): (&(String, String), &Vec<u8>)| json!([directory, name, content]);
        self.0.iter().map(file).collect()
    }
}

impl ConfigFiles {
    fn read(&self, file: (String, String)) -> Result<File, FileError> {
        let content = self.0.get(&file).ok_or(FileError::NotFound)?;
        Ok(File { content: content.clone(), version: version(content) })
    }

    fn write(&mut self, file: (String, String), expected: Option<String>, content: Vec<u8>) -> Result<(), FileError> {
        if content.len() > CONFIG_FILE_MAX_BYTES {
            return Err(FileError::Invalid(format!("content: expected at most {CONFIG_FILE_MAX_BYTES} bytes")));
        }
        if self.0.get(&file).map(|content| version(content)) != expected {
            return Err(FileError::Changed);
        }
        self.0.insert(file, content);
        Ok(())
    }

    fn remove(&mut self, file: &(String, String), expected: &str) -> Result<(), FileError> {
        let content = self.0.get(file).ok_or(FileError::NotFound)?;
        if version(content) != expected {
            return Err(FileError::Changed);
        }
        self.0.remove(file);
        Ok(())
    }
}

/// What it is, in as many digits as the agent's.
fn version(content: &[u8]) -> String {
    let sum = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:064x}")
}

fn grant(directory: &str) -> Result<(), FileError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=31).contains(&directory.len()) && !directory.starts_with('-') && directory.bytes().all(is_plain);
    let expected = "directory: expected a lower-case letter or digit, then up to 30 of a-z, 0-9 and -";
    if fits { Ok(()) } else { Err(FileError::Invalid(expected.to_owned())) }
}

/// Whether they are names; which are about the hosting only the operator's pattern says.
fn check(directory: &str, name: &str) -> Result<(), FileError> {
    grant(directory)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits =
        (1..=CONFIG_FILE_NAME_MAX_BYTES).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain);
    let expected =
        || format!("name: expected 1 to {CONFIG_FILE_NAME_MAX_BYTES} letters, digits, '.', '_' and '-', first not '.'");
    if fits { Ok(()) } else { Err(FileError::Invalid(expected())) }
}
