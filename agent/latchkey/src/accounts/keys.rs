//! SSH public keys as people hand them in: lines of an `authorized_keys` file, without options.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use ssh_key::authorized_keys::Entry;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// An account has no more.
const MOST_KEYS: usize = 20;
const LONGEST_LINE: usize = 8 << 10;
const SHORTEST_RSA_BITS: usize = 2048;

/// A public key that lets in, as `algorithm base64 comment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AuthorizedKey {
    line: String,
}

/// Why a line is no key that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum KeyFault {
    #[error("expected one line of at most {LONGEST_LINE} bytes, like: ssh-ed25519 AAAA... name")]
    Line,
    #[error("this is no public key that can be read; expected one like: ssh-ed25519 AAAA... name")]
    Unreadable,
    #[error("this is a private key: keep it to yourself, and hand in the file beside it whose name ends in .pub")]
    Private,
    #[error("expected no options before the key")]
    Options,
    #[error("expected an Ed25519, ECDSA or RSA key")]
    Algorithm,
    #[error("expected an RSA key of at least {SHORTEST_RSA_BITS} bits")]
    ShortRsa,
}

impl AuthorizedKey {
    /// Parses the keys of an account. Empty lines and comments count for nothing, and neither does the same key twice.
    pub(crate) fn parse_all(lines: &[String]) -> Result<Vec<Self>, Problem> {
        let mut keys: Vec<Self> = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key =
                Self::parse(line).map_err(|fault| Problem::invalid(format!("keys[{index}]"), fault.to_string()))?;
            if keys.iter().all(|known| known.blob() != key.blob()) {
                keys.push(key);
            }
        }
        if keys.len() > MOST_KEYS {
            return Err(Problem::invalid("keys", format!("expected at most {MOST_KEYS} keys")));
        }
        Ok(keys)
    }

    fn parse(line: &str) -> Result<Self, KeyFault> {
        if line.contains("PRIVATE KEY") {
            return Err(KeyFault::Private);
        }
        if line.len() > LONGEST_LINE || line.contains(char::is_control) {
            return Err(KeyFault::Line);
        }
        let entry: Entry = line.parse().map_err(|_| KeyFault::Unreadable)?;
        if !entry.config_opts().is_empty() {
            return Err(KeyFault::Options);
        }
        let key = entry.public_key();
        match key.key_data() {
            KeyData::Ed25519(_) | KeyData::Ecdsa(_) => {}
            KeyData::Rsa(rsa) => {
                let modulus = rsa.n().as_positive_bytes().unwrap_or_default();
                let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
                if modulus.len() * 8 - zeros < SHORTEST_RSA_BITS {
                    return Err(KeyFault::ShortRsa);
                }
            }
            _ => return Err(KeyFault::Algorithm),
        }
        let line = key.to_openssh().map_err(|_| KeyFault::Unreadable)?;
        Ok(Self { line })
    }

    /// Whether it is the key with these bytes, as SSH sends them.
    pub(crate) fn is(&self, wire: &[u8]) -> bool {
        let blob = STANDARD.decode(self.blob()).unwrap_or_default();
        blob.ct_eq(wire).into()
    }

    /// How people tell keys apart: `SHA256:...`, with the key's comment.
    pub(crate) fn fingerprint(&self) -> String {
        match PublicKey::from_openssh(&self.line) {
            Ok(key) => format!("{} {}", key.fingerprint(HashAlg::Sha256), key.comment()).trim_end().to_owned(),
            Err(_) => String::new(),
        }
    }

    /// The line, as it may be handed in again.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    fn blob(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6cUxmyTbAvO1GDhOXXtYcGFFKK8ZRGFJqUl3GIcFUt jo@laptop";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= e";

    fn rsa(bits: usize) -> String {
        let mut wire = Vec::new();
        let mut put = |bytes: &[u8]| {
            wire.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            wire.extend(bytes);
        };
        put(b"ssh-rsa");
        put(&[1, 0, 1]);
        // The sign's byte, then a number of exactly so many bits.
        put(&[&[0_u8, 0x80][..], &vec![1; bits / 8 - 1]].concat());
        format!("ssh-rsa {} r", STANDARD.encode(wire))
    }

    #[track_caller]
    fn check(line: &str, expected: Result<(), KeyFault>) {
        assert_eq!(AuthorizedKey::parse(line).map(drop), expected, "{line}");
    }

    #[test]
    fn only_keys_that_are_strong_and_come_without_options_are_taken() {
        check(ED25519, Ok(()));
        check(ECDSA, Ok(()));
        check(&rsa(2048), Ok(()));
        check(&rsa(2040), Err(KeyFault::ShortRsa));
        check(&rsa(1024), Err(KeyFault::ShortRsa));
        check(&format!("command=\"rm\" {ED25519}"), Err(KeyFault::Options));
        check(&format!("no-pty {ED25519}"), Err(KeyFault::Options));
        check("ssh-ed25519", Err(KeyFault::Unreadable));
        check("ssh-ed25519 AAAA", Err(KeyFault::Unreadable));
        check("-----BEGIN OPENSSH PRIVATE KEY-----", Err(KeyFault::Private));
        check(&format!("{ED25519}\nssh-ed25519 x"), Err(KeyFault::Line));
        check(&format!("{ED25519} {}", "x".repeat(LONGEST_LINE)), Err(KeyFault::Line));
    }

    #[test]
    fn a_list_names_the_line_at_fault_and_is_bounded() {
        let many = |count| (0..count).map(distinct).collect::<Vec<String>>();
        assert_eq!(AuthorizedKey::parse_all(&many(20)).unwrap().len(), 20);
        assert_eq!(AuthorizedKey::parse_all(&many(21)).unwrap_err().field.as_deref(), Some("keys"));
        let lines = [ED25519, "", "# mine", ED25519].map(str::to_owned);
        assert_eq!(AuthorizedKey::parse_all(&lines).unwrap().len(), 1);
        let wrong = [ED25519, "", "x"].map(str::to_owned);
        assert_eq!(AuthorizedKey::parse_all(&wrong).unwrap_err().field.as_deref(), Some("keys[2]"));
    }

    fn distinct(number: u8) -> String {
        let wire = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[number; 32]].concat();
        format!("ssh-ed25519 {}", STANDARD.encode(wire))
    }

    #[test]
    fn a_key_is_known_by_its_bytes() {
        let key = AuthorizedKey::parse(ED25519).unwrap();
        let wire = STANDARD.decode(key.blob()).unwrap();
        assert!(key.is(&wire) && !key.is(&wire[1..]) && !key.is(&[]));
        assert!(key.fingerprint().starts_with("SHA256:") && key.fingerprint().ends_with(" jo@laptop"));
    }
}
