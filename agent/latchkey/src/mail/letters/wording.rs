//! Makes other people's words and our own sentences fit for a mail. What a letter says is in its templates.

/// The longest line of a text part. Mail libraries leave a part of ASCII lines up to here as it is (`7bit`).
pub(super) const LINE_WIDTH: usize = 72;

/// Makes somebody's words one line that no mail program reads as a link of its own or in another direction: a label
/// `https://elsewhere` must not become the first link of an invitation.
pub(super) fn words(input: &str) -> String {
    let shown: String = input.chars().filter_map(shown).collect();
    // Only now: a mark that was left out could have stood within the "://".
    shown.replace("://", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shown(c: char) -> Option<char> {
    match c {
        '\u{2028}' | '\u{2029}' => Some(' '),
        // Marks that turn the direction of what follows.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => Some(' '),
        c => Some(c),
    }
}

/// Like [`words`], also without links, but line breaks stay.
pub(super) fn paragraphs(input: &str) -> String {
    input.trim().lines().map(words).collect::<Vec<_>>().join("\n")
}

/// A link holds no white space, so nothing can follow it on its line.
pub(super) fn address(input: &str) -> String {
    input.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

pub(super) fn sentences(input: &[String]) -> Vec<String> {
    input.iter().map(|sentence| words(sentence)).collect()
}

/// Breaks lines at [`LINE_WIDTH`] and joins runs of empty lines. A broken line keeps its indent; the lines after a
/// `- ` stand below its words. A single word longer than that (a link) stays whole.
pub(super) fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty_before = true;
    for line in text.lines().map(str::trim_end) {
        let words = line.trim_start();
        if words.is_empty() {
            if !empty_before {
                out.push('\n');
            }
            empty_before = true;
            continue;
        }
        empty_before = false;
        let indent = line.chars().count() - words.chars().count();
        let hanging = if words.starts_with("- ") { indent + 2 } else { indent };
        let mut column = indent;
        out.extend(std::iter::repeat_n(' ', indent));
        for (place, word) in words.split(' ').enumerate() {
            let width = word.chars().count();
            if place > 0 && column + 1 + width > LINE_WIDTH {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', hanging));
                column = hanging;
            } else if place > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += width;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebodys_words_hold_no_link_and_no_line_break() {
        assert_eq!(words("https://evil.example"), "https evil.example");
        assert_eq!(words("https:\u{202e}//evil.example"), "https evil.example");
        assert_eq!(words(" a\r\n\tb\u{2028}c\0 "), "a b c");
        assert_eq!(paragraphs("a \r\n\nb\rc\n"), "a\n\nb c");
        assert_eq!(address("https://a.example/ https://b.example\n"), "https://a.example/https://b.example");
    }

    #[test]
    fn a_long_line_breaks_below_its_bullet_and_a_link_stays_whole() {
        let bullet = format!("- {}", "word ".repeat(20));
        let lines = wrapped(&bullet);
        assert!(lines.lines().skip(1).all(|line| line.starts_with("  word")) && lines.lines().count() == 2);
        let link = format!("https://{}\n", "a".repeat(100));
        assert_eq!(wrapped(&link), link);
        assert_eq!(wrapped("a\n\n\n\nb"), "a\n\nb\n");
    }
}
