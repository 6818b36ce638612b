//! Cron entries that the broker runs at once.

use std::sync::Arc;
use std::time::Duration;

use latchkey_protocol::{CronRun, Request};

use super::operators::{CommandEnded, ended};
use super::{BrokerError, HangsUp};
use crate::problem::Problem;
use crate::serve::Serve;

/// Runs a command as cron would, for so long. Told to stop, it returns when everything of it is gone.
pub(crate) async fn run_cron_entry(
    serve: &Serve,
    run: CronRun,
    patience: Duration,
    told_to_stop: impl Future<Output = ()>,
) -> Result<CommandEnded, Problem> {
    let broker = serve.broker.clone();
    let connection = Arc::new(serve.blocking(move || broker.connect()).await?.map_err(BrokerError::from)?);
    let hangs_up = HangsUp(connection.clone());
    let mut running = std::pin::pin!(serve.blocking(move || ended(&connection, Request::RunCronEntry(run), patience)));
    let came = tokio::select! {
        came = &mut running => came,
        () = told_to_stop => {
            hangs_up.hang_up();
            running.await
        }
    };
    Ok(came??)
}
