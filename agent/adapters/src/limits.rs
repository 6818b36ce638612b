//! What one call may use up: the one table of limits, their defaults and their bounds.

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, at least $least:expr, at most $most:expr;)+) => {
        /// What one call may use up. What the operator does not set has its default.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Checks that each is within its bounds.
            pub fn check(&self) -> Result<(), LimitError> {
                $(if !($least..=$most).contains(&self.$name) {
                    return Err(LimitError { name: stringify!($name), least: $least.into(), most: $most.into() });
                })+
                Ok(())
            }

            /// Name, default, lowest, highest and meaning of each, for documents.
            pub const TABLE: &[LimitRow] = &[$(LimitRow {
                name: stringify!($name),
                default: $default as u64,
                least: $least as u64,
                most: $most as u64,
                meaning: concat!($($doc),+),
            },)+];
        }
    };
}

limits! {
    /// Processor time of the adapter itself in milliseconds.
    cpu_ms: u32 = 2_000, at least 10_u32, at most 60_000_u32;
    /// Time from beginning to end in milliseconds, waiting for the agent included.
    wall_ms: u32 = 30_000, at least 100_u32, at most 600_000_u32;
    /// All memories together in bytes.
    memory_bytes: u64 = 64 << 20, at least 1_u64 << 20, at most 1_u64 << 30;
    /// All tables together in elements.
    table_elements: u32 = 20_000, at least 1_u32, at most 1_000_000_u32;
    /// Instances that the component is made of; as many memories and tables.
    instances: u32 = 50, at least 1_u32, at most 500_u32;
    /// Handles of resources at a time.
    handles: u32 = 1_000, at least 1_u32, at most 100_000_u32;
    /// Calls of host functions.
    host_calls: u32 = 1_000, at least 1_u32, at most 100_000_u32;
    /// Bytes that the adapter hands over at once: the arguments of a host function, or what it returns.
    copied_bytes: u32 = 8 << 20, at least 1_024_u32, at most 16_u32 << 20;
    /// Bytes of log.
    log_bytes: u32 = 64 << 10, at least 0_u32, at most 16_u32 << 20;
    /// HTTP requests.
    http_requests: u32 = 64, at least 0_u32, at most 10_000_u32;
    /// Bytes of the body of an answer to an HTTP request.
    response_bytes: u32 = 4 << 20, at least 1_024_u32, at most 16_u32 << 20;
}

/// A row of [`Limits::TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRow {
    /// As it is written in the operator's file.
    pub name: &'static str,
    /// If it is not set.
    pub default: u64,
    /// The lowest value.
    pub least: u64,
    /// The highest value.
    pub most: u64,
    /// One sentence.
    pub meaning: &'static str,
}

/// A limit that is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits.{name}: expected {least} to {most}")]
pub struct LimitError {
    name: &'static str,
    least: u64,
    most: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_the_bounds_and_others_are_refused() {
        Limits::default().check().unwrap();
        let error = Limits { cpu_ms: 9, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "limits.cpu_ms: expected 10 to 60000");
        assert_eq!(Limits::TABLE.len(), 11);
    }
}
