//! Where the agent is and on whose behalf it is asked: the options that every client command takes.

use std::path::{Path, PathBuf};

use clap::Args;
use hyper::header::HeaderValue;

use super::client::{CallError, Client};

const DEFAULT_CONFIG: &str = "/etc/latchkey/latchkey.toml";
const DEFAULT_SOCKET: &str = "/run/latchkey/cli.sock";
const DEFAULT_STATE_DIR: &str = "/var/lib/latchkey";

/// Options of every command that talks to the agent.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The agent's command-line socket; without it, the one that --config names, or /run/latchkey/cli.sock.
    #[arg(long, global = true, value_name = "SOCKET", help_heading = "Connection")]
    socket: Option<PathBuf>,
    /// The agent's configuration file, to learn its socket and its state directory.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    config: Option<PathBuf>,
    /// Act for this person, with exactly their rights, instead of for the panel.
    #[arg(long = "as", global = true, value_name = "EMAIL", value_parser = parse_actor, help_heading = "Connection")]
    actor: Option<HeaderValue>,
    /// Print the agent's reply as it is (JSON) instead of a table.
    #[arg(long, global = true, help_heading = "Connection")]
    pub(crate) json: bool,
}

impl Connection {
    /// The configuration of the agent on this node, if it is the agent that these options mean: a socket alone may lead
    /// elsewhere.
    pub(super) fn configuration(&self) -> Option<PathBuf> {
        match (&self.config, &self.socket) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_CONFIG.into()),
        }
    }

    /// Whether somebody's own rights are asked for.
    pub(super) const fn acts_for_a_person(&self) -> bool {
        self.actor.is_some()
    }

    /// A client for these options. Fails when the configuration file is not usable.
    pub(super) fn client(&self) -> Result<Client, CallError> {
        let actor = self.actor.clone().unwrap_or_else(|| HeaderValue::from_static("panel"));
        Client::new(self.socket()?, actor)
    }

    /// The agent's state directory, as the configuration file says.
    pub(super) fn state_dir(&self) -> Result<PathBuf, CallError> {
        let Some(path) = &self.config else { return Ok(DEFAULT_STATE_DIR.into()) };
        match table_in(path)?.get("state_dir").and_then(toml::Value::as_str) {
            Some(directory) => Ok(directory.into()),
            None => Err(CallError::Configuration { path: path.clone(), what: "state_dir: expected a text".into() }),
        }
    }

    /// Where adapters are, as the configuration file says.
    pub(super) fn adapters(&self) -> Result<crate::config::Adapters, CallError> {
        let Some(path) = &self.config else { return Ok(crate::config::Adapters::default()) };
        let Some(section) = table_in(path)?.remove("adapters") else { return Ok(crate::config::Adapters::default()) };
        let fault = |error: toml::de::Error| CallError::Configuration {
            path: path.clone(),
            what: format!("adapters: {}", error.message()),
        };
        section.try_into().map_err(fault)
    }

    fn socket(&self) -> Result<PathBuf, CallError> {
        let Some(path) = self.config.as_ref().filter(|_| self.socket.is_none()) else {
            return Ok(self.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into()));
        };
        match table_in(path)?.get("cli").and_then(|cli| cli.get("socket")) {
            None => Ok(DEFAULT_SOCKET.into()),
            Some(value) => value.as_str().map(Into::into).ok_or_else(|| CallError::Configuration {
                path: path.clone(),
                what: "cli.socket: expected a text".into(),
            }),
        }
    }
}

fn table_in(path: &Path) -> Result<toml::Table, CallError> {
    let fault = |what: String| CallError::Configuration { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| fault(error.message().to_owned()))
}

fn parse_actor(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|_| text.contains('@') && text.is_ascii())
        .ok_or_else(|| "expected an email address in ASCII (an international domain begins with xn--)".to_owned())
}
