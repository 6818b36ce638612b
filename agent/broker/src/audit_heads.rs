//! Heads of the audit chain, one line each, kept where serve cannot change them.
//!
//! Whether the chain fits the heads is judged by who reads the audit, not here. Numbers grow; only root, who restored an
//! older state, may set them back, and that stands in the file too: no line is ever taken out.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use latchkey_protocol::{AUDIT_HEADS_MAX, RecordedHead, is_sha256};

const FILE: &str = "audit-heads";

/// No line is longer.
const LINE_MAX_BYTES: usize = 128;

/// The file of heads, and the newest one.
#[derive(Debug)]
pub struct AuditHeads {
    file: File,
    path: PathBuf,
    newest: Option<RecordedHead>,
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
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(reading)?;
        let (mut newest, mut complete): (Option<RecordedHead>, u64) = (None, 0);
        let (mut lines, mut line) = (BufReader::new(&file), Vec::new());
        while lines.read_until(b'\n', &mut line).map_err(reading)? > 0 && line.ends_with(b"\n") {
            let head = parse(&line).filter(|head| follows(newest.as_ref(), head));
            newest = Some(head.ok_or_else(|| AuditHeadsError::Damaged { path: path.clone() })?);
            complete += line.len() as u64;
            line.clear();
        }
        if !line.is_empty() {
            file.set_len(complete).and_then(|()| file.sync_all()).map_err(reading)?;
        }
        Ok(AuditHeads { file, path, newest })
    }

    /// Appends one head; durable when it returns. The newest one may be repeated, which adds nothing.
    pub fn record(&mut self, head: RecordedHead) -> Result<(), AuditHeadsError> {
        if !is_sha256(&head.hash) {
            return Err(AuditHeadsError::Hash);
        }
        if self.newest.as_ref().is_some_and(|newest| (newest.seq, &newest.hash) == (head.seq, &head.hash)) {
            return Ok(());
        }
        if !follows(self.newest.as_ref(), &head) {
            return Err(AuditHeadsError::NotNewer { newest: self.newest.as_ref().map_or(0, |newest| newest.seq) });
        }
        let length = self.file.metadata().map_err(AuditHeadsError::Append)?.len();
        let line = format!("{head}\n");
        let appended = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(source) = appended {
            // Half a line must not become the start of the next one.
            let _ = self.file.set_len(length);
            return Err(AuditHeadsError::Append(source));
        }
        self.newest = Some(head);
        Ok(())
    }

    /// Some heads in the order they were recorded, from a place in the file on (0, or what the page before ended with),
    /// and where the next page begins, if there is more.
    pub fn page(&self, from: u64) -> Result<(Vec<RecordedHead>, Option<u64>), AuditHeadsError> {
        let mut bytes = vec![0; AUDIT_HEADS_MAX * LINE_MAX_BYTES];
        let reading = |source| AuditHeadsError::Read { path: self.path.clone(), source };
        let length = self.file.read_at(&mut bytes, from).map_err(reading)?;
        let (mut heads, mut at) = (Vec::new(), from);
        for line in bytes.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            if heads.len() == AUDIT_HEADS_MAX || !line.ends_with(b"\n") {
                return Ok((heads, Some(at)));
            }
            heads.push(parse(line).ok_or_else(|| AuditHeadsError::Damaged { path: self.path.clone() })?);
            at += line.len() as u64;
        }
        let is_full = heads.len() == AUDIT_HEADS_MAX;
        Ok((heads, is_full.then_some(at)))
    }
}

/// Whether a head may stand after the newest one.
fn follows(newest: Option<&RecordedHead>, head: &RecordedHead) -> bool {
    head.set_back_to.is_some_and(|seq| seq < head.seq) || newest.is_none_or(|newest| newest.seq < head.seq)
}

fn parse(line: &[u8]) -> Option<RecordedHead> {
    std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn head(seq: u64, digit: char) -> RecordedHead {
        RecordedHead { seq, hash: hash(digit), set_back_to: None }
    }

    #[test]
    fn heads_are_appended_and_their_numbers_grow_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = AuditHeads::open(dir.path()).unwrap();
        heads.record(head(1, 'a')).unwrap();
        heads.record(head(5, 'b')).unwrap();
        heads.record(head(5, 'b')).unwrap();
        assert!(matches!(heads.record(head(5, 'c')), Err(AuditHeadsError::NotNewer { newest: 5 })));
        let mut again = AuditHeads::open(dir.path()).unwrap();
        assert!(matches!(again.record(head(4, 'c')), Err(AuditHeadsError::NotNewer { newest: 5 })));
        again.record(head(6, 'c')).unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, format!("1 {}\n5 {}\n6 {}\n", hash('a'), hash('b'), hash('c')));
    }

    #[test]
    fn what_is_no_hash_adds_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = AuditHeads::open(dir.path()).unwrap();
        for bad in ["", "ab", &hash('A'), &hash('g'), &format!("{}\n1 {}", hash('a'), hash('b'))] {
            assert!(
                matches!(
                    heads.record(RecordedHead { hash: bad.to_owned(), ..head(1, 'a') }),
                    Err(AuditHeadsError::Hash)
                ),
                "{bad}"
            );
        }
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_a_damaged_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, format!("1 {}\n2 abc", hash('a'))).unwrap();
        AuditHeads::open(dir.path()).unwrap().record(head(2, 'b')).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("1 {}\n2 {}\n", hash('a'), hash('b')));
        for bad in ["2 abc\n", "x\n", &format!("2 {0}\n1 {0}\n", hash('a'))] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(AuditHeads::open(dir.path()), Err(AuditHeadsError::Damaged { .. })), "{bad}");
        }
    }

    #[test]
    fn a_set_back_is_kept_beside_what_it_sets_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = AuditHeads::open(dir.path()).unwrap();
        heads.record(head(9, 'a')).unwrap();
        assert!(heads.record(head(4, 'b')).is_err());
        heads.record(RecordedHead { set_back_to: Some(3), ..head(4, 'b') }).unwrap();
        heads.record(head(5, 'c')).unwrap();
        let (all, next) = AuditHeads::open(dir.path()).unwrap().page(0).unwrap();
        assert_eq!(
            all.iter().map(|head| (head.seq, head.set_back_to)).collect::<Vec<_>>(),
            [(9, None), (4, Some(3)), (5, None)]
        );
        assert_eq!(next, None);
    }

    #[test]
    fn pages_hold_every_head_once() {
        let dir = tempfile::tempdir().unwrap();
        let count = AUDIT_HEADS_MAX as u64 * 2 + 7;
        let lines: String = (1..=count).map(|seq| format!("{}\n", head(seq, 'd'))).collect();
        fs::write(dir.path().join(FILE), lines).unwrap();
        let heads = AuditHeads::open(dir.path()).unwrap();
        let (mut all, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let (page, further) = heads.page(from).unwrap();
            assert!(page.len() <= AUDIT_HEADS_MAX);
            all.extend(page.into_iter().map(|head| head.seq));
            next = further;
        }
        assert_eq!(all, (1..=count).collect::<Vec<_>>());
    }
}
