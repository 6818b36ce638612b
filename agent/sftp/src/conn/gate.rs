//! How much of a connection's input is queued, and whether anything of it moves.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// As much may be queued before the gate closes. An upload needs one window; no honest client has more under way.
const QUEUED_MAX_BYTES: i64 = 8 * 1024 * 1024;
/// What a message costs beside its bytes. Without it 8 MiB of messages of one byte would be a gigabyte.
const MESSAGE_COST_BYTES: i64 = 256;

/// The gate of one connection.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    queued: AtomicI64,
    reader: Mutex<Option<Waker>>,
    /// Grows with whatever is read, written or worked off.
    progress: AtomicU64,
    waits_for_peer: AtomicBool,
    is_over: AtomicBool,
    identification: OnceLock<String>,
}

impl Gate {
    /// A message of `length` bytes came in and waits to be worked off.
    pub(crate) fn add(&self, length: usize) {
        self.queued.fetch_add(cost(length), Ordering::AcqRel);
    }

    /// It has been worked off. May come before its [`Gate::add`]: two tasks learn of a message in no order.
    pub(crate) fn sub(&self, length: usize) {
        self.queued.fetch_sub(cost(length), Ordering::AcqRel);
        self.note_progress();
        if self.is_open() {
            self.wake();
        }
    }

    /// The connection is over. Whoever waits at the gate learns of it there: nobody is going to open it any more.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ready while the gate is open; an error when the connection is over.
    pub(super) fn poll_open(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.waits_for_peer.store(false, Ordering::Release);
        if !self.is_open() {
            *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        }
        // After that: it may have opened, or be over, before the waker was there to be woken.
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.is_open() {
            return Poll::Pending;
        }
        self.note_progress();
        Poll::Ready(Ok(()))
    }

    pub(super) fn waits_for_input(&self) {
        self.waits_for_peer.store(true, Ordering::Release);
    }

    pub(super) fn waits_for_output(&self) {
        self.waits_for_peer.store(true, Ordering::Release);
    }

    pub(crate) fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::AcqRel);
    }

    /// What says whether a connection is stuck: `None` while it waits for its peer, which may take its time; else a
    /// number that changes as long as anything moves. A closed gate waits for nobody: it also holds back the
    /// permission to send that would free it, so a client that floods and does not read never gets out by itself.
    pub(crate) fn progress(&self) -> Option<u64> {
        let waits = self.is_open() && self.waits_for_peer.load(Ordering::Acquire);
        (!waits).then(|| self.progress.load(Ordering::Acquire))
    }

    pub(super) fn note_identification(&self, read: impl FnOnce() -> String) {
        self.identification.get_or_init(read);
    }

    /// What the client calls itself; empty if it has not said.
    pub(crate) fn identification(&self) -> &str {
        self.identification.get().map_or("", String::as_str)
    }

    fn is_open(&self) -> bool {
        self.queued.load(Ordering::Acquire) <= QUEUED_MAX_BYTES
    }
}

fn cost(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 2) + MESSAGE_COST_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_full_gate_closes_and_wakes_its_reader_when_it_opens() {
        let (gate, woken) = (Gate::default(), Arc::new(Counted::default()));
        let waker = Waker::from(woken.clone());
        let context = Context::from_waker(&waker);
        assert!(gate.poll_open(&context).is_ready());
        gate.add(8 * 1024 * 1024);
        assert!(gate.poll_open(&context).is_pending());
        gate.sub(8 * 1024 * 1024);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(gate.poll_open(&context).is_ready());
    }

    #[test]
    fn who_waits_at_a_closed_gate_learns_that_the_connection_is_over() {
        let (gate, woken) = (Gate::default(), Arc::new(Counted::default()));
        let waker = Waker::from(woken.clone());
        gate.add(9 * 1024 * 1024);
        assert!(gate.poll_open(&Context::from_waker(&waker)).is_pending());
        gate.end();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(matches!(gate.poll_open(&Context::from_waker(&waker)), Poll::Ready(Err(_))));
    }

    #[test]
    fn many_small_messages_close_it_too() {
        let gate = Gate::default();
        (0..40_000).for_each(|_| gate.add(1));
        assert!(!gate.is_open());
    }

    #[test]
    fn who_waits_for_the_peer_is_not_stuck_and_who_is_behind_a_closed_gate_is() {
        let gate = Gate::default();
        gate.waits_for_input();
        assert_eq!(gate.progress(), None);
        gate.add(9 * 1024 * 1024);
        assert!(gate.progress().is_some());
    }
}
