//! How much the folder of an account of a hosting may hold.

use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// 1 TiB.
const LARGEST_MIB: u64 = 1024 * 1024;

/// A quota in whole MiB, from 1 to 1,048,576.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent)]
pub(crate) struct QuotaMib(#[schemars(range(min = 1, max = 1_048_576))] NonZeroU32);

impl QuotaMib {
    /// The number.
    pub(crate) const fn get(self) -> NonZeroU32 {
        self.0
    }

    /// The same in bytes.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.0.get()) << 20
    }
}

impl<'de> Deserialize<'de> for QuotaMib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Number)
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = QuotaMib;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a whole number of MiB from 1 to 1048576")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<QuotaMib, E> {
        let known = Some(number).filter(|number| *number <= LARGEST_MIB).and_then(|number| u32::try_from(number).ok());
        let wrong = || E::invalid_value(Unexpected::Unsigned(number), &self);
        known.and_then(NonZeroU32::new).map(QuotaMib).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_mib_up_to_a_tib_are_a_quota_and_nothing_else_is() {
        for (text, mib) in [("1", 1), ("10", 10), ("1048576", 1_048_576)] {
            let quota: QuotaMib = serde_json::from_str(text).unwrap();
            assert_eq!((quota.get().get(), serde_json::to_string(&quota).unwrap().as_str()), (mib, text));
        }
        for text in ["0", "-1", "1048577", "18446744073709551616", "1.5", "\"10\"", "true", "null", "[1]"] {
            let error = serde_json::from_str::<QuotaMib>(text).unwrap_err().to_string();
            assert!(error.contains("expected a whole number of MiB from 1 to 1048576"), "{text}: {error}");
        }
    }
}
