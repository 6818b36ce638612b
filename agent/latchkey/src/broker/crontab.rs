//! Replacing a hosting's crontab.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use latchkey_protocol::{FrameSocket, Reply, Request, seal_text};

use super::{BrokerError, HangsUp, count, exchange_over};
use crate::problem::Problem;
use crate::serve::Serve;

/// A change may wait for another one, and cron's own program has some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Replaces it if the SHA-256 of what is there is `was`; an empty text takes it away. Takes up to some seconds. Dropped
/// before that, the broker ends what it has begun: it is not replaced later.
pub(crate) async fn replace_crontab(
    serve: &Serve,
    hosting: String,
    was: String,
    text: Vec<u8>,
) -> Result<Result<(), BrokerError>, Problem> {
    let broker = serve.broker.clone();
    let connection = match serve.blocking(move || broker.connect()).await? {
        Ok(connection) => Arc::new(connection),
        Err(error) => return Ok(Err(error.into())),
    };
    let _hangs_up = HangsUp(connection.clone());
    serve.blocking(move || replaced(&connection, Request::ReplaceCrontab { hosting, was }, &text)).await
}

fn replaced(connection: &FrameSocket, request: Request, text: &[u8]) -> Result<(), BrokerError> {
    let text = seal_text(text).map_err(|errno| BrokerError::Text(errno.into()))?;
    let replied = exchange_over(connection, request, &[text.as_fd()], PATIENCE);
    count(&replied);
    match replied?.0 {
        Reply::Done => Ok(()),
        _ => Err(BrokerError::Unexpected),
    }
}
