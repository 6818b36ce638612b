//! `command`: commands that the operator wrote down, run by the broker, which reads for itself what they are.

use latchkey_adapters::host::command::{Argument, CommandError, Output};
use latchkey_protocol::{CommandArgument, CommandCall, CommandEnd, CommandSecret, RefusalCode};

use super::Host;
use super::by_broker::{self, NotAsked};
use crate::adapters::grant_name::GrantName;
use crate::adapters::rights::Use;
use crate::adapters::secret::Blots;
use crate::broker::{self, BrokerError, CommandEnded};
use crate::problem::chain;

/// So many values at most.
const ARGUMENTS_MAX: usize = 32;

/// Their names and values, all together; however they are written they fit into a frame.
const ARGUMENTS_MAX_BYTES: usize = 8 * 1024;

impl Host {
    pub(super) async fn run_command(
        &self,
        name: String,
        arguments: Vec<(String, Argument)>,
    ) -> Result<Output, CommandError> {
        let name: GrantName = name.parse().map_err(|error| CommandError::Invalid(format!("name: {error}")))?;
        self.check(Use::Command(&name)).map_err(CommandError::Denied)?;
        let (arguments, blots) = self.resolved(arguments).map_err(CommandError::Invalid)?;
        let patience = self.time_left().ok_or(CommandError::Busy)?;
        let call = CommandCall {
            adapter: self.name().to_owned(),
            hosting: self.hosting.id.to_string(),
            command: name.to_string(),
            arguments,
            deadline_ms: by_broker::millis(patience),
        };
        let came = self.have_broker(move |connection| broker::run_command(connection, call, patience)).await;
        let came = came.map_err(|NotAsked| CommandError::Busy).and_then(|came| came.map_err(not_run).and_then(output));
        let (adapter, hosting) = (self.name(), self.hosting.id.as_str());
        match &came {
            Ok(output) => {
                tracing::info!(adapter, hosting, command = %name, code = output.code, "an adapter's command ended");
            }
            Err(error) => {
                tracing::warn!(adapter, hosting, command = %name, ?error, "an adapter's command did not work");
            }
        }
        came.map(|Output { code, stdout, stderr }| {
            let [stdout, stderr] = [stdout, stderr].map(|written| blots.blotted(written));
            Output { code, stdout, stderr }
        })
    }

    /// The values of a call, and what is to be blotted out of what the command writes.
    fn resolved(&self, arguments: Vec<(String, Argument)>) -> Result<(Vec<(String, CommandArgument)>, Blots), String> {
        let length = |(name, value): &(String, Argument)| {
            let (Argument::Text(value) | Argument::Secret(value)) = value;
            name.len() + value.len()
        };
        if arguments.len() > ARGUMENTS_MAX || arguments.iter().map(length).sum::<usize>() > ARGUMENTS_MAX_BYTES {
            return Err(format!("arguments: expected at most {ARGUMENTS_MAX}, of {ARGUMENTS_MAX_BYTES} bytes in all"));
        }
        let mut blots = Blots::default();
        let mut resolved = Vec::new();
        for (name, value) in arguments {
            let value = match value {
                Argument::Text(text) => CommandArgument::Text(text),
                Argument::Secret(secret) => {
                    let missing = || {
                        format!(
                            "{name}: {secret:?}: expected a secret of this call or of the operator's for this hosting"
                        )
                    };
                    let value = self.secret(&secret).ok_or_else(missing)?.reveal();
                    blots.add(value.as_bytes().to_vec());
                    CommandArgument::Secret(CommandSecret(value.to_owned()))
                }
            };
            resolved.push((name, value));
        }
        Ok((resolved, blots))
    }
}

fn output(ended: CommandEnded) -> Result<Output, CommandError> {
    let CommandEnded { end, stdout, stderr } = ended;
    match end {
        CommandEnd::Exited { code } => Ok(Output { code: Some(code), stdout, stderr }),
        CommandEnd::Signalled { .. } => Ok(Output { code: None, stdout, stderr }),
        CommandEnd::TimedOut => Err(CommandError::Ended("its time was over".to_owned())),
        CommandEnd::TooMuch => Err(CommandError::Ended("it wrote more than it may".to_owned())),
    }
}

fn not_run(error: BrokerError) -> CommandError {
    match error {
        BrokerError::Refused { code: RefusalCode::Busy, .. } => CommandError::Busy,
        BrokerError::Refused { code: RefusalCode::Invalid, field: Some(field), message } if field == "arguments" => {
            CommandError::Invalid(message)
        }
        BrokerError::Refused { code: RefusalCode::Invalid | RefusalCode::NotFound, message, .. } => {
            CommandError::NotStarted(message)
        }
        BrokerError::Refused { code: RefusalCode::Changed | RefusalCode::Internal, .. }
        | BrokerError::Unreachable(_)
        | BrokerError::HandedOver(_)
        | BrokerError::Text(_)
        | BrokerError::Unexpected => {
            tracing::warn!(error = %chain(&error), "what came of a command is not known");
            CommandError::Ended("the agent's broker did not say what came of it".to_owned())
        }
    }
}
