//! How long a task may go on: until it is ended, and not for ever.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use latchkey_protocol::FileFault;
use rustix::time::{ClockId, clock_gettime};

/// Nobody waits longer for an answer.
const LONGEST_S: i64 = 600;

/// Nor for a stream, which goes at the pace of whoever reads it.
const LONGEST_STREAM_S: i64 = 6 * 3600;

/// The term of one task.
#[derive(Debug, Default)]
pub(super) struct Term {
    is_ended: AtomicBool,
    until_s: OnceLock<i64>,
}

impl Term {
    /// From here on its time runs. Safe to repeat.
    pub(super) fn begin(&self) {
        self.begin_for(LONGEST_S);
    }

    /// The same for what is read while it is written.
    pub(super) fn begin_stream(&self) {
        self.begin_for(LONGEST_STREAM_S);
    }

    fn begin_for(&self, seconds: i64) {
        self.until_s.get_or_init(|| now_s().saturating_add(seconds));
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }

    /// Asked before each step.
    pub(super) fn goes_on(&self) -> Result<(), FileFault> {
        if self.is_ended.load(Ordering::Acquire) {
            return Err(FileFault::Ended);
        }
        if self.until_s.get().is_some_and(|until| now_s() >= *until) {
            return Err(FileFault::TimedOut);
        }
        Ok(())
    }
}

/// Seconds since some moment.
pub(super) fn now_s() -> i64 {
    clock_gettime(ClockId::Monotonic).tv_sec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_may_take_so_long_from_its_beginning_and_until_it_is_ended() {
        for (begin, seconds) in [(Term::begin as fn(&Term), 600), (Term::begin_stream, 21_600)] {
            let term = Term::default();
            let before = now_s();
            begin(&term);
            let until = *term.until_s.get().unwrap();
            assert!((before + seconds..=now_s() + seconds).contains(&until), "{until}");
            begin(&term);
            assert_eq!((*term.until_s.get().unwrap(), term.goes_on()), (until, Ok(())));
            term.end();
            assert_eq!(term.goes_on(), Err(FileFault::Ended));
        }
        let over = Term::default();
        over.begin_for(0);
        assert_eq!(over.goes_on(), Err(FileFault::TimedOut));
    }
}
