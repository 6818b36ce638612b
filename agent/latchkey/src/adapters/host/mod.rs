//! The host functions: what an adapter may have the agent do in the course of one call. A file for each interface; the
//! shapes there are the WIT's, field by field and case by case.

mod http;
mod state;

use std::sync::Arc;
use std::time::Duration;

use latchkey_access::Hosting;
use latchkey_adapters::call::LogLevel;
use latchkey_adapters::{Fault, HostFunction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::installed::{Installed, Terms};
use super::rights::{Missing, Use};
use super::secret::{Secret, Secrets};
use crate::serve::Serve;
pub(super) use http::{Tls, tls};

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

/// `types.denial`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Denial {
    message: String,
    grant: Option<String>,
}

impl Host {
    /// For the same call in another runner.
    pub(super) fn begin_anew(&mut self) {
        self.deadline = Instant::now() + Duration::from_millis(self.terms.limits.wall_ms.into());
        self.http_requests = 0;
    }

    /// Carries out one; a fault ends the call.
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
