//! What is a key, a token or a hash of a password by its looks.

use std::ops::Range;

use super::scan::{Text, is_word};

/// What keys of well-known services begin with.
const PREFIXES: [&str; 22] = [
    "AKIA",
    "ASIA",
    "AIza",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "pk_live_",
    "whsec_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "shpat_",
    "npm_",
    "sk-",
    "dop_v1_",
    "key-",
];

/// What hashes of passwords begin with.
const HASHES: [&str; 11] = ["$P$", "$H$", "$S$", "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$wp$", "$argon2"];

const KEY_BEGINS: &str = "PRIVATE KEY-----";

/// Files that have a hash in their names for the sake of caches.
const STATIC_FILES: [&str; 12] =
    [".css", ".js", ".map", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".woff", ".ico"];

/// Hides all of them.
pub(super) fn all(text: &Text<'_>, hidden: &mut Vec<Range<usize>>) {
    let mut seen_to = 0;
    for word in text.words() {
        if word.start < seen_to {
            continue;
        }
        let written = text.part(word.clone());
        if written.starts_with("eyJ") && text.at(word.end) == b'.' {
            let is_token = |at: &usize| is_word(text.at(*at)) || text.at(*at) == b'.';
            seen_to = word.end + (word.end..text.len()).take_while(is_token).count();
            hidden.push(word.start..seen_to);
        } else if is_key(written) || (is_digest(written) && !is_static_file(text.from(word.end))) {
            hidden.push(word);
        } else if written.eq_ignore_ascii_case("bearer") || written.eq_ignore_ascii_case("basic") {
            hidden.extend(credentials(text, word.end));
        }
    }
    let is_hash = |at: &usize| is_word(text.at(*at)) || b"$./=,+".contains(&text.at(*at));
    for hash in HASHES {
        hide_each(text, hash, hidden, |start| (start, start + (start..text.len()).take_while(is_hash).count()));
    }
    hide_each(text, KEY_BEGINS, hidden, |start| {
        let from = start + KEY_BEGINS.len();
        (from, text.find(from, "-----END"))
    });
}

/// Hides the part that `part` says for each place where this begins, once.
fn hide_each(
    text: &Text<'_>,
    beginning: &'static str,
    hidden: &mut Vec<Range<usize>>,
    part: impl Fn(usize) -> (usize, usize),
) {
    let mut seen_to = 0;
    for start in text.all_of(beginning) {
        if start >= seen_to {
            let (from, to) = part(start);
            seen_to = to;
            hidden.push(from..to);
        }
    }
}

/// Whether it begins as a known key does, or is random: long, of all kinds of characters, and not made of words.
fn is_key(word: &str) -> bool {
    let is_known = word.len() >= 16 && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    let count = |of: fn(&u8) -> bool| word.bytes().filter(of).count();
    let is_mixed =
        count(u8::is_ascii_digit) >= 2 && count(u8::is_ascii_uppercase) >= 2 && count(u8::is_ascii_lowercase) >= 2;
    let has = |part: &str, of: fn(&u8) -> bool| part.bytes().any(|byte| of(&byte));
    let is_random = |part: &str| {
        part.len() >= 12
            && has(part, u8::is_ascii_digit)
            && has(part, u8::is_ascii_uppercase)
            && has(part, u8::is_ascii_lowercase)
    };
    is_known || (word.len() >= 24 && is_mixed && word.split(['-', '_']).any(is_random))
}

/// Whether it has 32 hexadecimal digits or more in a row.
fn is_digest(word: &str) -> bool {
    let is_hex = |part: &str| {
        part.len() >= 32
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    word.split(['-', '_']).any(is_hex)
}

fn is_static_file(behind: &str) -> bool {
    STATIC_FILES.iter().any(|end| behind.starts_with(end)) || behind.starts_with(".min.")
}

/// What stands behind `Bearer` or `Basic`, if it is no word of a sentence.
fn credentials(text: &Text<'_>, from: usize) -> Option<Range<usize>> {
    let start = if text.from(from).starts_with("%20") { from + 3 } else { text.skip_spaces(from) };
    if start == from {
        return None;
    }
    let is_part = |at: &usize| is_word(text.at(*at)) || b"+/=.~".contains(&text.at(*at));
    let end = start + (start..text.len()).take_while(is_part).count();
    let written = text.part(start..end);
    let is_no_word = written.bytes().any(|byte| byte.is_ascii_digit() || b"=.+".contains(&byte));
    (written.len() >= 8 && is_no_word).then_some(start..end)
}
