//! A mail server of the node's own: takes every mail by SMTP on loopback and keeps it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::ground::Ground;
use super::readiness::Readiness;
use super::supervise::Daemon;
use super::system_user;
use crate::process::Program;

/// The running server.
pub struct MailServer {
    daemon: Arc<Daemon>,
    address: SocketAddr,
    mails: PathBuf,
}

impl MailServer {
    pub(crate) fn start(ground: &Arc<Ground>, port: u16) -> Result<Self> {
        let owner = system_user::named("nobody")?;
        let home = ground.root().directory("smtp", 0o755)?;
        owner.own(&home)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let maildir = home.join("mails");
        let program = Program::new("/usr/bin/python3")
            .args(["-m", "aiosmtpd", "--nosetuid", "--listen"])
            .arg(address.to_string())
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(&maildir)
            .run_as(owner.identity())
            .directory(&home);
        let daemon = ground.launch("smtp", program, Readiness::GreetsAt(address))?;
        daemon.wait_ready()?;
        Ok(Self { daemon, address, mails: maildir.join("new") })
    }

    /// Its daemon.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Where it takes mails, as the agent is told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The mails that it took, in no order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn received(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.mails).with_context(|| format!("read {}", self.mails.display()))?;
        entries.map(|entry| Ok(String::from_utf8_lossy(&fs::read(entry?.path())?).into_owned())).collect()
    }
}
