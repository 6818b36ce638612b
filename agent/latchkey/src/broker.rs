//! The broker as serve sees it: one request, one reply, on a connection of its own.

mod cron_run;
mod crontab;
mod operators;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use latchkey_files::mount::MountId;
use latchkey_protocol::{
    Asked, CRONTAB_MAX_BYTES, Confinement, FrameError, FrameSocket, HostingRegistration, RecordedHead, RefusalCode,
    RegisteredHosting, Reply, Request,
};
use rustix::net::Shutdown;

pub(crate) use cron_run::run_cron_entry;
pub(crate) use crontab::replace_crontab;
pub(crate) use operators::{CommandEnded, config_file, run_command};

use crate::counted::COUNTED;
use crate::problem::{Code, Problem};
use crate::request;
use crate::store::audit::Head;

/// Requests other than PHP calls are answered at once; a broker that is not is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The compiler has a minute of processor time, which may take longer.
const COMPILER_PATIENCE: Duration = Duration::from_secs(180);

/// Why the broker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// It cannot be reached or hung up.
    #[error("the broker does not answer")]
    Unreachable(#[from] FrameError),
    /// It refused.
    #[error("the broker refused: {message}")]
    Refused {
        /// Why.
        code: RefusalCode,
        /// The field at fault.
        field: Option<String>,
        /// What was expected.
        message: String,
    },
    /// A descriptor that it handed over could not be read.
    #[error("what the broker handed over cannot be read")]
    HandedOver(#[source] io::Error),
    /// What it was to be handed could not be made.
    #[error("what goes to the broker cannot be put into memory")]
    Text(#[source] io::Error),
    /// It answered something else.
    #[error("the broker answered something unexpected")]
    Unexpected,
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Refused { code: RefusalCode::Invalid, field, message } => {
                Self { field, ..Self::new(Code::Invalid, message) }
            }
            BrokerError::Refused { code: RefusalCode::NotFound, message, .. } => Self::new(Code::NotFound, message),
            BrokerError::Refused { code: RefusalCode::Changed, message, .. } => Self::new(Code::Conflict, message),
            BrokerError::Refused { code: RefusalCode::Busy, .. } => {
                Self::new(Code::Busy, "too many calls to sites of this node at the moment").retry_after(1)
            }
            BrokerError::Refused { code: RefusalCode::Internal, .. }
            | BrokerError::HandedOver(_)
            | BrokerError::Text(_)
            | BrokerError::Unexpected => Self::internal(&error),
            BrokerError::Unreachable(_) => {
                tracing::warn!(error = %crate::problem::chain(&error), "the broker does not answer");
                Self::new(Code::Unavailable, "the agent's broker does not answer").retry_after(2)
            }
        }
    }
}

/// The broker's address.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    socket: PathBuf,
}

impl Broker {
    /// The broker that listens there.
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Opens a connection for one request.
    pub(crate) fn connect(&self) -> Result<FrameSocket, FrameError> {
        FrameSocket::connect(&self.socket)
    }

