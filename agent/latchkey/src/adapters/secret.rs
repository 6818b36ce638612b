//! Values that adapters name and never see.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::token::{NoRandomness, random_bytes};

/// A shorter secret is not looked for in answers: it would be found where it is none.
const BLOTTED_FROM_BYTES: usize = 6;

/// Secrets by their names.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// A token or a password. It is not told by what prints values.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// A password of 24 characters of base64url: 144 random bits.
    pub(crate) fn new_password() -> Result<Self, NoRandomness> {
        Ok(Self(URL_SAFE_NO_PAD.encode(random_bytes::<18>()?)))
    }

    /// The value, for where it is sent to.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Secrets in all ways they were written, to be taken out of what comes back.
#[derive(Default)]
pub(crate) struct Blots(Vec<Vec<u8>>);

impl Blots {
    /// One more way.
    pub(crate) fn add(&mut self, written: Vec<u8>) {
        self.0.push(written);
    }

    /// What came back, with stars in their place.
    pub(crate) fn blotted(&self, mut text: Vec<u8>) -> Vec<u8> {
        for secret in self.0.iter().filter(|secret| secret.len() >= BLOTTED_FROM_BYTES) {
            let mut rest = &mut *text;
            while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
                let (found, after) = rest.split_at_mut(at + secret.len());
                found.iter_mut().skip(at).for_each(|byte| *byte = b'*');
                rest = after;
            }
        }
        text
    }
}

#[cfg(test)]
impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}
