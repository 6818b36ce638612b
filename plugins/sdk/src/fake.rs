//! The agent as a test plays it: in memory, for the thread that the test runs on.
//!
//! ```
//! use latchkey_adapter_sdk::{fake, log, state};
//!
//! let host = fake::Host::new();
//! state::set("cursor", "7").unwrap();
//! log::info("read the first page");
//! assert_eq!(host.state("cursor"), Some(b"7".to_vec()));
//! assert_eq!(host.logged(), ["read the first page"]);
//! ```
//!
//! It has the limits that the agent has on what is kept, and none on time, memory or the number of calls.

pub(crate) mod command;
pub(crate) mod config_file;
pub(crate) mod crontab;
pub(crate) mod http;
pub(crate) mod mysql;

pub use command::Ran;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::crontab::CrontabError;
use crate::log::Level;
use crate::mysql::MysqlError;
use crate::state::StateError;
use crate::{Denial, Hosting};

const KEY_MAX_BYTES: usize = 128;
const VALUE_MAX_BYTES: usize = 64 << 10;
const KEYS_MAX: usize = 1_000;
const VALUES_MAX_BYTES: usize = 1 << 20;
/// When a test begins: 2026-01-01T00:00:00Z.
const BEGIN: Duration = Duration::from_secs(1_767_225_600);

