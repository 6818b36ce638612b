//! The trace that a call leaves before it changes something, by which a repeat of the same call knows what an earlier try
//! may have done. Kept in the adapter's state, by idempotency key.

use std::time::Duration;

use sdk::{Result, clock, state};

const FOLDER: &str = "tries/";
/// As many are kept before old ones are forgotten.
const KEPT_MAX: usize = 200;
/// The agent repeats a call within minutes.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The trace of a call.
#[derive(Debug)]
pub(crate) struct Trace {
    place: String,
    left: Option<Left>,
}

/// What an earlier try left.
#[derive(Debug)]
struct Left {
    is_open: bool,
    before: String,
}

const OPEN: &str = "open";
const CLOSED: &str = "closed";

impl Trace {
    /// Looks for the trace of an earlier try.
    pub(crate) fn find(key: &str) -> Result<Self> {
        let place = place(key);
        let left = state::text(&place)?.as_deref().and_then(parse);
        Ok(Self { place, left })
    }

    /// What an earlier try of this call found before it went on to change something, if there was one.
    pub(crate) fn before(&self) -> Option<&str> {
        self.left.as_ref().map(|left| left.before.as_str())
    }

    /// Whether there was an earlier try that went on to change something and did not see that nothing had come of it.
    pub(crate) fn is_open(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.is_open)
    }

    /// Says that this call goes on to change something now.
    pub(crate) fn leave(&self, before: &str) -> Result<()> {
        make_room()?;
        self.write(OPEN, before)
    }

    /// Says that nothing came of it, as far as could be seen.
    pub(crate) fn close(&self, before: &str) -> Result<()> {
        self.write(CLOSED, before)
    }

    fn write(&self, word: &str, before: &str) -> Result<()> {
        Ok(state::set(&self.place, format!("{} {word} {before}", clock::now().as_millis()))?)
    }
}

fn parse(kept: &str) -> Option<Left> {
    let mut words = kept.splitn(3, ' ').skip(1);
    let (word, before) = (words.next()?, words.next()?);
    Some(Left { is_open: word == OPEN, before: before.to_owned() })
}

/// Forgets old traces when there are many.
fn make_room() -> Result<()> {
    let (now, kept) = (clock::now(), state::keys(FOLDER)?);
    if kept.len() < KEPT_MAX {
        return Ok(());
    }
    for place in kept {
        let left = state::text(&place)?.and_then(|kept| kept.split(' ').next()?.parse().ok());
        if now.saturating_sub(Duration::from_millis(left.unwrap_or(0))) > KEPT {
            state::remove(&place)?;
        }
    }
    Ok(())
}

/// A key of the state: what has no place in one is written as digits.
fn place(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let escaped =
        key.bytes().map(|byte| if plain(byte) { String::from(char::from(byte)) } else { format!("_{byte:02x}") });
    escaped.fold(FOLDER.to_owned(), |place, part| place + &part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_finds_what_was_there_before_the_first_try() {
        let _host = sdk::fake::Host::new();
        let first = Trace::find("Key_1").unwrap();
        assert_eq!(first.before(), None);
        first.leave("2 1").unwrap();
        assert_eq!(Trace::find("Key_1").unwrap().before(), Some("2 1"));
        assert_eq!(Trace::find("key_1").unwrap().before(), None);
        Trace::find("2").unwrap().leave("").unwrap();
        let second = Trace::find("2").unwrap();
        assert_eq!((second.before(), second.is_open()), (Some(""), true));
        second.close("1 1").unwrap();
        let third = Trace::find("2").unwrap();
        assert_eq!((third.before(), third.is_open()), (Some("1 1"), false));
    }

    #[test]
    fn old_traces_make_room() {
        let host = sdk::fake::Host::new();
        (0..KEPT_MAX).for_each(|key| Trace::find(&key.to_string()).unwrap().leave("").unwrap());
        host.passes(KEPT + Duration::from_millis(1));
        Trace::find("new").unwrap().leave("").unwrap();
        assert_eq!(host.state_keys(), ["tries/new"]);
    }
}
