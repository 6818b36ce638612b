//! Changes through one adapter come one after another for each hosting: none of its own comes between what one has read
//! and what it writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use latchkey_access::HostingId;
use tokio::sync::OwnedMutexGuard;

/// Whose turn it is, for each hosting that has a change under way.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<HostingId, Arc<tokio::sync::Mutex<()>>>>);

/// A turn; it ends on drop.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held")] OwnedMutexGuard<()>);

impl Turns {
    /// Waits for a turn, in the order of asking.
    pub(super) async fn take(&self, hosting: &HostingId) -> Turn {
        let turns = {
            let mut hostings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has a turn there, or waits for one.
            hostings.retain(|_, turns| Arc::strong_count(turns) > 1);
            hostings.entry(hosting.clone()).or_default().clone()
        };
        Turn(turns.lock_owned().await)
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
        let turns = Turns::default();
        let first = turns.take(&hosting("h1")).await;
        assert!(must_wait(&turns, "h1").await);
        assert!(!must_wait(&turns, "h2").await);
        drop(first);
        assert!(!must_wait(&turns, "h1").await);
    }

    #[tokio::test]
    async fn hostings_without_changes_are_forgotten() {
        let turns = Turns::default();
        for id in ["h1", "h2", "h3"] {
            drop(turns.take(&hosting(id)).await);
        }
        let _turn = turns.take(&hosting("h4")).await;
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