thread_local! {
    static PLAYED: RefCell<Option<Played>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Played {
    kept: BTreeMap<String, Vec<u8>>,
    state_answers: Option<StateError>,
    log: Vec<(Level, String)>,
    elapsed: Duration,
    platform: http::Platform,
    mysql: mysql::Server,
    commands: command::Commands,
    config_files: config_file::ConfigFiles,
    crontab: crontab::Crontab,
}

/// The agent that the host functions of this thread speak to, until it is dropped.
#[derive(Debug)]
#[must_use = "it is gone when it is dropped"]
pub struct Host(());

/// A hosting called `h1`, without settings.
#[must_use]
pub fn hosting() -> Hosting {
    Hosting {
        id: "h1".into(),
        system_user: "h1".into(),
        home: "/home/h1".into(),
        db_prefix: "h1_".into(),
        settings: Vec::new(),
    }
}

impl Host {
    /// An agent that keeps nothing yet and grants everything.
    ///
    /// # Panics
    /// When this thread has one already.
    #[expect(clippy::new_without_default, reason = "there is one for each thread, so it is not made by the way")]
    pub fn new() -> Self {
        let before = PLAYED.replace(Some(Played::default()));
        assert!(before.is_none(), "this thread has a fake host already: drop it first");
        Self(())
    }

    /// Lets so much time pass.
    pub fn passes(&self, time: Duration) {
        play(|played| played.elapsed += time);
    }

    /// Has every function of `state` answer this from now on.
    pub fn state_answers(&self, error: StateError) {
        play(|played| played.state_answers = Some(error));
    }

    /// Has every function of `state` be denied from now on, as without a grant.
    pub fn denies_state(&self) {
        let message = "state is not granted: it takes `state = true` under [grants]".to_owned();
        self.state_answers(StateError::Denied(Denial { message, grant: Some("[grants]\nstate = true".into()) }));
    }

    /// Has every function of `mysql` answer this from now on, until it is given `None`.
    pub fn mysql_answers(&self, error: impl Into<Option<MysqlError>>) {
        play(|played| played.mysql.answers = error.into());
    }

    /// The name of the secret that is the password of a database user, if there is one.
    #[must_use]
    pub fn database_password(&self, user: &str) -> Option<String> {
        play(|played| played.mysql.users.get(user).map(|(password, _)| password.clone()))
    }

    /// Puts a text in place of the crontab, as somebody at a shell does.
    pub fn has_crontab(&self, text: impl Into<Vec<u8>>) {
        let text = text.into();
        play(|played| played.crontab.put(text));
    }

    /// The crontab; empty when there is none.
    #[must_use]
    pub fn crontab(&self) -> Vec<u8> {
        play(|played| played.crontab.text.clone())
    }

    /// Has somebody else put these in its place, each just before the adapter replaces it.
    pub fn somebody_else_puts_crontabs(&self, texts: impl IntoIterator<Item = Vec<u8>>) {
        let texts = texts.into_iter().collect();
        play(|played| played.crontab.meanwhile = texts);
    }

    /// Has every function of `crontab` answer this from now on, until it is given `None`.
    pub fn crontab_answers(&self, error: impl Into<Option<CrontabError>>) {
        let error = error.into();
        play(|played| played.crontab.answers = error);
    }

    /// What is kept under a key.
    #[must_use]
    pub fn state(&self, key: &str) -> Option<Vec<u8>> {
        play(|played| played.kept.get(key).cloned())
    }

    /// All keys that something is kept under, in order.
    #[must_use]
    pub fn state_keys(&self) -> Vec<String> {
        play(|played| played.kept.keys().cloned().collect())
    }

    /// The lines of the log, in order.
    #[must_use]
    pub fn logged(&self) -> Vec<String> {
        play(|played| played.log.iter().map(|(_, line)| line.clone()).collect())
    }

    /// The lines of the log of one level, in order.
    #[must_use]
    pub fn logged_at(&self, level: Level) -> Vec<String> {
        let at = |played: &mut Played| {
            let lines = played.log.iter().filter(|(of, _)| *of == level);
            lines.map(|(_, line)| line.clone()).collect()
        };
        play(at)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        PLAYED.take();
    }
}

#[expect(clippy::panic, reason = "a test that has no agent is wrong, and is told so")]
fn play<T>(part: impl FnOnce(&mut Played) -> T) -> T {
    PLAYED.with_borrow_mut(|played| match played {
        Some(played) => part(played),
        None => panic!("nobody plays the agent: begin the test with `let host = fake::Host::new();`"),
    })
}

pub(crate) mod log {
    //! `log`, played.

    use super::{Level, play};

    pub(crate) fn write(level: Level, line: &str) {
        play(|played| played.log.push((level, line.to_owned())));
    }
}

pub(crate) mod clock {
    //! `clock`, played: it stands still unless the test lets time pass.

    use super::{BEGIN, play};

    pub(crate) fn now() -> u64 {
        play(|played| millis(BEGIN + played.elapsed))
    }

    pub(crate) fn elapsed() -> u64 {
        play(|played| millis(played.elapsed))
    }

    fn millis(time: std::time::Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}

pub(crate) mod state {
    //! `state`, played: with the agent's limits and in its words.

    use super::{KEY_MAX_BYTES, KEYS_MAX, Played, StateError, VALUE_MAX_BYTES, VALUES_MAX_BYTES, play};

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
        play(|played| check(played, key).map(|()| played.kept.get(key).cloned()))
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), StateError> {
        play(|played| {
            check(played, key)?;
            if value.len() > VALUE_MAX_BYTES {
                return Err(StateError::Invalid(format!("value: expected at most {VALUE_MAX_BYTES} bytes")));
            }
            let others = played.kept.iter().filter(|(known, _)| *known != key);
            let (keys, bytes) = others.fold((0, 0), |(keys, bytes), (_, value)| (keys + 1, bytes + value.len()));
            if keys >= KEYS_MAX || bytes + value.len() > VALUES_MAX_BYTES {
                return Err(StateError::Full);
            }
            played.kept.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    pub(crate) fn remove(key: &str) -> Result<(), StateError> {
        play(|played| {
            check(played, key)?;
            played.kept.remove(key);
            Ok(())
        })
    }

    pub(crate) fn keys(prefix: &str) -> Result<Vec<String>, StateError> {
        play(|played| {
            granted(played)?;
            Ok(played.kept.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
        })
    }

    fn granted(played: &Played) -> Result<(), StateError> {
        played.state_answers.clone().map_or(Ok(()), Err)
    }

    fn check(played: &Played, key: &str) -> Result<(), StateError> {
        granted(played)?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().all(is_plain) {
            Ok(())
        } else {
            Err(StateError::Invalid(format!("key: expected 1 to {KEY_MAX_BYTES} of a-z, 0-9 and ._-/")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, log, state};

    #[test]
    fn what_is_kept_lasts_as_long_as_the_agent() {
        let host = Host::new();
        state::set("b", "2").unwrap();
        state::set("a/1", [1, 2]).unwrap();
        assert_eq!(state::get("a/1").unwrap(), Some(vec![1, 2]));
        assert_eq!(state::text("b").unwrap().as_deref(), Some("2"));
        assert_eq!(state::keys("").unwrap(), ["a/1", "b"]);
        assert_eq!(state::keys("a/").unwrap(), ["a/1"]);
        state::remove("b").unwrap();
        state::remove("b").unwrap();
        assert_eq!((state::get("b").unwrap(), host.state_keys()), (None, vec!["a/1".to_owned()]));
        drop(host);
        let host = Host::new();
        assert_eq!((state::keys("").unwrap(), host.logged()), (vec![], vec![]));
    }

    #[test]
    fn what_the_agent_refuses_to_keep_is_refused() {
        let _host = Host::new();
        for key in ["", "A", "a b", "ä", &"k".repeat(129)] {
            assert!(matches!(state::set(key, "x"), Err(StateError::Invalid(_))), "{key}");
            assert!(matches!(state::get(key), Err(StateError::Invalid(_))), "{key}");
        }
        state::set(&"k".repeat(128), "x").unwrap();
        let most = vec![b'v'; VALUE_MAX_BYTES];
        assert!(matches!(state::set("long", [&most[..], b"v"].concat()), Err(StateError::Invalid(_))));
        (0..15).for_each(|n| state::set(&format!("long/{n}"), &most).unwrap());
        assert_eq!(state::set("last", &most), Err(StateError::Full));
        state::set("last", &most[1..]).unwrap();
        state::set("last", &most[1..]).unwrap();
        state::set("bytes", [0xff]).unwrap_err();
    }

    #[test]
    fn a_thousand_keys_are_kept_and_no_more() {
        let _host = Host::new();
        (0..KEYS_MAX).for_each(|n| state::set(&format!("{n}"), "").unwrap());
        assert_eq!(state::set("more", ""), Err(StateError::Full));
        state::set("0", "x").unwrap();
        assert_eq!(state::text("0").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn text_is_no_other_bytes() {
        let _host = Host::new();
        state::set("bytes", [0xff]).unwrap();
        assert_eq!(state::text("bytes"), Err(StateError::Invalid("bytes: expected text".into())));
    }

    #[test]
    fn a_denial_names_the_line_that_is_missing() {
        let host = Host::new();
        state::set("a", "1").unwrap();
        host.denies_state();
        for answer in [state::get("a").map(drop), state::set("a", "2"), state::remove("a"), state::keys("").map(drop)] {
            let Err(StateError::Denied(denial)) = answer else { panic!("{answer:?}") };
            assert!(denial.message.contains("`state = true`"), "{denial:?}");
        }
        assert_eq!(host.state("a"), Some(b"1".to_vec()));
        host.state_answers(StateError::Unavailable);
        assert_eq!(state::get("a"), Err(StateError::Unavailable));
    }

    #[test]
    fn time_passes_when_the_test_says_so() {
        let host = Host::new();
        assert_eq!((clock::now(), clock::elapsed()), (BEGIN, Duration::ZERO));
        host.passes(Duration::from_millis(1_500));
        assert_eq!(
            (clock::now(), clock::elapsed()),
            (BEGIN + Duration::from_millis(1_500), Duration::from_millis(1_500))
        );
    }

    #[test]
    fn what_is_logged_can_be_read() {
        let host = Host::new();
        log::debug("a");
        log::info(format_args!("{}", 1));
        log::warn("b".to_owned());
        log::error("c");
        assert_eq!(host.logged(), ["a", "1", "b", "c"]);
        assert_eq!(host.logged_at(Level::Error), ["c"]);
    }

    #[test]
    fn a_test_without_an_agent_is_told_what_it_lacks() {
        let said = std::panic::catch_unwind(|| state::get("a")).unwrap_err();
        assert!(said.downcast_ref::<&str>().unwrap().contains("fake::Host::new()"));
        let _one = Host::new();
        assert!(std::panic::catch_unwind(Host::new).is_err());
    }
}
