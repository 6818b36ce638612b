//! A runner as serve sees it: lanes, on each of which one call goes on at a time.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use latchkey_adapters::frame::{self, FrameError, LENGTH_BYTES};
use latchkey_adapters::{Call, Description, Fault, FromRunner, HostFunction, Limits, ToRunner};
use latchkey_protocol::FrameSocket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::host::Host;

/// How much longer than a call may take its runner may take to say so.
const GRACE: Duration = Duration::from_secs(2);

/// A runner. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Runner {
    control: FrameSocket,
    idle: Mutex<Vec<UnixStream>>,
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// The function's result as JSON.
    Returned(String),
    /// The function's own error as JSON.
    Failed(String),
}

/// Why nothing came of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunnerError {
    /// The runner ended the call.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The runner is gone.
    #[error("the runner is gone")]
    Gone(#[source] Option<FrameError>),
    /// The runner does not say a word.
    #[error("the runner does not answer")]
    Silent,
    /// The runner says something that is no answer.
    #[error("the runner answers something else")]
    Misunderstood,
}

impl RunnerError {
    /// Whether the runner is of no use any more.
    pub(crate) const fn is_of_runner(&self) -> bool {
        !matches!(self, Self::Fault(_))
    }
}

impl Runner {
    /// Over the socket that the broker handed over.
    pub(crate) fn over(control: FrameSocket) -> Self {
        Self { control, idle: Mutex::default() }
    }

    /// Asks what the adapter is.
    pub(crate) async fn describe(&self, limits: Limits) -> Result<Description, RunnerError> {
        let mut lane = self.lane()?;
        let exchange = async {
            send(&mut lane, &ToRunner::Describe(limits)).await?;
            receive(&mut lane).await
        };
        match within(limits, exchange).await? {
            FromRunner::Described(description) => {
                self.keep(lane);
                Ok(description)
            }
            FromRunner::Ended(fault) => Err(fault.into()),
            _ => Err(RunnerError::Misunderstood),
        }
    }

    /// Makes a call and carries out what it asks for. Cut off, the call ends.
    pub(crate) async fn call(&self, call: Call, host: &mut Host) -> Result<Came, RunnerError> {
        let mut lane = self.lane()?;
        let limits = call.limits;
        let came = within(limits, converse(&mut lane, ToRunner::Call(call), host)).await;
        // After a fault as well: the instance is gone, the lane as good as before.
        if came.as_ref().err().is_none_or(|error| !error.is_of_runner()) {
            self.keep(lane);
        }
        came
    }

    /// Asks whether it is there.
    pub(crate) fn is_gone(&self) -> bool {
        self.control.send(&(), &[]).is_err()
    }

    fn lane(&self) -> Result<UnixStream, RunnerError> {
        if let Some(lane) = self.idle().pop() {
            return Ok(lane);
        }
        let (ours, theirs) = StdStream::pair().map_err(lost)?;
        let given = self.control.send(&(), &[theirs.as_fd()]);
        given.map_err(|_closed| RunnerError::Gone(None))?;
        ours.set_nonblocking(true).and_then(|()| UnixStream::from_std(ours)).map_err(lost)
    }

    fn keep(&self, lane: UnixStream) {
        self.idle().push(lane);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<UnixStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the call has ended: carries out host functions, takes lines of the log.
async fn converse(lane: &mut UnixStream, call: ToRunner, host: &mut Host) -> Result<Came, RunnerError> {
    send(lane, &call).await?;
    loop {
        match receive(lane).await? {
            FromRunner::Ask { function, arguments } => answer(lane, host, function, &arguments).await?,
            FromRunner::Log { level, line } => host.log(level, &line),
            FromRunner::Returned(value) => return Ok(Came::Returned(value)),
            FromRunner::Failed(error) => return Ok(Came::Failed(error)),
            FromRunner::Ended(fault) => return Err(fault.into()),
            FromRunner::Described(_) | FromRunner::Used(_) => return Err(RunnerError::Misunderstood),
        }
    }
}

async fn answer(
    lane: &mut UnixStream,
    host: &mut Host,
    function: HostFunction,
    arguments: &[u8],
) -> Result<(), RunnerError> {
    let reply = match host.answer(function, arguments).await {
        Ok(answer) => ToRunner::Answer(answer),
        Err(fault) => ToRunner::End(fault),
    };
    send(lane, &reply).await
}

async fn within<T>(limits: Limits, work: impl Future<Output = Result<T, RunnerError>>) -> Result<T, RunnerError> {
    let patience = Duration::from_millis(limits.wall_ms.into()) + GRACE;
    tokio::time::timeout(patience, work).await.map_err(|_elapsed| RunnerError::Silent)?
}

async fn send(lane: &mut UnixStream, frame: &ToRunner) -> Result<(), RunnerError> {
    let bytes = frame::encode(frame).map_err(gone)?;
    lane.write_all(&bytes).await.map_err(lost)
}

async fn receive(lane: &mut UnixStream) -> Result<FromRunner, RunnerError> {
    let mut prefix = [0; LENGTH_BYTES];
    lane.read_exact(&mut prefix).await.map_err(lost)?;
    let length = frame::length(prefix).map_err(gone)?;
    // Grows with what really comes.
    let mut bytes = Vec::new();
    let received = lane.take(length as u64).read_to_end(&mut bytes).await.map_err(lost)?;
    if received < length {
        return Err(RunnerError::Gone(Some(FrameError::Closed)));
    }
    frame::decode(&bytes).map_err(gone)
}

fn gone(error: FrameError) -> RunnerError {
    RunnerError::Gone(Some(error))
}

fn lost(error: io::Error) -> RunnerError {
    gone(error.into())
}
