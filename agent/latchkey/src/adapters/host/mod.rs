//! The host functions: what an adapter may have the agent do in the course of one call.

use std::sync::Arc;

use latchkey_adapters::call::LogLevel;
use latchkey_adapters::{Fault, HostFunction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::installed::{Installed, Rights};
use crate::problem::chain;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::adapter_state::{self, Of};

/// A key is at most so long.
const KEY_MAX_BYTES: usize = 128;
/// A value is at most so long.
const VALUE_MAX_BYTES: usize = 64 << 10;
/// So many keys for each adapter and hosting.
const KEYS_MAX: usize = 1_000;
/// All values of an adapter and hosting together.
const VALUES_MAX_BYTES: usize = 1 << 20;

/// Who carries out host functions for one call.
pub(crate) struct Host {
    pub(super) serve: Arc<Serve>,
    pub(super) adapter: Arc<Installed>,
    /// The hosting that the call is about.
    pub(super) hosting: String,
}

/// `types.denial`. The shapes here are the WIT's, field by field and case by case.
#[derive(Debug, Serialize, Deserialize)]
struct Denial {
    message: String,
    grant: Option<String>,
}

/// `state.state-error`.
#[derive(Debug, Serialize, Deserialize)]
enum StateError {
    Denied(Denial),
    Invalid(String),
    Full,
    Unavailable,
}

impl Host {
    /// Carries out one; a fault ends the call.
    pub(super) async fn answer(&mut self, function: HostFunction, arguments: &[u8]) -> Result<Vec<u8>, Fault> {
        match function {
            HostFunction::StateGet => {
                let (key,) = arguments_of(arguments)?;
                encoded(&self.get(key).await)
            }
            HostFunction::StateSet => {
                let (key, value) = arguments_of(arguments)?;
                encoded(&self.set(key, value).await)
            }
            HostFunction::StateRemove => {
                let (key,) = arguments_of(arguments)?;
                encoded(&self.remove(key).await)
            }
            HostFunction::StateKeys => {
                let (prefix,) = arguments_of(arguments)?;
                encoded(&self.keys(prefix).await)
            }
        }
    }

    /// Takes a line of the adapter's.
    pub(super) fn log(&self, level: LogLevel, line: &str) {
        let (adapter, hosting) = (self.name(), self.hosting.as_str());
        match level {
            LogLevel::Debug => tracing::debug!(adapter, hosting, "{line}"),
            LogLevel::Info => tracing::info!(adapter, hosting, "{line}"),
            LogLevel::Warn => tracing::warn!(adapter, hosting, "{line}"),
            LogLevel::Error => tracing::error!(adapter, hosting, "{line}"),
        }
    }

    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        self.check_state(&key)?;
        let of = self.of();
        let read = self.serve.read(move |connection| adapter_state::load(connection, &of, &key)).await;
        read.map_err(unavailable)
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        self.check_state(&key)?;
        if value.len() > VALUE_MAX_BYTES {
            return Err(StateError::Invalid(format!("value: expected at most {VALUE_MAX_BYTES} bytes")));
        }
        let of = self.of();
        let written = self.serve.write(move |connection| {
            let (keys, bytes) = adapter_state::beside(connection, &of, &key)?;
            if keys >= KEYS_MAX || bytes + value.len() > VALUES_MAX_BYTES {
                return Ok(Err(StateError::Full));
            }
            adapter_state::save(connection, &of, &key, &value).map(Ok)
        });
        written.await.map_err(unavailable)?
    }

    async fn remove(&self, key: String) -> Result<(), StateError> {
        self.check_state(&key)?;
        let of = self.of();
        let removed = self.serve.write(move |connection| adapter_state::remove(connection, &of, &key)).await;
        removed.map_err(unavailable)
    }

    async fn keys(&self, prefix: String) -> Result<Vec<String>, StateError> {
        self.check_granted()?;
        let of = self.of();
        let read = self.serve.read(move |connection| adapter_state::keys(connection, &of)).await;
        let keys = read.map_err(unavailable)?;
        Ok(keys.into_iter().filter(|key| key.starts_with(&prefix)).collect())
    }

    fn check_state(&self, key: &str) -> Result<(), StateError> {
        self.check_granted()?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(is_plain) {
            Ok(())
        } else {
            let expected = format!("key: expected 1 to {KEY_MAX_BYTES} of a-z, 0-9 and ._-/");
            Err(StateError::Invalid(expected))
        }
    }

    fn check_granted(&self) -> Result<(), StateError> {
        if self.adapter.rights.state {
            return Ok(());
        }
        Err(StateError::Denied(self.denial("state", self.adapter.manifest.asks.state, Rights::STATE)))
    }

    /// Says what is missing, and where it would be written.
    fn denial(&self, interface: &str, is_asked: bool, line: &str) -> Denial {
        if is_asked {
            let file = self.adapter.operator.display();
            Denial {
                message: format!("{interface} is not granted: it takes `{line}` under [grants] in {file}"),
                grant: Some(format!("[grants]\n{line}")),
            }
        } else {
            let message = format!("{interface} is not asked for: it takes `{line}` under [asks] in adapter.toml");
            Denial { message, grant: None }
        }
    }

    fn name(&self) -> &str {
        self.adapter.manifest.name.as_str()
    }

    fn of(&self) -> Of {
        Of { adapter: self.name().to_owned(), hosting: self.hosting.clone() }
    }
}

/// The log gets the reason, the adapter that there is one.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: StoreError) -> StateError {
    tracing::error!(error = %chain(&error), "what an adapter keeps is out of reach");
    StateError::Unavailable
}

fn arguments_of<T: DeserializeOwned>(arguments: &[u8]) -> Result<T, Fault> {
    postcard::from_bytes(arguments).map_err(|error| Fault::Protocol(error.to_string()))
}

fn encoded(answer: &impl Serialize) -> Result<Vec<u8>, Fault> {
    postcard::to_stdvec(answer).map_err(|error| Fault::Protocol(error.to_string()))
}
