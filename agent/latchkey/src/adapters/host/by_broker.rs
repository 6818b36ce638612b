//! Work that the broker does for a call, over a connection that ends when the call does.

use std::sync::Arc;
use std::time::Duration;

use latchkey_protocol::{COMMAND_DEADLINE_MAX_MS, FrameSocket};
use tokio::time::Instant;

use super::Host;
use crate::broker::BrokerError;
use crate::problem::chain;

/// The broker was not asked, so nothing happened.
pub(super) struct NotAsked;

/// A connection that is closed when its user is gone, whoever else holds it.
struct HangsUp(Arc<FrameSocket>);

impl Drop for HangsUp {
    fn drop(&mut self) {
        // One that is closed already is as good.
        let _ = self.0.shutdown();
    }
}

impl Host {
    /// Has the broker do something that blocks. When this is dropped, the broker ends it.
    pub(super) async fn have_broker<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FrameSocket) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<Result<T, BrokerError>, NotAsked> {
        let broker = self.serve.adapters.broker.clone();
        let connected = self.serve.blocking(move || broker.connect()).await.map_err(|_stopping| NotAsked)?;
        let connection = connected.map(Arc::new).map_err(|error| {
            tracing::warn!(error = %chain(&error), "the broker does not answer");
            NotAsked
        })?;
        let _hangs_up = HangsUp(connection.clone());
        let came = self.serve.blocking(move || work(&connection)).await;
        Ok(came.unwrap_or(Err(BrokerError::Unexpected)))
    }

    /// What is left of the call's time, as far as the broker takes it; `None` if there is none.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let left = self.last_moment().saturating_duration_since(Instant::now());
        let most = Duration::from_millis(COMMAND_DEADLINE_MAX_MS.into());
        (left.as_millis() > 0).then_some(left.min(most))
    }
}

/// A time in whole milliseconds, at least one.
pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}
