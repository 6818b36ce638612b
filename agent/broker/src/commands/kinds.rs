//! What may stand in a place of a command: a closed list of kinds.

use serde::Deserialize;

/// The longest value.
const VALUE_MAX_BYTES: usize = 253;

/// The longest name.
const NAME_MAX_BYTES: usize = 64;

/// The longest label of a domain.
const LABEL_MAX_BYTES: usize = 63;

/// What a value has to be. Whatever the kind, it does not begin with `-`, where a program would take it for an option.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kind {
    /// 1 to 64 letters, digits, `.`, `_` and `-`, the first one a letter or a digit; so no path.
    Name,
    /// A domain in lower case, as A-label, of at least two labels.
    Domain,
    /// A whole number, in digits.
    Number {
        /// At least this.
        #[serde(default)]
        min: u64,
        /// At most this.
        max: u64,
    },
    /// Exactly one of these.
    OneOf(Vec<String>),
}

impl Kind {
    /// What is expected, if a value is something else.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let is_it = is_plain(value)
            && match self {
                Self::Name => is_name(value),
                Self::Domain => is_domain(value),
                Self::Number { min, max } => is_number(value, *min, *max),
                Self::OneOf(values) => values.iter().any(|one| one == value),
            };
        if is_it { Ok(()) } else { Err(self.expected()) }
    }

    /// What is wrong with the kind itself, as the operator wrote it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::OneOf(values) if values.is_empty() => Some("one_of: expected at least one value"),
            Self::OneOf(values) if !values.iter().all(|value| is_plain(value)) => {
                Some("one_of: expected 1 to 253 bytes without control characters, the first one not '-'")
            }
            Self::Number { min, max } if min > max => Some("number: expected min to be at most max"),
            Self::Name | Self::Domain | Self::Number { .. } | Self::OneOf(_) => None,
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Name => "expected 1 to 64 letters, digits, '.', '_' and '-', first a letter or digit".to_owned(),
            Self::Domain => "expected a domain in lower case, as A-label".to_owned(),
            Self::Number { min, max } => format!("expected a whole number from {min} to {max}"),
            Self::OneOf(values) => format!("expected one of {}", values.join(", ")),
        }
    }
}

fn is_plain(value: &str) -> bool {
    (1..=VALUE_MAX_BYTES).contains(&value.len()) && !value.starts_with('-') && !value.contains(char::is_control)
}

fn is_name(value: &str) -> bool {
    value.len() <= NAME_MAX_BYTES
        && value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_domain(value: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    value.contains('.') && value.split('.').all(is_label)
}

fn is_number(value: &str, min: u64, max: u64) -> bool {
    let is_written_once = value == "0" || !value.starts_with('0');
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    is_written_once && is_digits && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &Kind, right: &[&str], wrong: &[&str]) {
        for value in right {
            assert_eq!(kind.check(value), Ok(()), "{value:?}");
        }
        let never = ["", "-", "--help", "-1", "a\0", "a\n", "\u{1b}", " ", "../etc", "/etc", "a b", "$(id)", "ä"];
        for value in wrong.iter().chain(&never) {
            assert!(kind.check(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_value_is_exactly_of_its_kind() {
        let long = "x".repeat(64);
        check(&Kind::Name, &["a", "0", "A.b_c-9", "a..b", &long], &["_a", ".a", &format!("{long}x")]);
        let most = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
        check(
            &Kind::Domain,
            &["example.org", "xn--bcher-kva.example", "1.2", &most],
            &["example", "a.", ".a", "a..b", "A.example", "a-.example", "*.example", "a_b.c", &format!("{most}y")],
        );
        let number = Kind::Number { min: 2, max: 64 };
        check(&number, &["2", "64"], &["1", "65", "02", "+2", "2.0", "0x2", "99999999999999999999"]);
        check(&Kind::Number { min: 0, max: u64::MAX }, &["0", "18446744073709551615"], &["00"]);
        check(&Kind::OneOf(vec!["8.2".into(), "8.3".into()]), &["8.2"], &["8.1", "8", "8.2 "]);
    }

    #[test]
    fn a_list_of_values_with_one_that_can_never_be_is_a_mistake() {
        for values in [vec![], vec!["-x".to_owned()], vec!["a\n".to_owned()], vec!["x".repeat(254)]] {
            assert!(Kind::OneOf(values).fault().is_some());
        }
        assert_eq!(Kind::OneOf(vec!["a b".to_owned()]).fault(), None);
        assert!(Kind::Number { min: 2, max: 1 }.fault().is_some());
    }
}
