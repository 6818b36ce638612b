//! The only place that writes to the terminal.
//!
//! Replies carry text that other people chose (names, notes, what a site said). Control characters in it are made
//! visible, so that nobody's text can move the cursor or recolour somebody else's terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

/// Where a command shows what it has to say.
pub(crate) trait Screen {
    /// Shows text for people.
    fn text(&mut self, text: &str);
    /// Passes on text for programs as it is.
    fn raw(&mut self, text: &str);
    /// Says what went wrong.
    fn problem(&mut self, text: &str);
    /// Whether text may have colours.
    fn is_coloured(&self) -> bool {
        false
    }
    /// Whether nobody reads the output any longer (`latchkey audit tail --follow | head`).
    fn is_left(&self) -> bool;
}

/// Standard output and standard error.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    left: bool,
}

impl Terminal {
    fn put(&mut self, mut to: impl Write, text: &str) {
        let line = format!("{text}\n");
        self.left |= to.write_all(line.as_bytes()).and_then(|()| to.flush()).is_err();
    }
}

impl Screen for Terminal {
    fn text(&mut self, text: &str) {
        self.put(io::stdout().lock(), &visible(text));
    }

    fn raw(&mut self, text: &str) {
        self.put(io::stdout().lock(), text);
    }

    fn problem(&mut self, text: &str) {
        self.put(io::stderr().lock(), &visible(text));
    }

    fn is_coloured(&self) -> bool {
        // https://no-color.org
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    fn is_left(&self) -> bool {
        self.left
    }
}

/// The text with control characters other than line ends, and those that turn the direction of writing, spelt out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hidden = |c: char| c != '\n' && (c.is_control() || turns(c));
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let spell = |c: char| if hidden(c) { c.escape_default().collect::<String>() } else { c.to_string() };
    Cow::Owned(text.chars().map(spell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_others_are_spelt_out() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{202e}d\re"), "a\\u{1b}[2Jb\nc\\u{202e}d\\re");
        assert_eq!(visible("plain – ünïcode"), "plain – ünïcode");
    }
}