    /// Registers a hosting; answers with the ids that the broker found. Blocks.
    pub(crate) fn register(&self, hosting: HostingRegistration) -> Result<RegisteredHosting, BrokerError> {
        match self.ask(Request::RegisterHosting(hosting))? {
            Reply::Hostings { items } => items.into_iter().next().ok_or(BrokerError::Unexpected),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// Makes the broker forget a hosting; false if it had none of this name. Blocks.
    pub(crate) fn drop_hosting(&self, hosting: String) -> Result<bool, BrokerError> {
        match self.ask(Request::DropHosting { hosting }) {
            Ok(Reply::Done) => Ok(true),
            Err(BrokerError::Refused { code: RefusalCode::NotFound, .. }) => Ok(false),
            Ok(_) => Err(BrokerError::Unexpected),
            Err(error) => Err(error),
        }
    }

    /// Gives the broker the newest end of the audit's chain, which serve cannot rewrite there. Blocks.
    pub(crate) fn record_audit_head(&self, seq: u64, hash: String) -> Result<(), BrokerError> {
        match self.ask(Request::RecordAuditHead { seq, hash })? {
            Reply::Done => Ok(()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// Recorded heads of the audit, and where the next ones are. Blocks.
    pub(crate) fn audit_heads(&self, from: u64) -> Result<(Vec<RecordedHead>, Option<u64>), BrokerError> {
        match self.ask(Request::ReadAuditHeads { from })? {
            Reply::AuditHeads { items, next } => Ok((items, next)),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// Lets the audit go on from an older row. The broker takes this from root only. Blocks.
    pub(crate) fn set_audit_back(&self, to: u64, head: Head) -> Result<(), BrokerError> {
        match self.ask(Request::SetAuditBack { to, seq: head.seq, hash: head.hash })? {
            Reply::Done => Ok(()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// What confines a PHP call on this node. Blocks.
    pub(crate) fn confinement(&self) -> Result<Confinement, BrokerError> {
        match self.ask(Request::DescribeConfinement)? {
            Reply::Confinement(confinement) => Ok(confinement),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// The broker's version. Blocks.
    pub(crate) fn version(&self) -> Result<String, BrokerError> {
        match self.ask(Request::About)? {
            Reply::About { version } => Ok(version),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// The crontab of a hosting's system user; `None` when it has none. Blocks.
    pub(crate) fn read_crontab(&self, hosting: String) -> Result<Option<Vec<u8>>, BrokerError> {
        let (reply, descriptors) = self.ask_for_descriptors(Request::ReadCrontab { hosting })?;
        let Reply::Crontab = reply else { return Err(BrokerError::Unexpected) };
        let Some(crontab) = descriptors.into_iter().next() else { return Ok(None) };
        let mut content = Vec::new();
        // A regular file by the broker's word, which somebody may be making longer at this moment.
        let read = File::from(crontab).take(CRONTAB_MAX_BYTES).read_to_end(&mut content);
        read.map(|_| Some(content)).map_err(BrokerError::HandedOver)
    }

    /// A log of a hosting, opened for reading; `None` where there is no such file. Blocks.
    pub(crate) fn open_log(&self, hosting: String, path: String) -> Result<Option<OwnedFd>, BrokerError> {
        match self.ask_for_descriptors(Request::OpenLog { hosting, path })? {
            (Reply::Log, descriptors) => Ok(descriptors.into_iter().next()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// A files worker of a hosting: serve's end of its socket, and the mount of the home. Blocks.
    pub(crate) fn open_files(&self, hosting: String) -> Result<(FrameSocket, MountId), BrokerError> {
        let (reply, descriptors) = self.ask_for_descriptors(Request::OpenFiles { hosting })?;
        match (reply, descriptors.into_iter().next()) {
            (Reply::Files { mount }, Some(worker)) => Ok((worker.into(), MountId(mount))),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// Kills the files workers of a hosting; they are gone when it returns. A hosting that the broker does not know has
    /// none. Blocks.
    pub(crate) fn stop_files(&self, hosting: String) -> Result<(), BrokerError> {
        match self.ask(Request::StopFiles { hosting }) {
            Ok(Reply::Done) | Err(BrokerError::Refused { code: RefusalCode::NotFound, .. }) => Ok(()),
            Ok(_) => Err(BrokerError::Unexpected),
            Err(error) => Err(error),
        }
    }

    /// Has an installed adapter compiled, unless it was. Blocks, for up to a minute.
    pub(crate) fn compile_adapter(&self, adapter: String) -> Result<(), BrokerError> {
        let replied = self.exchange(Request::CompileAdapter { adapter }, COMPILER_PATIENCE);
        count(&replied);
        match replied?.0 {
            Reply::Done => Ok(()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// A runner of an adapter: serve's end of the socket to it. Blocks.
    pub(crate) fn open_runner(&self, adapter: String) -> Result<FrameSocket, BrokerError> {
        let (reply, descriptors) = self.ask_for_descriptors(Request::OpenRunner { adapter })?;
        match (reply, descriptors.into_iter().next()) {
            (Reply::Runner, Some(runner)) => Ok(runner.into()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    /// Kills the runners of an adapter; they are gone when it returns. Blocks.
    pub(crate) fn stop_runner(&self, adapter: String) -> Result<(), BrokerError> {
        match self.ask(Request::StopRunner { adapter })? {
            Reply::Done => Ok(()),
            _ => Err(BrokerError::Unexpected),
        }
    }

    fn ask(&self, request: Request) -> Result<Reply, BrokerError> {
        self.ask_for_descriptors(request).map(|(reply, _)| reply)
    }

    fn ask_for_descriptors(&self, request: Request) -> Result<(Reply, Vec<OwnedFd>), BrokerError> {
        let replied = self.exchange(request, PATIENCE);
        count(&replied);
        replied
    }

    fn exchange(&self, request: Request, patience: Duration) -> Result<(Reply, Vec<OwnedFd>), BrokerError> {
        exchange_over(&self.connect()?, request, &[], patience)
    }
}

/// Hangs up when its user is gone, so that the broker ends what it does for them. What it says after that can still be
/// heard.
struct HangsUp(Arc<FrameSocket>);

impl HangsUp {
    fn hang_up(&self) {
        // One that is closed already is as good.
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Write);
    }
}

impl Drop for HangsUp {
    fn drop(&mut self) {
        self.hang_up();
    }
}

fn exchange_over(
    connection: &FrameSocket,
    request: Request,
    beside: &[BorrowedFd<'_>],
    patience: Duration,
) -> Result<(Reply, Vec<OwnedFd>), BrokerError> {
    connection.set_timeouts(Some(patience))?;
    connection.send(&asked(request), beside)?;
    match connection.receive::<Reply>()? {
        (Reply::Refused { code, field, message }, _) => Err(BrokerError::Refused { code, field, message }),
        answer => Ok(answer),
    }
}

/// The request as part of the one under way.
pub(crate) fn asked(request: Request) -> Asked {
    Asked { request_id: request::current_id(), request }
}

/// Counts what came of a request to the broker.
pub(crate) fn count<T>(outcome: &Result<T, BrokerError>) {
    match outcome {
        Ok(_) => COUNTED.broker_done.count(),
        Err(BrokerError::Refused { .. }) => COUNTED.broker_refused.count(),
        Err(
            BrokerError::Unreachable(_) | BrokerError::HandedOver(_) | BrokerError::Text(_) | BrokerError::Unexpected,
        ) => COUNTED.broker_unreachable.count(),
    }
}
