//! Where people find their file accounts: what the details letter and the gateway's page say.

use latchkey_sftp::HostKey;

use crate::config::Config;

/// Where SFTP and FTP are reached, and where keys and passwords are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileDoors {
    /// The gateway's origin.
    pub(crate) gateway_url: String,
    /// SFTP, if it is served.
    pub(crate) sftp: Option<SftpDoor>,
    /// FTP over TLS, if it is served.
    pub(crate) ftp: Option<FtpDoor>,
}

/// Where SFTP is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SftpDoor {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `SHA256:...` of the host key.
    pub(crate) fingerprint: String,
}

/// Where FTP is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FtpDoor {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FileDoors {
    /// What the configuration names, with the host key of SFTP.
    pub(crate) fn of(config: &Config, key: Option<&HostKey>) -> Self {
        let sftp = config.sftp.as_ref().zip(key).map(|(settings, key)| SftpDoor {
            host: settings.host.clone(),
            port: settings.port(),
            fingerprint: key.fingerprint(),
        });
        let ftp = config.ftp.as_ref().map(|settings| FtpDoor { host: settings.host.clone(), port: settings.port });
        Self { gateway_url: config.gateway.url.clone(), sftp, ftp }
    }

    /// What to type where, for an account that these protocols are open to: one line each.
    pub(crate) fn facts(&self, login: &str, opens: Opens) -> Vec<Fact> {
        let mut facts = vec![Fact::new("Login", login)];
        if let Some(door) = self.sftp.as_ref().filter(|_| opens.sftp) {
            facts.push(Fact::new("SFTP", format!("{}, port {}", door.host, door.port)));
            facts.push(Fact::new("The server's key", door.fingerprint.clone()));
        }
        if let Some(door) = self.ftp.as_ref().filter(|_| opens.ftp) {
            facts.push(Fact::new("FTP, with TLS", format!("{}, port {}", door.host, door.port)));
        }
        facts
    }

    /// The page where the person of a share sets keys and makes a password.
    pub(crate) fn page_of(&self, share: latchkey_access::ShareId) -> String {
        format!("{}/shares/{share}/files", self.gateway_url)
    }
}

/// The protocols that an account is open to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opens {
    pub(crate) sftp: bool,
    pub(crate) ftp: bool,
}

/// Something to type, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }
}
