//! What the broker does by the operator's own files about adapters: commands, and configuration files.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use latchkey_protocol::{
    COMMAND_STDERR_MAX_BYTES, COMMAND_STDOUT_MAX_BYTES, CommandCall, CommandEnd, ConfigFileCall, ConfigFileCame,
    FrameSocket, Reply, Request, seal_text,
};

use super::{BrokerError, count, exchange_over};

/// The broker ends what it runs in time; for saying so it has so much longer.
const GRACE: Duration = Duration::from_secs(5);

/// The longest configuration file.
const CONTENT_MAX_BYTES: u64 = 1 << 20;

/// A command of the operator's that ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct CommandEnded {
    pub(crate) end: CommandEnd,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a command of the operator's over a connection of its own. Blocks until it has ended, for so long and a little; it
/// is ended when the connection is.
pub(crate) fn run_command(
    connection: &FrameSocket,
    call: CommandCall,
    patience: Duration,
) -> Result<CommandEnded, BrokerError> {
    ended(connection, Request::RunCommand(call), patience)
}

/// Has a command run, and answers with how it ended and what it wrote. Blocks as [`run_command`] does.
pub(super) fn ended(
    connection: &FrameSocket,
    request: Request,
    patience: Duration,
) -> Result<CommandEnded, BrokerError> {
    let came = exchange_over(connection, request, &[], patience + GRACE);
    count(&came);
    let (reply, descriptors) = came?;
    let Reply::CommandEnded { end, stdout_bytes } = reply else { return Err(BrokerError::Unexpected) };
    let most = (COMMAND_STDOUT_MAX_BYTES + COMMAND_STDERR_MAX_BYTES) as u64;
    let mut stdout = content(descriptors, most)?;
    let stdout_bytes = usize::try_from(stdout_bytes).unwrap_or(usize::MAX).min(stdout.len());
    let stderr = stdout.split_off(stdout_bytes);
    Ok(CommandEnded { end, stdout, stderr })
}

/// Reads or changes a configuration file over a connection of its own; answers with what came of it, and with the content of
/// one that was read. Blocks for so long and a little; what is not confirmed is taken back when the connection ends.
pub(crate) fn config_file(
    connection: &FrameSocket,
    call: ConfigFileCall,
    written: Option<&[u8]>,
    patience: Duration,
) -> Result<(ConfigFileCame, Vec<u8>), BrokerError> {
    let written = written.map(seal_text).transpose().map_err(|errno| BrokerError::Text(errno.into()))?;
    let beside: Vec<_> = written.iter().map(|file| file.as_fd()).collect();
    let came = exchange_over(connection, Request::ConfigFile(call), &beside, patience + GRACE);
    count(&came);
    match came? {
        (Reply::ConfigFile(came), descriptors) => Ok((came, content(descriptors, CONTENT_MAX_BYTES)?)),
        _ => Err(BrokerError::Unexpected),
    }
}

/// What is in a file that was handed over; nothing without one.
fn content(descriptors: Vec<OwnedFd>, most: u64) -> Result<Vec<u8>, BrokerError> {
    let mut content = Vec::new();
    if let Some(file) = descriptors.into_iter().next() {
        File::from(file).take(most).read_to_end(&mut content).map_err(BrokerError::HandedOver)?;
    }
    Ok(content)
}
