//! So many pieces of work at a time for each hosting; the others wait in the order of asking.
//!
//! Changes through one adapter come one after another: none comes between what one has read and what it writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use latchkey_access::HostingId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whose turn it is, for each hosting that has work under way.
#[derive(Debug)]
pub(crate) struct Turns<K = HostingId> {
    at_once: usize,
    waiting: Mutex<BTreeMap<K, Arc<Semaphore>>>,
}

/// A turn; it ends on drop.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl<K: Clone + Ord> Turns<K> {
    /// So many at a time.
    pub(crate) fn at_once(at_once: usize) -> Self {
        Self { at_once, waiting: Mutex::default() }
    }

    /// Waits for a turn, in the order of asking.
    pub(crate) async fn take(&self, of: &K) -> Turn {
        let turns = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has a turn there, or waits for one.
            all.retain(|_, turns| Arc::strong_count(turns) > 1);
            let new = || Arc::new(Semaphore::new(self.at_once));
            all.entry(of.clone()).or_insert_with(new).clone()
        };
        // It is never closed.
        Turn(turns.acquire_owned().await.ok())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hosting(id: &str) -> HostingId {
        id.parse().unwrap()
    }

    async fn must_wait(turns: &Turns, id: &str) -> bool {
        tokio::time::timeout(Duration::ZERO, turns.take(&hosting(id))).await.is_err()
    }

    #[tokio::test]
    async fn one_at_a_time_for_each_hosting() {
        let turns = Turns::at_once(1);
        let first = turns.take(&hosting("h1")).await;
        assert!(must_wait(&turns, "h1").await);
        assert!(!must_wait(&turns, "h2").await);
        drop(first);
        assert!(!must_wait(&turns, "h1").await);
    }

    #[tokio::test]
    async fn as_many_at_a_time_as_there_are_places() {
        let turns = Turns::at_once(2);
        let _one = turns.take(&hosting("h1")).await;
        let two = turns.take(&hosting("h1")).await;
        assert!(must_wait(&turns, "h1").await);
        drop(two);
        assert!(!must_wait(&turns, "h1").await);
    }

    #[tokio::test]
    async fn hostings_without_changes_are_forgotten() {
        let turns = Turns::at_once(1);
        for id in ["h1", "h2", "h3"] {
            drop(turns.take(&hosting(id)).await);
        }
        let _turn = turns.take(&hosting("h4")).await;
        assert_eq!(turns.waiting.lock().unwrap().len(), 1);
    }
}
