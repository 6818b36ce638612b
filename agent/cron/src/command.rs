//! What a line runs: one line of text that cron hands to the shell as it stands.

use std::fmt;
use std::str::FromStr;

/// The longest command, as it stands in the crontab, with a `\` before each `%`. cron refuses the whole table for a longer
/// one, and `crontab(5)` has the number.
pub const COMMAND_MAX_BYTES: usize = 998;

/// A command that a crontab can hold: what cron gives to the shell is this text, no less and no more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command(String);

/// What was expected of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing, or blanks at an end, which a crontab does not keep.
    #[error("expected a command without blanks at either end")]
    Blanks,
    /// A line feed would begin another line, and NUL would end the text.
    #[error("expected one line without control characters")]
    Control,
    /// Too long.
    #[error("expected at most {COMMAND_MAX_BYTES} bytes, each % counted twice: put it into a script")]
    Length,
    /// A sixth field that is no command.
    #[error("expected a command that does not begin with *, which cron takes for one field too many")]
    Star,
    /// It goes on in the next line, for some.
    #[error("expected no \\ at the end")]
    Backslash,
    /// cron reads `\\%` as a backslash and the end of the command.
    #[error("expected an even number of \\ before a %: a crontab cannot hold the other")]
    Escape,
}

impl Command {
    /// As the shell gets it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        if text.contains(|sign: char| sign != '\t' && sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}')) {
            return Err(CommandError::Control);
        }
        if text.is_empty() || text.trim_ascii() != text {
            return Err(CommandError::Blanks);
        }
        if text.starts_with('*') {
            return Err(CommandError::Star);
        }
        if text.ends_with('\\') {
            return Err(CommandError::Backslash);
        }
        if text.len() + text.matches('%').count() > COMMAND_MAX_BYTES {
            return Err(CommandError::Length);
        }
        let is_held = |(at, _): (usize, &str)| {
            let before = text.get(..at).unwrap_or_default();
            (before.len() - before.trim_end_matches('\\').len()).is_multiple_of(2)
        };
        if !text.match_indices('%').all(is_held) {
            return Err(CommandError::Escape);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cron gives to the shell of what stands in its line (`do_command.c`): all up to a bare `%`, and of `\%` the `%`.
    fn given_to_the_shell(written: &str) -> String {
        let (mut given, mut is_escaped) = (String::new(), false);
        for sign in written.chars() {
            match (is_escaped, sign) {
                (true, '%') => {
                    given.pop();
                    given.push('%');
                    is_escaped = false;
                    continue;
                }
                (false, '%') => break,
                (false, '\\') => is_escaped = true,
                _ => is_escaped = false,
            }
            given.push(sign);
        }
        given
    }

    #[test]
    fn the_shell_gets_what_was_asked_for() {
        for text in ["true", "date +%F", "a\\\\%b", "%", "printf '%s\\n' a | b & c; d # e", "a\t\u{fc}", "\\\\\\\\%%"] {
            let command: Command = text.parse().unwrap();
            assert_eq!(given_to_the_shell(&command.as_str().replace('%', "\\%")), text);
        }
        assert_eq!(given_to_the_shell("a\\\\%b"), "a\\\\", "why a single backslash before % is refused");
    }

    #[test]
    fn what_a_crontab_cannot_hold_is_refused() {
        for (text, expected) in [
            ("", CommandError::Blanks),
            (" a", CommandError::Blanks),
            ("a\t", CommandError::Blanks),
            ("a\n* * * * * b", CommandError::Control),
            ("a\r", CommandError::Control),
            ("a\0b", CommandError::Control),
            ("a\u{85}b", CommandError::Control),
            ("a\u{2028}b", CommandError::Control),
            ("* a", CommandError::Star),
            ("a\\", CommandError::Backslash),
            ("a\\%b", CommandError::Escape),
            ("a\\\\\\%b", CommandError::Escape),
        ] {
            assert_eq!(text.parse::<Command>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_command_is_as_long_as_it_stands_in_the_crontab() {
        assert!("x".repeat(COMMAND_MAX_BYTES).parse::<Command>().is_ok());
        assert_eq!("x".repeat(COMMAND_MAX_BYTES + 1).parse::<Command>(), Err(CommandError::Length));
        assert!("%".repeat(COMMAND_MAX_BYTES / 2).parse::<Command>().is_ok());
        assert_eq!("%".repeat(COMMAND_MAX_BYTES / 2 + 1).parse::<Command>(), Err(CommandError::Length));
        assert_eq!("x".repeat(64 * 1024).parse::<Command>(), Err(CommandError::Length));
    }
}
