//! Heads of the audit chain, one line each, kept where serve cannot change them.
//!
//! A line is `SEQ HASH`. Whether the chain fits the heads is judged by who reads the audit, not here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const FILE: &str = "audit-heads";

/// The file of heads, and the number of the newest one.
#[derive(Debug)]
pub struct AuditHeads {
    file: File,
    newest: Option<(u64, String)>,
}

/// Why a head was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditHeadsError {
    /// The file cannot be opened or read.
    #[error("cannot read the audit heads {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A complete line in it is no head.
    #[error("the audit heads {path:?} are damaged; keep the file as evidence and move it away")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The number is not above the newest one.
    #[error("expected a number above {newest}")]
    NotNewer {
        /// The newest number recorded.
        newest: u64,
    },
    /// The hash is no SHA-256.
    #[error("expected 64 lower-case hexadecimal digits")]
    Hash,
    /// The line could not be made durable.
    #[error("cannot append to the audit heads")]
    Append(#[source] io::Error),
}

impl AuditHeads {
    /// Opens the file, making an empty one if there is none. A last line that a power cut left incomplete is cut off.
    pub fn open(state_dir: &Path) -> Result<AuditHeads, AuditHeadsError> {
        let path = state_dir.join(FILE);
        let reading = |source| AuditHeadsError::Read { path: path.clone(), source };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(reading)?;
        let text = fs::read_to_string(&path).map_err(reading)?;
        let complete = text.rfind('\n').map_or(0, |at| at + 1);
        if complete < text.len() {
            file.set_len(complete as u64).and_then(|()| file.sync_all()).map_err(reading)?;
        }
        let mut newest = None;
        for line in text.get(..complete).unwrap_or_default().lines() {
            match parse(line) {
                Some((seq, hash)) if newest.as_ref().is_none_or(|(newest, _)| *newest < seq) => {
                    newest = Some((seq, hash.to_owned()));
                }
                _ => return Err(AuditHeadsError::Damaged { path }),
            }
        }
        Ok(AuditHeads { file, newest })
    }

    /// Appends one head; durable when it returns. The newest one may be repeated, which adds nothing.
    pub fn record(&mut self, seq: u64, hash: &str) -> Result<(), AuditHeadsError> {
        if !is_sha256(hash) {
            return Err(AuditHeadsError::Hash);
        }
        match &self.newest {
            Some((newest, known)) if *newest == seq && known == hash => return Ok(()),
            Some((newest, _)) if *newest >= seq => return Err(AuditHeadsError::NotNewer { newest: *newest }),
            _ => {}
        }
        let length = self.file.metadata().map_err(AuditHeadsError::Append)?.len();
        let line = format!("{seq} {hash}\n");
        let appended = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(source) = appended {
            // Half a line must not become the start of the next one.
            let _ = self.file.set_len(length);
            return Err(AuditHeadsError::Append(source));
        }
        self.newest = Some((seq, hash.to_owned()));
        Ok(())
    }
}

fn parse(line: &str) -> Option<(u64, &str)> {
    let (seq, hash) = line.split_once(' ')?;
    if is_sha256(hash) { Some((seq.parse().ok()?, hash)) } else { None }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn heads_are_appended_and_their_numbers_grow_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = AuditHeads::open(dir.path()).unwrap();
        heads.record(1, &hash('a')).unwrap();
        heads.record(5, &hash('b')).unwrap();
        heads.record(5, &hash('b')).unwrap();
        assert!(matches!(heads.record(5, &hash('c')), Err(AuditHeadsError::NotNewer { newest: 5 })));
        let mut again = AuditHeads::open(dir.path()).unwrap();
        assert!(matches!(again.record(4, &hash('c')), Err(AuditHeadsError::NotNewer { newest: 5 })));
        again.record(6, &hash('c')).unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, format!("1 {}\n5 {}\n6 {}\n", hash('a'), hash('b'), hash('c')));
    }

    #[test]
    fn what_is_no_hash_adds_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = AuditHeads::open(dir.path()).unwrap();
        for bad in ["", "ab", &hash('A'), &hash('g'), &format!("{}\n1 {}", hash('a'), hash('b'))] {
            assert!(matches!(heads.record(1, bad), Err(AuditHeadsError::Hash)), "{bad}");
        }
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_a_damaged_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, format!("1 {}\n2 abc", hash('a'))).unwrap();
        AuditHeads::open(dir.path()).unwrap().record(2, &hash('b')).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("1 {}\n2 {}\n", hash('a'), hash('b')));
        for bad in ["2 abc\n", "x\n", &format!("2 {0}\n1 {0}\n", hash('a'))] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(AuditHeads::open(dir.path()), Err(AuditHeadsError::Damaged { .. })), "{bad}");
        }
    }
}
