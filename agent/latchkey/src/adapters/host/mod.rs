//! The host functions: what an adapter may have the agent do in the course of one call. A file for each interface;
//! its shapes are in [`latchkey_adapters::host`].

mod by_broker;
mod command;
mod config_file;
mod crontab;
mod http;
mod mysql;
mod state;

use std::sync::Arc;
use std::time::Duration;

use latchkey_access::Hosting;
use latchkey_adapters::call::LogLevel;
use latchkey_adapters::host::Denial;
use latchkey_adapters::{Fault, HostFunction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::installed::{Installed, Terms};
use super::rights::{Missing, Use};
use super::secret::{Secret, Secrets};
use crate::serve::Serve;
pub(super) use http::{Tls, tls};

/// What is left of a call's time when a host function has used up the rest.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Who carries out host functions for one call.
pub(crate) struct Host {
    pub(super) serve: Arc<Serve>,
    pub(super) adapter: Arc<Installed>,
    pub(super) terms: Terms,
    /// The hosting that the call is about.
    pub(super) hosting: Hosting,
    /// Those of this call alone.
    pub(super) secrets: Secrets,
    /// When the call's time is over.
    pub(super) deadline: Instant,
    /// Sent in this call so far.
    pub(super) http_requests: u32,
}

impl Host {
    /// For the same call in another runner.
    pub(super) fn begin_anew(&mut self) {
        self.deadline = Instant::now() + Duration::from_millis(self.terms.limits.wall_ms.into());
        self.http_requests = 0;
    }

    /// Carries out one; a fault ends the call.
    #[expect(clippy::too_many_lines, reason = "one flat match, an arm for each function")]
    pub(super) async fn answer(&mut self, function: HostFunction, arguments: &[u8]) -> Result<Vec<u8>, Fault> {
        match function {
            HostFunction::StateGet => {
                let (key,) = arguments_of(arguments)?;
                encoded(&self.get_state(key).await)
            }
            HostFunction::StateSet => {
                let (key, value) = arguments_of(arguments)?;
                encoded(&self.set_state(key, value).await)
            }
            HostFunction::StateRemove => {
                let (key,) = arguments_of(arguments)?;
                encoded(&self.remove_state(key).await)
            }
            HostFunction::StateKeys => {
                let (prefix,) = arguments_of(arguments)?;
                encoded(&self.state_keys(prefix).await)
            }
            HostFunction::HttpSend => {
                let (request,) = arguments_of(arguments)?;
                encoded(&self.send_http(request).await)
            }
            HostFunction::MysqlListDatabases => encoded(&self.list_databases().await),
            HostFunction::MysqlCreateDatabase => {
                let (name,) = arguments_of(arguments)?;
                encoded(&self.create_database(name).await)
            }
            HostFunction::MysqlRenameDatabase => {
                let (name, new_name) = arguments_of(arguments)?;
                encoded(&self.rename_database(name, new_name).await)
            }
            HostFunction::MysqlDropDatabase => {
                let (name,) = arguments_of(arguments)?;
                encoded(&self.drop_database(name).await)
            }
            HostFunction::MysqlListUsers => encoded(&self.list_database_users().await),
            HostFunction::MysqlCreateUser => {
                let (name, password) = arguments_of(arguments)?;
                encoded(&self.create_database_user(name, password).await)
            }
            HostFunction::MysqlSetPassword => {
                let (name, password) = arguments_of(arguments)?;
                encoded(&self.set_database_password(name, password).await)
            }
            HostFunction::MysqlDropUser => {
                let (name,) = arguments_of(arguments)?;
                encoded(&self.drop_database_user(name).await)
            }
            HostFunction::MysqlSetGrant => {
                let (user, database, privileges) = arguments_of(arguments)?;
                encoded(&self.set_database_grant(user, database, privileges).await)
            }
            HostFunction::MysqlEndConnections => {
                let (user,) = arguments_of(arguments)?;
                encoded(&self.end_database_connections(user).await)
            }
            HostFunction::CommandRun => {
                let (name, arguments) = arguments_of(arguments)?;
                encoded(&self.run_command(name, arguments).await)
            }
            HostFunction::CrontabRead => encoded(&self.read_crontab().await),
            HostFunction::CrontabReplace => {
                let (version, text) = arguments_of(arguments)?;
                encoded(&self.replace_crontab(version, text).await)
            }
            HostFunction::ConfigFileList => {
                let (directory,) = arguments_of(arguments)?;
                encoded(&self.list_config_files(directory).await)
            }
            HostFunction::ConfigFileRead => {
                let (directory, name) = arguments_of(arguments)?;
                encoded(&self.read_config_file(directory, name).await)
            }
            HostFunction::ConfigFileWrite => {
                let (directory, name, version, content) = arguments_of(arguments)?;
                encoded(&self.write_config_file(directory, name, version, content).await)
            }
            HostFunction::ConfigFileRemove => {
                let (directory, name, version) = arguments_of(arguments)?;
                encoded(&self.remove_config_file(directory, name, version).await)
            }
        }
    }

    /// Takes a line of the adapter's.
    pub(super) fn log(&self, level: LogLevel, line: &str) {
        let (adapter, hosting) = (self.name(), self.hosting.id.as_str());
        match level {
            LogLevel::Debug => tracing::debug!(adapter, hosting, "{line}"),
            LogLevel::Info => tracing::info!(adapter, hosting, "{line}"),
            LogLevel::Warn => tracing::warn!(adapter, hosting, "{line}"),
            LogLevel::Error => tracing::error!(adapter, hosting, "{line}"),
        }
    }

    /// Whether the adapter may use something; if not, what is missing, and where it would be written.
    fn check(&self, wanted: Use<'_>) -> Result<(), Denial> {
        let missing = self.adapter.manifest.asks.check(&self.terms.grants, wanted).err();
        missing.map_or(Ok(()), |missing| Err(self.denial(wanted, missing)))
    }

    fn denial(&self, wanted: Use<'_>, missing: Missing) -> Denial {
        match missing {
            Missing::NotGranted(line) => {
                let file = self.adapter.operator.display();
                Denial {
                    message: format!("{wanted} is not granted: it takes `{line}` under [grants] in {file}"),
                    grant: Some(format!("[grants]\n{line}")),
                }
            }
            Missing::NotAsked(line) => {
                let message = format!("{wanted} is not asked for: it takes `{line}` under [asks] in adapter.toml");
                Denial { message, grant: None }
            }
        }
    }

    /// Until when work may go on, so that the adapter can still say what came of it.
    fn last_moment(&self) -> Instant {
        self.deadline.checked_sub(LAST_WORDS).unwrap_or(self.deadline)
    }

    /// A secret of this call, or one that the operator keeps for the hosting.
    fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name).or_else(|| self.terms.secret(self.hosting.id.as_str(), name))
    }

    fn name(&self) -> &str {
        self.adapter.manifest.name.as_str()
    }
}

fn arguments_of<T: DeserializeOwned>(arguments: &[u8]) -> Result<T, Fault> {
    postcard::from_bytes(arguments).map_err(|error| Fault::Protocol(error.to_string()))
}

fn encoded(answer: &impl Serialize) -> Result<Vec<u8>, Fault> {
    postcard::to_stdvec(answer).map_err(|error| Fault::Protocol(error.to_string()))
}
