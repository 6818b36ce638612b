//! How many things of a list a caller asks for.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// 1 to `MOST`; `USUAL` if it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Limit<const USUAL: u32, const MOST: u32>(u32);

/// Of lists that are held in memory.
pub(crate) type PageLimit = Limit<100, 500>;

impl<const USUAL: u32, const MOST: u32> Limit<USUAL, MOST> {
    /// The number.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// The number, to compare lengths with.
    pub(crate) const fn len(self) -> usize {
        self.0 as usize
    }
}

impl<const USUAL: u32, const MOST: u32> Default for Limit<USUAL, MOST> {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl<const USUAL: u32, const MOST: u32> TryFrom<i64> for Limit<USUAL, MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let limit = u32::try_from(number).ok().filter(|number| (1..=MOST).contains(number));
        limit.map(Self).ok_or_else(|| format!("expected 1 to {MOST}"))
    }
}

impl<const USUAL: u32, const MOST: u32> FromStr for Limit<USUAL, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected 1 to {MOST}")).and_then(|number: i64| Self::try_from(number))
    }
}

impl<const USUAL: u32, const MOST: u32> JsonSchema for Limit<USUAL, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("LimitOf{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_one_at_least_and_the_most_at_most() {
        for (text, number) in [("1", Some(1)), ("500", Some(500)), ("0", None), ("501", None), ("-1", None)] {
            assert_eq!(text.parse::<PageLimit>().ok().map(Limit::get), number, "{text}");
            assert_eq!(serde_json::from_str::<PageLimit>(text).ok().map(Limit::get), number, "{text}");
        }
        assert_eq!("many".parse::<PageLimit>(), Err("expected 1 to 500".to_owned()));
        assert_eq!(PageLimit::default().get(), 100);
    }
}
