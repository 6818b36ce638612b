//! The key by which clients know this server: Ed25519 only.

use std::fmt;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, PrivateKey};
use russh::keys::{Algorithm, HashAlg};

/// A host key.
#[derive(Clone)]
pub struct HostKey(PrivateKey);

/// Why something is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// No random bytes.
    #[error("draw random bytes for a host key")]
    Random(#[source] getrandom::Error),
    /// The text is no private key in OpenSSH's form.
    #[error("read the host key")]
    Text(#[source] russh::keys::ssh_key::Error),
    /// The key cannot be written as text.
    #[error("write the host key")]
    Write(#[source] russh::keys::ssh_key::Error),
    /// It is of another kind, or encrypted.
    #[error("the host key is no unencrypted Ed25519 key")]
    Kind,
}

impl HostKey {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn generate() -> Result<Self, HostKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(HostKeyError::Random)?;
        Ok(Self(PrivateKey::from(Ed25519Keypair::from_seed(&seed))))
    }

    /// From a file as `ssh-keygen -t ed25519` writes it, without a passphrase.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn parse(text: &str) -> Result<Self, HostKeyError> {
        let key = PrivateKey::from_openssh(text).map_err(HostKeyError::Text)?;
        if key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted() {
            Ok(Self(key))
        } else {
            Err(HostKeyError::Kind)
        }
    }

    /// The key as [`HostKey::parse`] reads it. A secret.
    ///
    /// # Errors
    /// Never for a key of ours.
    pub fn to_secret_text(&self) -> Result<String, HostKeyError> {
        self.0.to_openssh(LineEnding::LF).map(|text| text.to_string()).map_err(HostKeyError::Write)
    }

    /// What a client shows of it at the first connection: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// Its public half, as `known_hosts` has it after the host's name.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.0.public_key().to_openssh().unwrap_or_default()
    }

    pub(crate) fn private(&self) -> PrivateKey {
        self.0.clone()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_kept_as_text_and_other_kinds_are_refused() {
        let key = HostKey::generate().unwrap();
        let again = HostKey::parse(&key.to_secret_text().unwrap()).unwrap();
        assert_eq!(key.fingerprint(), again.fingerprint());
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert!(key.public_line().starts_with("ssh-ed25519 AAAA"));
        assert!(!format!("{key:?}").contains("PRIVATE"));
        assert!(matches!(HostKey::parse("-----BEGIN"), Err(HostKeyError::Text(_))));
        assert_ne!(key.fingerprint(), HostKey::generate().unwrap().fingerprint());
    }
}
