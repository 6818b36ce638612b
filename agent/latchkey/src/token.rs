//! Tokens that stand in links and cookies: 256 random bits, kept only as a hash; and the random ids of rows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A secret that its holder shows once. It has no `Debug` and is never stored.
pub(crate) struct Token([u8; 32]);

/// What is stored of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

/// The system's source of randomness failed.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness(#[source] getrandom::Error);

impl Token {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The token that stands in a link or cookie; `None` for anything else, without saying why.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// 43 characters of base64url.
    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

/// Random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// A random number for an id.
pub(crate) fn random_number() -> Result<u64, NoRandomness> {
    random_bytes().map(u64::from_le_bytes)
}

/// A random id of 32 hexadecimal digits.
pub(crate) fn random_hex() -> Result<String, NoRandomness> {
    random_bytes().map(|bytes| format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_from_its_text_and_nothing_else_does() {
        let token = Token::generate().unwrap();
        let again = Token::parse(&token.text()).unwrap();
        assert_eq!(token.hash(), again.hash());
        assert_eq!(token.text().len(), 43);
        assert!(Token::parse("").is_none());
        assert!(Token::parse(&token.text()[1..]).is_none());
        assert!(Token::parse(&format!("{}=", token.text())).is_none());
    }
}
