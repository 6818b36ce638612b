//! `state`: a few values for each adapter and hosting.

use latchkey_adapters::host::state::StateError;

use super::Host;
use crate::adapters::rights::Use;
use crate::problem::chain;
use crate::store::StoreError;
use crate::store::adapter_state::{self, Of};

/// A key is at most so long.
const KEY_MAX_BYTES: usize = 128;
/// A value is at most so long.
const VALUE_MAX_BYTES: usize = 64 << 10;
/// So many keys for each adapter and hosting.
const KEYS_MAX: usize = 1_000;
/// All values of an adapter and hosting together.
const VALUES_MAX_BYTES: usize = 1 << 20;

impl Host {
    pub(super) async fn get_state(&self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        self.check_state(&key)?;
        let of = self.of();
        let read = self.serve.read(move |connection| adapter_state::load(connection, &of, &key)).await;
        read.map_err(unavailable)
    }

    pub(super) async fn set_state(&self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        self.check_state(&key)?;
        if value.len() > VALUE_MAX_BYTES {
            return Err(StateError::Invalid(format!("value: expected at most {VALUE_MAX_BYTES} bytes")));
        }
        let of = self.of();
        let written = self.serve.write(move |connection| {
            let (keys, bytes) = adapter_state::beside(connection, &of, &key)?;
            if keys >= KEYS_MAX || bytes + value.len() > VALUES_MAX_BYTES {
                return Ok(Err(StateError::Full));
            }
            adapter_state::save(connection, &of, &key, &value).map(Ok)
        });
        written.await.map_err(unavailable)?
    }

    pub(super) async fn remove_state(&self, key: String) -> Result<(), StateError> {
        self.check_state(&key)?;
        let of = self.of();
        let removed = self.serve.write(move |connection| adapter_state::remove(connection, &of, &key)).await;
        removed.map_err(unavailable)
    }

    pub(super) async fn state_keys(&self, prefix: String) -> Result<Vec<String>, StateError> {
        self.check(Use::State).map_err(StateError::Denied)?;
        let of = self.of();
        let read = self.serve.read(move |connection| adapter_state::keys(connection, &of)).await;
        let keys = read.map_err(unavailable)?;
        Ok(keys.into_iter().filter(|key| key.starts_with(&prefix)).collect())
    }

    fn check_state(&self, key: &str) -> Result<(), StateError> {
        self.check(Use::State).map_err(StateError::Denied)?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(is_plain) {
            Ok(())
        } else {
            let expected = format!("key: expected 1 to {KEY_MAX_BYTES} of a-z, 0-9 and ._-/");
            Err(StateError::Invalid(expected))
        }
    }

    fn of(&self) -> Of {
        Of { adapter: self.name().to_owned(), hosting: self.hosting.id.to_string() }
    }
}

/// The log gets the reason, the adapter that there is one.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: StoreError) -> StateError {
    tracing::error!(error = %chain(&error), "what an adapter keeps is out of reach");
    StateError::Unavailable
}
