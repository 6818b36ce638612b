//! The host interface `state`, with the agent's rules for keys and sizes.

use std::collections::BTreeMap;

use latchkey_adapters::host::state::StateError;
use serde_json::Value;

use super::{Misunderstood, Model, decoded, encoded, unknown};

const KEY_MAX_BYTES: usize = 128;
const VALUE_MAX_BYTES: usize = 64 << 10;
const KEYS_MAX: usize = 1_000;
const VALUES_MAX_BYTES: usize = 1 << 20;

/// What an adapter keeps.
#[derive(Debug, Default)]
pub(super) struct State(BTreeMap<String, Vec<u8>>);

impl Model for State {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "get" => {
                let (key,): (String,) = decoded(arguments)?;
                encoded(&check(&key).map(|()| self.0.get(&key)))
            }
            "set" => {
                let (key, value): (String, Vec<u8>) = decoded(arguments)?;
                encoded(&check(&key).and_then(|()| self.set(key, value)))
            }
            "remove" => {
                let (key,): (String,) = decoded(arguments)?;
                encoded(&check(&key).map(|()| drop(self.0.remove(&key))))
            }
            "keys" => {
                let (prefix,): (String,) = decoded(arguments)?;
                let keys: Vec<_> = self.0.keys().filter(|key| key.starts_with(&prefix)).collect();
                encoded(&Ok::<_, StateError>(keys))
            }
            _ => Err(unknown(function)),
        }
    }

    /// Keys alone: what is kept under one may tell when it was written.
    fn kept(&self) -> Value {
        self.0.keys().map(String::as_str).collect()
    }
}

impl State {
    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        if value.len() > VALUE_MAX_BYTES {
            return Err(StateError::Invalid(format!("value: expected at most {VALUE_MAX_BYTES} bytes")));
        }
        let beside = self.0.iter().filter(|(other, _)| **other != key);
        let (keys, bytes) = beside.fold((0, 0), |(keys, bytes), (_, value)| (keys + 1, bytes + value.len()));
        if keys >= KEYS_MAX || bytes + value.len() > VALUES_MAX_BYTES {
            return Err(StateError::Full);
        }
        self.0.insert(key, value);
        Ok(())
    }
}

fn check(key: &str) -> Result<(), StateError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
    if (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(StateError::Invalid(format!("key: expected 1 to {KEY_MAX_BYTES} of a-z, 0-9 and ._-/")))
    }
}
