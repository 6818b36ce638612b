//! Quotas: bytes in the agent's words, whole megabytes in cPanel's, and none as zero.

use sdk::{Error, Result};

const MEBIBYTE: u64 = 1 << 20;
/// cPanel reads longer ones wrongly.
const MOST_MEBIBYTES: u64 = 999_999_999;

/// What cPanel is told: megabytes, 0 for no limit. *invalid* if it cannot be told.
pub(crate) fn megabytes(quota: Option<u64>) -> Result<u64> {
    match quota {
        None => Ok(0),
        Some(bytes) if bytes % MEBIBYTE == 0 && (1..=MOST_MEBIBYTES).contains(&(bytes / MEBIBYTE)) => {
            Ok(bytes / MEBIBYTE)
        }
        Some(_) => Err(Error::invalid("quota", "whole MiB, at least one")),
    }
}

/// Bytes of what cPanel lists in megabytes: `unlimited`, a number, or one with two digits after the point.
pub(crate) fn bytes(listed: &str) -> Option<u64> {
    let (whole, hundredths) = listed.split_once('.').unwrap_or((listed, "0"));
    let hundredths: u64 = format!("{hundredths:0<2}").get(..2)?.parse().ok()?;
    let bytes = (whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?).checked_mul(MEBIBYTE)? / 100;
    (bytes > 0).then_some(bytes)
}

/// Whether a listed quota is the one that was asked for. cPanel's documentation shows 500 as `476.84`: some versions take
/// a million bytes for a megabyte where they set one, and list it in larger ones.
pub(crate) fn is(listed: Option<u64>, wanted: Option<u64>) -> bool {
    match (listed, wanted) {
        (Some(listed), Some(wanted)) => {
            let decimal = wanted / MEBIBYTE * 1_000_000;
            listed == wanted || listed.abs_diff(decimal) <= MEBIBYTE / 100
        }
        (listed, wanted) => listed == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_whole_and_none_is_zero() {
        assert_eq!(megabytes(None), Ok(0));
        assert_eq!(megabytes(Some(3 << 20)), Ok(3));
        for wrong in [0, 1, (1 << 20) + 1, u64::MAX] {
            assert!(matches!(megabytes(Some(wrong)), Err(Error::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_listed_is_read() {
        assert_eq!([bytes("unlimited"), bytes("0.00"), bytes(""), bytes("0")], [None; 4]);
        assert_eq!(bytes("250"), Some(250 << 20));
        assert_eq!(bytes("1.50"), Some(3 << 19));
        assert_eq!(bytes("1.5"), Some(3 << 19));
    }

    #[test]
    fn a_decimal_megabyte_is_one_all_the_same() {
        assert!(is(bytes("476.84"), Some(500 << 20)));
        assert!(is(bytes("500.00"), Some(500 << 20)));
        assert!(!is(bytes("476.84"), Some(476 << 20)));
        assert!(!is(None, Some(1 << 20)) && !is(Some(1 << 20), None) && is(None, None));
    }
}
