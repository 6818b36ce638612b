//! Whether the audit is whole: its chain of hashes, and the heads that were recorded where serve cannot rewrite them.
//!
//! The chain alone shows a changed, removed or reordered row. Only the recorded heads show that the newest rows were cut
//! off, or that all of it was written anew. Rows newer than the newest recorded head have the chain alone: normally
//! those of the last 200 ms.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use latchkey_protocol::RecordedHead;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use crate::broker::{Broker, BrokerError};
use crate::store::StoreError;
use crate::store::audit::{self, ChainFault, Head};

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// How many rows were looked at.
    pub(crate) rows: u64,
    /// The last sound row.
    pub(crate) head: Option<Head>,
    /// Whether all of it is sound, and fits what was recorded.
    pub(crate) ok: bool,
    /// The first row that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<ChainFault>,
    /// The newest head that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<Head>,
    /// How many rows are newer than it: these have the chain alone.
    pub(crate) unrecorded_rows: u64,
    /// When root let the audit go on from an older row, after a backup took the place of a damaged state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) set_back: Vec<SetBack>,
}

/// Rows that are gone, and that root said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SetBack {
    /// The last row of before that is still there.
    pub(crate) to: u64,
    /// The newest row that had been recorded then.
    pub(crate) lost_to: u64,
}

