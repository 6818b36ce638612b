//! The certificates of a node, made by the agent's own command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ground::Ground;
use super::system_user::SystemUser;
use crate::build::setting;
use crate::process::Program;

/// Makes certificates in one directory.
pub(crate) struct Pki {
    directory: PathBuf,
    program: PathBuf,
}

/// File names of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Pki {
    /// Makes a certificate authority.
    pub(crate) fn make(ground: &Ground, latchkey: &Path) -> Result<Self> {
        let directory = ground.root().directory("pki", 0o755)?;
        let pki = Self { directory, program: latchkey.to_path_buf() };
        pki.run("init", &[]).context("make a certificate authority")?;
        // For serve to read, also if this was made under a narrow umask.
        readable_by_all(&pki.directory.join("revoked"))?;
        Ok(pki)
    }

    /// The certificate of the authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A server certificate for 127.0.0.1 whose key belongs to `owner`.
    pub(crate) fn server(&self, name: &str, owner: &SystemUser) -> Result<Certificate> {
        self.run("issue", &["--name", name, "--server", "127.0.0.1"])?;
        let made = self.certificate(name);
        owner.own(&made.key)?;
        self.readable(&made)
    }

    /// A client certificate with this URI as its subject alternative name. An existing one of that name is returned.
    pub(crate) fn client(&self, name: &str, uri: &str) -> Result<Certificate> {
        if !self.certificate(name).certificate.exists() {
            self.run("issue", &["--name", name, "--client-uri", uri])?;
        }
        let made = self.certificate(name);
        if let Some((uid, gid)) = through_sudo() {
            std::os::unix::fs::chown(&made.key, Some(uid), Some(gid)).context("give the key to who called sudo")?;
        }
        self.readable(&made)
    }

    fn certificate(&self, name: &str) -> Certificate {
        let file = |end: &str| self.directory.join(format!("{name}.{end}"));
        Certificate { certificate: file("pem"), key: file("key") }
    }

    /// Certificates are public, also if this was made under a narrow umask.
    fn readable(&self, made: &Certificate) -> Result<Certificate> {
        for file in [&self.ca(), &made.certificate] {
            readable_by_all(file)?;
        }
        Ok(made.clone())
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Result<()> {
        Program::new(&self.program)
            .args(["pki", command, "--dir"])
            .arg(&self.directory)
            .args(arguments.iter().copied())
            .text()
            .map(drop)
    }
}

fn readable_by_all(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
        .with_context(|| format!("set the mode of {}", file.display()))
}

/// Who started us through sudo, if somebody did: the person at the terminal should be able to use the panel's key.
fn through_sudo() -> Option<(u32, u32)> {
    let number = |name: &str| setting(name)?.to_str()?.parse().ok();
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}
