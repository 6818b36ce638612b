//! Names of adapters, which are names of folders and files.

/// The text has 1 to 31 of `a-z`, `0-9` and `-`, and does not begin with `-`, as ids of hostings: it is no path.
#[must_use]
pub fn is_adapter_name(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plain && (1..=31).contains(&text.len()) && !text.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_lower_case_and_no_path() {
        for name in ["linux", "c-panel-2", "0"] {
            assert!(is_adapter_name(name), "{name}");
        }
        for name in ["", "-x", "Linux", "a/b", "..", "a.b", "a b", &"a".repeat(32)] {
            assert!(!is_adapter_name(name), "{name}");
        }
    }
}