/// Why it could not be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerificationError {
    /// The audit cannot be read.
    #[error("the audit cannot be read")]
    Audit(#[from] StoreError),
    /// The broker does not give the heads.
    #[error("the broker does not give the recorded heads")]
    Broker(#[from] BrokerError),
    /// The broker's file cannot be read.
    #[error("the recorded heads in {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of it is no head.
    #[error("line {line} of the recorded heads in {} is no head", path.display())]
    NoHead {
        /// The file.
        path: PathBuf,
        /// Its number.
        line: usize,
    },
}

/// Where recorded heads are read.
pub(crate) enum Heads {
    /// From the broker.
    Broker(Broker),
    /// From its file, which only root can read: nobody in between can lie about it.
    File(PathBuf),
}

impl Heads {
    /// The file in the broker's state directory.
    pub(crate) fn in_directory(broker_state: &Path) -> Self {
        Self::File(broker_state.join("audit-heads"))
    }

    /// Shows each head in the order they were recorded.
    fn each(&self, mut look: impl FnMut(RecordedHead)) -> Result<(), VerificationError> {
        match self {
            Self::Broker(broker) => {
                let mut next = Some(0);
                while let Some(from) = next {
                    let (heads, further) = broker.audit_heads(from)?;
                    heads.into_iter().for_each(&mut look);
                    // A place that does not grow would be read for ever.
                    next = further.filter(|place| *place > from);
                }
            }
            Self::File(path) => {
                let reading = |source| VerificationError::File { path: path.clone(), source };
                for (index, line) in BufReader::new(File::open(path).map_err(reading)?).lines().enumerate() {
                    let no_head = |_| VerificationError::NoHead { path: path.clone(), line: index + 1 };
                    look(line.map_err(reading)?.parse().map_err(no_head)?);
                }
            }
        }
        Ok(())
    }
}

/// What the heads say altogether.
#[derive(Default)]
struct Recorded {
    count: usize,
    newest: Option<Head>,
    /// With their places among the heads.
    set_backs: Vec<(usize, u64)>,
}

impl Recorded {
    fn read(heads: &Heads) -> Result<Self, VerificationError> {
        let mut all = Self::default();
        heads.each(|head| {
            all.set_backs.extend(head.set_back_to.map(|seq| (all.count, seq)));
            all.newest = Some(Head { seq: head.seq, hash: head.hash });
            all.count += 1;
        })?;
        Ok(all)
    }

    /// The place of the set back that a head fell victim to.
    fn superseded(&self, place: usize, seq: u64) -> Option<usize> {
        self.set_backs.iter().position(|(at, to)| place < *at && *to < seq)
    }
}

/// Walks the whole chain and compares it with every recorded head. Blocks, for long.
pub(crate) fn verify(connection: &Connection, heads: &Heads) -> Result<Verified, VerificationError> {
    // The heads first: rows that come meanwhile are newer than them, never the other way round.
    let recorded = Recorded::read(heads)?;
    let transaction = connection.unchecked_transaction().map_err(StoreError::at("begin to read the audit"))?;
    let (rows, head, chain) = audit::verify(&transaction)?;
    let compared = compare(&transaction, heads, &recorded, head.as_ref())?;
    let fault = match (chain, compared.fault) {
        (Some(chain), Some(other)) if other.seq < chain.seq => Some(other),
        (chain, other) => chain.or(other),
    };
    let newest = recorded.newest.as_ref().map_or(0, |newest| newest.seq);
    let unrecorded_rows = head.as_ref().map_or(0, |head| head.seq).saturating_sub(newest);
    let set_back = compared.set_back;
    Ok(Verified { rows, head, ok: fault.is_none(), fault, recorded: recorded.newest, unrecorded_rows, set_back })
}

/// The last row that is as it was recorded, if a later one is not: where a replaced state parts from the one before.
pub(crate) fn last_common_row(connection: &Connection, heads: &Heads) -> Result<Option<u64>, VerificationError> {
    let recorded = Recorded::read(heads)?;
    let head = audit::head(connection)?;
    let compared = compare(connection, heads, &recorded, head.as_ref())?;
    Ok(compared.fault.map(|_| compared.last_fitting))
}

struct Compared {
    fault: Option<ChainFault>,
    last_fitting: u64,
    set_back: Vec<SetBack>,
}

fn compare(
    connection: &Connection,
    heads: &Heads,
    recorded: &Recorded,
    newest: Option<&Head>,
) -> Result<Compared, VerificationError> {
    let last = newest.map_or(0, |newest| newest.seq);
    let (mut place, mut failed, mut fault) = (0, None, None::<ChainFault>);
    let mut lost = vec![0; recorded.set_backs.len()];
    let mut last_fitting = 0;
    heads.each(|head| {
        let superseded = recorded.superseded(place, head.seq);
        place += 1;
        if place > recorded.count || fault.is_some() || failed.is_some() {
            return;
        }
        if let Some(most) = superseded.and_then(|index| lost.get_mut(index)) {
            *most = head.seq.max(*most);
            return;
        }
        match audit::hash_of(connection, head.seq) {
            Err(error) => failed = Some(error),
            Ok(Some(hash)) if hash == head.hash => last_fitting = head.seq,
            Ok(Some(_)) => {
                let what = "this row, or one before it, was written anew: its hash was recorded as another";
                fault = Some(ChainFault { seq: head.seq, what: what.to_owned() });
            }
            Ok(None) if head.seq > last => {
                let what = format!("the rows from here on are missing: row {} was recorded", head.seq);
                fault = Some(ChainFault { seq: last + 1, what });
            }
            Ok(None) => {
                fault = Some(ChainFault { seq: head.seq, what: "this row is missing: its hash was recorded".into() });
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let set_backs = recorded.set_backs.iter().zip(lost);
    let set_back = set_backs.map(|((_, to), lost_to)| SetBack { to: *to, lost_to }).collect();
    Ok(Compared { fault, last_fitting, set_back })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{Caller, Note};
    use crate::clock::Clock;
    use crate::state::State;
    use crate::store::audit::Outcome;

    /// A state with rows, and a file of heads as the broker writes it.
    struct Audit {
        dir: tempfile::TempDir,
        state: State,
    }

    impl Audit {
        fn with_rows(count: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = State::open(dir.path(), Clock::default()).unwrap().0;
            let mut audit = Self { dir, state };
            (0..count).for_each(|_| audit.add_row());
            audit
        }

        fn add_row(&mut self) {
            self.state.record(&Caller::agent(), Note::of("x"), Outcome::Allowed).unwrap();
        }

        fn sql(&self, text: &str) -> &Self {
            self.state.store.writer().execute_batch(text).unwrap();
            self
        }

        fn head(&self) -> Head {
            audit::head(&self.state.store.reader()).unwrap().unwrap()
        }

        fn record(&self, set_back_to: Option<u64>) -> &Self {
            use std::io::Write;
            let Head { seq, hash } = self.head();
            let path = self.dir.path().join("audit-heads");
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            writeln!(file, "{}", RecordedHead { seq, hash, set_back_to }).unwrap();
            self
        }

        fn verify(&self) -> Verified {
            verify(&self.state.store.reader(), &Heads::in_directory(self.dir.path())).unwrap()
        }

        fn forge_from(&self, seq: u64) {
            let connection = self.state.store.writer();
            connection.execute("DELETE FROM audit WHERE seq >= ?1", [seq]).unwrap();
            for _ in 0..3 {
                let row = Caller::agent().audit_row(
                    &self.state.table(),
                    Note::of("forged"),
                    Outcome::Allowed,
                    jiff::Timestamp::UNIX_EPOCH,
                );
                audit::append(&connection, row).unwrap();
            }
        }
    }

    #[track_caller]
    fn check_fault(audit: &Audit, seq: u64, words: &str) {
        let found = audit.verify();
        let fault = found.fault.unwrap();
        assert_eq!((fault.seq, found.ok), (seq, false), "{}", fault.what);
        assert!(fault.what.contains(words), "{}", fault.what);
    }

    #[test]
    fn an_untouched_audit_passes_and_says_which_rows_are_not_recorded_yet() {
        let mut audit = Audit::with_rows(5);
        audit.record(None);
        audit.add_row();
        audit.add_row();
        let found = audit.verify();
        assert!(found.ok, "{found:?}");
        assert_eq!((found.rows, found.recorded.unwrap().seq, found.unrecorded_rows), (7, 5, 2));
    }

    #[test]
    fn a_cut_tail_is_found_though_what_is_left_is_a_sound_chain() {
        let audit = Audit::with_rows(5);
        audit.record(None).sql("DELETE FROM audit WHERE seq > 3");
        check_fault(&audit, 4, "missing: row 5 was recorded");
        audit.sql("DELETE FROM audit");
        check_fault(&audit, 1, "missing: row 5 was recorded");
    }

    #[test]
    fn a_chain_that_was_written_anew_is_found_though_it_is_sound_in_itself() {
        let audit = Audit::with_rows(3);
        audit.record(None).forge_from(2);
        check_fault(&audit, 3, "written anew");
    }

    #[test]
    fn a_changed_removed_or_reordered_row_is_found_by_its_number() {
        for (tamper, seq, words) in [
            ("UPDATE audit SET row = replace(row, '\"x\"', '\"y\"') WHERE seq = 2", 2, "changed"),
            ("DELETE FROM audit WHERE seq = 2", 3, "missing"),
            (
                "UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 9",
                1,
                "changed",
            ),
        ] {
            let audit = Audit::with_rows(4);
            audit.record(None).sql(tamper);
            check_fault(&audit, seq, words);
        }
    }

    #[test]
    fn what_root_set_back_is_named_and_is_no_fault_and_covers_nothing_else() {
        let mut audit = Audit::with_rows(3);
        audit.record(None);
        (0..4).for_each(|_| audit.add_row());
        audit.record(None).forge_from(4);
        check_fault(&audit, 7, "missing");
        audit.add_row();
        check_fault(&audit, 7, "written anew");
        let heads = Heads::in_directory(audit.dir.path());
        assert_eq!(last_common_row(&audit.state.store.reader(), &heads).unwrap(), Some(3));
        audit.record(Some(3));
        let found = audit.verify();
        assert!(found.ok, "{found:?}");
        assert_eq!(found.set_back, [SetBack { to: 3, lost_to: 7 }]);
        assert_eq!(last_common_row(&audit.state.store.reader(), &heads).unwrap(), None);
        audit.sql("DELETE FROM audit WHERE seq > 6");
        check_fault(&audit, 7, "missing: row 7 was recorded");
    }
}
