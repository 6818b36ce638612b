//! The request under way. Its id follows the work across tasks and threads: into every line of the log, to the broker,
//! and into the audit.
//!
//! What is spawned through here belongs to the request that spawned it; what the agent does by itself belongs to none.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

use crate::token::random_hex;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// A name for a request that no other has: random for this run of the agent, then counted.
pub(crate) fn new_id() -> String {
    static RUN: LazyLock<String> = LazyLock::new(|| random_hex().unwrap_or_default());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}{:012x}", RUN.get(..16).unwrap_or_default(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The id of the request under way, if there is one.
pub(crate) fn current_id() -> Option<String> {
    CURRENT.try_with(|id| id.to_string()).ok()
}

/// Carries out a request under this id.
pub(crate) async fn under<F: Future>(id: &str, work: F) -> F::Output {
    CURRENT.scope(id.into(), work).instrument(span(id)).await
}

/// The same work, as part of the request under way wherever it is polled.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let id = current_id();
    async move {
        match id {
            Some(id) => under(&id, work).await,
            None => work.await,
        }
    }
}

/// `tokio::spawn`, as part of the request under way.
pub(crate) fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(carried(work))
}

/// `tokio::task::spawn_blocking`, as part of the request under way.
pub(crate) fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let id = current_id();
    tokio::task::spawn_blocking(move || match id {
        Some(id) => CURRENT.sync_scope(id.as_str().into(), || span(&id).in_scope(work)),
        None => work(),
    })
}

fn span(id: &str) -> Span {
    tracing::info_span!("request", request_id = id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_id_follows_its_request_into_tasks_and_threads_and_no_further() {
        let seen = under("r1", async {
            let spawned = spawn(async { spawn_blocking(current_id).await.unwrap() });
            let foreign = tokio::spawn(async { current_id() });
            (current_id(), spawned.await.unwrap(), foreign.await.unwrap())
        });
        assert_eq!(seen.await, (Some("r1".into()), Some("r1".into()), None));
        assert_eq!(current_id(), None);
        assert_eq!(spawn_blocking(current_id).await.unwrap(), None);
    }

    #[test]
    fn no_two_requests_have_the_same_id() {
        let (one, other) = (new_id(), new_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), other.len()), (28, 28));
    }
}
