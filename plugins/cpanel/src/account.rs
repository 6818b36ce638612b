//! The cPanel account behind a hosting: where it is, and who we are there.

use std::fmt::Write as _;

use sdk::{Error, Hosting, Result, clock};

/// The name of the secret that is the API token.
pub(crate) const TOKEN: &str = "token";

/// How long cPanel may take for an answer, unless the operator says otherwise. [`ANSWERS`] of them fit into the 30 seconds
/// that a call may take.
const ANSWER_MS: u32 = 5_500;
/// As long a call takes at most, in answers that are waited for to the end.
const ANSWERS: u32 = 5;

/// A cPanel account, as the operator set it for a hosting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Scheme, host and port.
    pub(crate) server: String,
    /// Its name.
    pub(crate) user: String,
    /// How long cPanel may take for an answer, in milliseconds.
    answer_ms: u32,
}

impl Account {
    /// Reads the settings `server`, `user` and, if there is one, `answer_ms`.
    pub(crate) fn of(hosting: &Hosting) -> Result<Self> {
        let setting = |name: &str, expected: &str| {
            let missing = || Error::refused(format!("the hosting's setting `{name}` is missing: expected {expected}"));
            hosting.setting(name).ok_or_else(missing)
        };
        let server = setting("server", "cPanel's origin, such as https://host.example:2083")?.trim_end_matches('/');
        let user = setting("user", "the name of the cPanel account")?;
        if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(Error::refused("the hosting's setting `user` is not the name of a cPanel account"));
        }
        let answer_ms = match hosting.setting("answer_ms").map(str::parse) {
            None => ANSWER_MS,
            Some(Ok(time)) => time,
            Some(Err(_)) => return Err(Error::refused("the hosting's setting `answer_ms` is no number")),
        };
        Ok(Self { server: server.to_owned(), user: user.to_owned(), answer_ms })
    }

    /// How long the next answer may take, in milliseconds; nothing once the call has no time left.
    pub(crate) fn patience_ms(&self) -> u32 {
        self.left_ms().min(self.answer_ms)
    }

    /// Whether there is time for a change and a look at what came of it.
    pub(crate) fn has_time_to_change(&self) -> bool {
        self.left_ms() >= self.answer_ms.saturating_mul(2)
    }

    fn left_ms(&self) -> u32 {
        let elapsed = u32::try_from(clock::elapsed().as_millis()).unwrap_or(u32::MAX);
        self.answer_ms.saturating_mul(ANSWERS).saturating_sub(elapsed)
    }
}

/// Text as it stands in a query or a form: `%` and two digits for all but letters, digits and `-._~`.
pub(crate) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn with(settings: &[(&str, &str)]) -> Result<Account> {
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Account::of(&Hosting { settings, ..sdk::fake::hosting() })
    }

    #[test]
    fn an_account_takes_a_server_and_a_user() {
        let account = with(&[("server", "https://host.example:2083/"), ("user", "shop")]).unwrap();
        assert_eq!((account.server.as_str(), account.user.as_str()), ("https://host.example:2083", "shop"));
        assert_eq!(account.answer_ms, ANSWER_MS);
        let answer_ms =
            with(&[("server", "https://h:2083"), ("user", "shop"), ("answer_ms", "200")]).unwrap().answer_ms;
        assert_eq!(answer_ms, 200);
        for settings in [
            &[("server", "https://h:2083")][..],
            &[("user", "shop")],
            &[("server", "https://h:2083"), ("user", "a:b")],
            &[("server", "https://h:2083"), ("user", "shop"), ("answer_ms", "soon")],
        ] {
            assert!(matches!(with(settings), Err(Error::Refused(_))), "{settings:?}");
        }
    }

    #[test]
    fn nothing_is_changed_without_the_time_to_look() {
        let host = sdk::fake::Host::new();
        let account = with(&[("server", "https://h:2083"), ("user", "shop"), ("answer_ms", "100")]).unwrap();
        assert_eq!((account.patience_ms(), account.has_time_to_change()), (100, true));
        host.passes(Duration::from_millis(301));
        assert_eq!((account.patience_ms(), account.has_time_to_change()), (100, false));
        host.passes(Duration::from_millis(149));
        assert_eq!(account.patience_ms(), 50);
        host.passes(Duration::from_secs(1));
        assert_eq!(account.patience_ms(), 0);
    }

    #[test]
    fn what_stands_in_a_form_is_letters_digits_and_escapes() {
        assert_eq!(percent("a-Z_0.9~"), "a-Z_0.9~");
        assert_eq!(percent("ALL PRIVILEGES&x=ü"), "ALL%20PRIVILEGES%26x%3D%C3%BC");
    }
}
