//! The ready file: what a program has to know that wants to use the running demo.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::mutex::lock;

/// The file's content. What is not built is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Ready {
    /// The panel API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) panel: Option<Panel>,
    /// The gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<Gateway>,
    /// SFTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sftp: Option<Sftp>,
    /// FTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ftp: Option<Ftp>,
    /// phpMyAdmin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phpmyadmin: Option<Phpmyadmin>,
    /// The directory that mails are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<PathBuf>,
    /// The email of the owner of the instances.
    pub(crate) owner: String,
    /// The instances, the live one first.
    pub(crate) instances: Vec<ReadyInstance>,
    /// Process ids of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pids: Option<Pids>,
    /// The state directory of serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<PathBuf>,
}

/// How the panel API is called.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Panel {
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
    /// File name of the certificate authority.
    pub(crate) ca: PathBuf,
    /// File name of a client certificate that holds every scope.
    pub(crate) cert: PathBuf,
    /// File name of that certificate's key.
    pub(crate) key: PathBuf,
}

/// How the gateway is reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Gateway {
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
}

/// How phpMyAdmin is reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phpmyadmin {
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
}

/// Where SFTP clients connect.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sftp {
    /// Its address.
    pub(crate) host: IpAddr,
    /// Its port.
    pub(crate) port: u16,
    /// The public half of its key, as `known_hosts` has it after the host's name.
    pub(crate) host_key: String,
}

/// Where FTP clients connect.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ftp {
    /// Its address.
    pub(crate) host: IpAddr,
    /// Its port.
    pub(crate) port: u16,
}

impl Ftp {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { host: address.ip(), port: address.port() }
    }
}

/// One instance.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReadyInstance {
    /// Its id.
    pub(crate) id: String,
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
    /// Where its `wp-load.php` is.
    pub(crate) docroot: PathBuf,
    /// The hosting that it belongs to.
    pub(crate) hosting: String,
    /// Its database.
    pub(crate) database: String,
    /// A WordPress administrator.
    pub(crate) admin: Login,
}

/// A WordPress login.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Login {
    /// Its name.
    pub(crate) login: String,
    /// Its password.
    pub(crate) password: String,
}

/// The process ids of the agent.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Pids {
    /// `latchkey serve`.
    pub(crate) serve: u32,
    /// `latchkey-broker`.
    pub(crate) broker: u32,
    /// `latchkey-ftpauth`.
    pub(crate) ftpauth: u32,
    /// The FTP server.
    pub(crate) pure_ftpd: u32,
}

/// The ready file. It is written once [`ReadyFile::publish`] was called, and again whenever a daemon comes back.
pub(crate) struct ReadyFile {
    path: Option<PathBuf>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    published: bool,
    ready: Ready,
}

impl ReadyFile {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, content: Mutex::default() }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Records that a daemon serves, with its process id.
    pub(crate) fn record_pid(&self, daemon: &str, pid: u32) -> Result<()> {
        let mut content = lock(&self.content);
        let pids = content.ready.pids.get_or_insert_default();
        match daemon {
            "serve" => pids.serve = pid,
            "broker" => pids.broker = pid,
            "ftpauth" => pids.ftpauth = pid,
            "pure-ftpd" => pids.pure_ftpd = pid,
            _ => {}
        }
        self.write(&content)
    }

    /// Sets what `fill` sets and writes the file from now on.
    pub(crate) fn publish(&self, fill: impl FnOnce(&mut Ready)) -> Result<()> {
        let mut content = lock(&self.content);
        fill(&mut content.ready);
        content.published = true;
        self.write(&content)
    }

    /// Removes the file and writes it no more. Safe to repeat.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut content = lock(&self.content);
        match &self.path {
            Some(path) if std::mem::take(&mut content.published) && path.exists() => {
                fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, content: &Content) -> Result<()> {
        let (Some(path), true) = (&self.path, content.published) else { return Ok(()) };
        let mut ready = content.ready.clone();
        ready.pids = ready.pids.filter(|pids| pids.serve != 0);
        let text = serde_json::to_string_pretty(&ready).context("write the ready file as JSON")?;
        let mut name = path.file_name().context("the ready file has no name")?.to_os_string();
        name.push(".new");
        let unnamed = path.with_file_name(name);
        fs::write(&unnamed, text + "\n").with_context(|| format!("write {}", unnamed.display()))?;
        fs::rename(&unnamed, path).with_context(|| format!("rename to {}", path.display()))
    }
}
