//! The list of client certificates that are not let in any more, whatever their date says: a text file, one a line.
//!
//! `sha256:HEX` names one certificate, `serial:HEX` whichever the root gave that number.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::token::hex;

/// What a new list says about itself.
const EXPLANATION: &str = "# Certificates that are not let in any more, one a line: sha256:HEX or serial:HEX.\n\
                           # `latchkey pki revoke` adds lines; the agent reads the file when it changes.\n";

/// Certificates that are not let in any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Revoked(HashSet<Entry>);

/// What a line of the list names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    /// The certificate whose DER has this SHA-256.
    Fingerprint([u8; 32]),
    /// Certificates with this serial number, without leading zeros.
    Serial(Vec<u8>),
}

/// Why a list of revoked certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListFault {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line says something else.
    #[error("{}, line {line}: expected sha256: with 64 hexadecimal digits, or serial: with up to 40", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

impl Revoked {
    /// Reads a list. A missing one is a fault: else a misspelt name would let everybody in.
    pub(crate) fn read(path: &Path) -> Result<Self, ListFault> {
        let text = std::fs::read_to_string(path).map_err(|source| ListFault::Read { path: path.to_owned(), source })?;
        let mut entries = HashSet::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let wrong = || ListFault::Line { path: path.to_owned(), line: number + 1 };
                entries.insert(Entry::parse(line).ok_or_else(wrong)?);
            }
        }
        Ok(Self(entries))
    }

    /// Whether a certificate (DER) is on the list.
    pub(crate) fn names(&self, certificate: &[u8]) -> bool {
        !self.0.is_empty()
            && (self.0.contains(&Entry::fingerprint_of(certificate))
                || Entry::serial_of(certificate).is_some_and(|serial| self.0.contains(&serial)))
    }
}

impl Entry {
    /// A line of the list, or what `pki revoke --serial` takes: digits may have colons between them.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (kind, digits) = line.split_once(':')?;
        let bytes = unhex(&digits.replace(':', ""))?;
        match kind.trim() {
            "sha256" => bytes.try_into().ok().map(Self::Fingerprint),
            "serial" if (1..=20).contains(&bytes.len()) => Some(Self::Serial(without_zeros(&bytes))),
            _ => None,
        }
    }

    /// The one certificate (DER).
    pub(crate) fn fingerprint_of(certificate: &[u8]) -> Self {
        Self::Fingerprint(Sha256::digest(certificate).into())
    }

    fn serial_of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self::Serial(without_zeros(parsed.raw_serial())))
    }

    /// Adds it to the list, which is made if it is missing. Written through to the disk.
    pub(crate) fn add_to(&self, path: &Path) -> Result<(), ListFault> {
        make(path)?;
        let failed = |source| ListFault::Write { path: path.to_owned(), source };
        let mut file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        // A line before it may lack its end.
        file.write_all(format!("\n{self}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fingerprint(bytes) => write!(formatter, "sha256:{}", hex(bytes)),
            Self::Serial(bytes) => write!(formatter, "serial:{}", hex(bytes)),
        }
    }
}

/// Makes an empty list, unless there is one.
pub(crate) fn make(path: &Path) -> Result<(), ListFault> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    match made.and_then(|mut file| file.write_all(EXPLANATION.as_bytes())) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(ListFault::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn without_zeros(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    // An odd number of digits lacks its first zero.
    let padded = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    let pairs = padded.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Revoked, ListFault> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        std::fs::write(&path, text).unwrap();
        Revoked::read(&path)
    }

    #[test]
    fn a_list_names_certificates_by_fingerprint_and_serial() {
        let fingerprint = format!("sha256:{}", hex(&Sha256::digest(b"one")));
        let list = read(&format!("# none yet\n\n{fingerprint} # the old panel\nserial:00:0A:ff\n")).unwrap();
        assert!(list.names(b"one") && !list.names(b"other"));
        assert!(list.0.contains(&Entry::Serial(vec![10, 255])));
        assert_eq!(Entry::parse("serial:aff"), Some(Entry::Serial(vec![10, 255])));
    }

    #[test]
    fn a_line_that_says_something_else_is_a_fault() {
        for wrong in
            ["x", "sha256:", "sha256:12", "serial:", "serial:xy", "md5:00", &format!("serial:{}", "1".repeat(42))]
        {
            assert!(matches!(read(wrong), Err(ListFault::Line { line: 1, .. })), "{wrong}");
        }
        assert!(Revoked::read(Path::new("/nonexistent/revoked")).is_err());
    }

    #[test]
    fn entries_are_added_to_a_list_that_is_made_when_it_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        make(&path).unwrap();
        make(&path).unwrap();
        assert_eq!(Revoked::read(&path).unwrap(), Revoked::default());
        std::fs::write(&path, "serial:01").unwrap();
        Entry::fingerprint_of(b"one").add_to(&path).unwrap();
        let list = Revoked::read(&path).unwrap();
        assert!(list.names(b"one") && list.0.len() == 2);
    }
}
