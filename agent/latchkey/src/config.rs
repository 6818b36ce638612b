//! The configuration file of serve.

mod files;
mod limits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::{databases, phpmyadmin};

pub(crate) use files::Files;
pub(crate) use limits::Limits;

/// Everything that serve is told. `packaging/config/latchkey.toml` documents each line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) state_dir: PathBuf,
    #[serde(default)]
    pub(crate) log: LogFormat,
    pub(crate) broker: Broker,
    pub(crate) panel: Panel,
    pub(crate) gateway: Gateway,
    pub(crate) cli: Socket,
    pub(crate) redeemer: Socket,
    pub(crate) mail: Mail,
    /// Without it there is no SFTP.
    pub(crate) sftp: Option<Sftp>,
    /// Without it there is no FTP.
    pub(crate) ftp: Option<Ftp>,
    #[serde(default)]
    pub(crate) adapters: Adapters,
    /// Without it no adapter reaches MariaDB.
    pub(crate) mysql: Option<databases::Settings>,
    /// Without it there is no phpMyAdmin.
    pub(crate) phpmyadmin: Option<phpmyadmin::Settings>,
    #[serde(default)]
    pub(crate) sso: Sso,
    #[serde(default)]
    pub(crate) invitations: Invitations,
    #[serde(default)]
    pub(crate) files: Files,
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// How the log is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broker {
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    pub(crate) listen: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: PathBuf,
    /// Client certificates that are not let in any more.
    pub(crate) revoked: Option<PathBuf>,
    #[serde(default)]
    pub(crate) peers: Vec<PanelPeer>,
}

/// A client certificate and what it may be used for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PanelPeer {
    /// The one URI among the certificate's subject alternative names.
    pub(crate) uri: String,
    pub(crate) scopes: Vec<Scope>,
    /// How many requests it may make; no limit unless it is set.
    #[serde(default)]
    pub(crate) requests_per_minute: u32,
}

/// What a client certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Acting as the panel itself.
    Panel,
    /// Acting for persons.
    People,
    /// Reading metrics.
    Metrics,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gateway {
    pub(crate) listen: SocketAddr,
    /// The public origin, without a slash at the end.
    pub(crate) url: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    #[serde(default)]
    pub(crate) panel_origins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Socket {
    pub(crate) socket: PathBuf,
}

/// Where adapters are, and what the operator says about them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Adapters {
    /// Where each installed adapter has a folder of its name; the `adapters.directory` of broker.toml.
    pub(crate) directory: PathBuf,
    /// Where the operator's file for each adapter is, by its name.
    pub(crate) operators: PathBuf,
    /// Where the keys of those are who may sign adapters.
    pub(crate) keys: PathBuf,
}

impl Default for Adapters {
    fn default() -> Self {
        Self {
            directory: "/var/lib/latchkey-adapters".into(),
            operators: "/etc/latchkey/adapters.d".into(),
            keys: "/etc/latchkey/adapter-keys".into(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sftp {
    pub(crate) listen: SocketAddr,
    /// The name or address that people are told.
    pub(crate) host: String,
    /// The port that people are told; the one that is listened at unless it is another from outside.
    port: Option<u16>,
    /// The host key; made if it is not there.
    pub(crate) host_key: PathBuf,
}

impl Sftp {
    /// The port that people are told.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.listen.port())
    }
}

/// pure-ftpd is served by itself; this is how people and `latchkey-ftpauth` find the way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ftp {
    /// Where `latchkey-ftpauth` asks.
    pub(crate) socket: PathBuf,
    /// The name or address that people are told.
    pub(crate) host: String,
    #[serde(default = "ftp_port")]
    pub(crate) port: u16,
    /// The server's certificate and key, root's alone. Only `latchkey doctor` looks at it.
    #[serde(default = "ftp_certificate")]
    pub(crate) certificate: PathBuf,
}

fn ftp_certificate() -> PathBuf {
    PathBuf::from("/etc/latchkey/ftp.pem")
}

const fn ftp_port() -> u16 {
    21
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) smtp: Option<String>,
    /// How many letters go to one address within an hour.
    #[serde(default = "letters_per_hour")]
    pub(crate) per_recipient_per_hour: u32,
}

const fn letters_per_hour() -> u32 {
    40
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sso {
    token_life_s: u64,
    session_life_s: u64,
}

impl Default for Sso {
    fn default() -> Self {
        Self { token_life_s: 60, session_life_s: 12 * 3600 }
    }
}

impl Sso {
    /// How long a hand-over can be redeemed.
    pub(crate) const fn token_life(&self) -> Duration {
        Duration::from_secs(self.token_life_s)
    }

    /// How long a WordPress session lasts at most.
    pub(crate) const fn session_life(&self) -> Duration {
        Duration::from_secs(self.session_life_s)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Invitations {
    life_s: u64,
    resend_after_s: u64,
}

impl Default for Invitations {
    fn default() -> Self {
        Self { life_s: 7 * 24 * 3600, resend_after_s: 300 }
    }
}

impl Invitations {
    /// How long an invitation can be accepted by its link.
    pub(crate) const fn life(&self) -> Duration {
        Duration::from_secs(self.life_s)
    }

    /// How long until an invitation can be sent again.
    pub(crate) const fn resend_after(&self) -> Duration {
        Duration::from_secs(self.resend_after_s)
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFault {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("the configuration {} is at fault", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and expectation.
        source: Box<toml::de::Error>,
    },
    /// A value is out of place.
    #[error("{field}: expected {expected}")]
    Value {
        /// The key.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

impl Config {
    /// Reads and checks the file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigFault> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigFault::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Parses and checks the text of the file at `path`, which is named in faults only.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigFault> {
        let config: Self = toml::from_str(text)
            .map_err(|source| ConfigFault::Parse { path: path.to_owned(), source: Box::new(source) })?;
        config.check().map(|()| config)
    }

    fn check(&self) -> Result<(), ConfigFault> {
        let wrong = |field, expected| Err(ConfigFault::Value { field, expected });
        let url = &self.gateway.url;
        if !url.starts_with("https://") || url.ends_with('/') || url.matches('/').count() != 2 {
            return wrong("gateway.url", "an origin like https://access.example.org, without a path");
        }
        if self.mail.directory.is_some() == self.mail.smtp.is_some() {
            return wrong("mail", "either `directory` or `smtp`");
        }
        if !(1..=120).contains(&self.sso.token_life_s) {
            return wrong("sso.token_life_s", "1 to 120 seconds");
        }
        if self.sso.session_life_s == 0 {
            return wrong("sso.session_life_s", "at least one second");
        }
        if self.mail.per_recipient_per_hour == 0 {
            return wrong("mail.per_recipient_per_hour", "at least one letter");
        }
        self.phpmyadmin.as_ref().map_or(Ok(()), phpmyadmin::Settings::check)?;
        if !self.limits.leave_room() {
            return wrong("limits", "at least one handshake and one connection");
        }
        if !self.files.is_a_time() {
            return wrong("files.trash_days", "1 to 365 days");
        }
        if self.invitations.life_s == 0 {
            return wrong("invitations.life_s", "at least one second");
        }
        Ok(())
    }
}
