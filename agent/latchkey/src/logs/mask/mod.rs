//! What must not be shown of a log's line: values of what is named like a secret, arguments of calls that take passwords,
//! credentials in addresses, and what looks like a key by itself. Addresses of visitors stay.
//!
//! A guess by one line, made so that rather too much is hidden: it knows no language, and no secret that spans lines.

mod names;
mod scan;
mod shapes;
#[cfg(test)]
mod tests;

use std::ops::Range;

use scan::Text;

/// What stands in place of something hidden.
const HIDDEN: &str = "***";

/// A line with its secrets hidden. Give it whole lines: of half a secret less can be told.
pub(crate) fn masked(line: &str) -> String {
    let text = Text::of(line);
    let mut hidden = Vec::new();
    named(&text, &mut hidden);
    arguments(&text, &mut hidden);
    addresses(&text, &mut hidden);
    shapes::all(&text, &mut hidden);
    blotted(line, hidden)
}

/// Puts [`HIDDEN`] in place of these parts, of which some may overlap.
fn blotted(line: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.retain(|part| !part.is_empty());
    hidden.sort_by_key(|part| part.start);
    let (mut out, mut shown_from) = (String::with_capacity(line.len()), 0);
    let mut parts = hidden.into_iter().peekable();
    while let Some(Range { start, mut end }) = parts.next() {
        while let Some(next) = parts.next_if(|next| next.start <= end) {
            end = end.max(next.end);
        }
        out.push_str(line.get(shown_from..start).unwrap_or_default());
        out.push_str(HIDDEN);
        shown_from = end;
    }
    out.push_str(line.get(shown_from..).unwrap_or_default());
    out
}

/// Values behind names like `password`.
fn named(text: &Text<'_>, hidden: &mut Vec<Range<usize>>) {
    // What is hidden is not looked at again: so the time that a line takes grows with its length only.
    let mut seen_to = 0;
    for word in text.words() {
        if word.start < seen_to {
            continue;
        }
        let name = text.part(word.clone());
        // `\token` may be the letter of an escape with a name behind it.
        let behind_escape = name.get(1..).filter(|_| text.at_before(word.start) == b'\\').unwrap_or_default();
        let Some(kind) = names::kind(name).or_else(|| names::kind(behind_escape)) else { continue };
        if let Some(value) = value_behind(text, &word) {
            let is_too_short = kind == names::Kind::SecretIfLong && value.len() < 16;
            if !is_too_short {
                seen_to = value.end;
                hidden.push(value);
            }
        }
    }
}

/// What parts a name from its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `=`, as in an address.
    Equals,
    /// `:`, as in a header.
    Colon,
    /// `=>`, as PHP prints.
    Arrow,
    /// `,` between two quoted arguments.
    Comma,
}

/// The value that a name has, if it has one.
fn value_behind(text: &Text<'_>, name: &Range<usize>) -> Option<Range<usize>> {
    let (mut at, quoted) = text.skip_closers(name.end);
    let had_spaces = text.skip_spaces(at) > at;
    at = text.skip_spaces(at);
    let (sign, length) = sign_at(text, at)?;
    at += length;
    // `?key= HTTP/1.1` has no value.
    if sign != Sign::Equals || had_spaces {
        at = text.skip_spaces(at);
    }
    if let Some(quote) = text.quote_at(at) {
        let from = at + quote.len();
        return Some(from..text.find(from, quote));
    }
    if sign == Sign::Comma {
        return None.filter(|_: &Range<usize>| quoted);
    }
    let end = match (sign, text.at(at)) {
        // What is in there has names of its own.
        (Sign::Colon | Sign::Arrow, b'{' | b'(') => return None,
        (Sign::Colon, b'[') => text.find(at, "]"),
        (Sign::Arrow, _) => text.len(),
        (Sign::Colon, _) if names::is_header(text.part(name.clone())) => text.end_of_header(at),
        _ => scheme_or_value(text, at),
    };
    Some(at..end)
}

fn sign_at(text: &Text<'_>, at: usize) -> Option<(Sign, usize)> {
    let rest = text.from(at);
    let starts = |sign: &str| rest.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign));
    match text.at(at) {
        b'=' if starts("=>") => Some((Sign::Arrow, 2)),
        b'=' => Some((Sign::Equals, rest.bytes().take_while(|byte| *byte == b'=').count())),
        // `Token::make` is a function.
        b':' if !starts("::") => Some((Sign::Colon, 1)),
        b',' => Some((Sign::Comma, 1)),
        b'%' if starts("%3d") => Some((Sign::Equals, 3)),
        b'%' if starts("%3a") => Some((Sign::Equals, 3)),
        _ => None,
    }
}

/// The end of a value without quotes; of `Bearer …` that of the second word.
fn scheme_or_value(text: &Text<'_>, at: usize) -> usize {
    let end = text.end_of_value(at);
    let is_scheme =
        ["basic", "bearer", "digest", "token"].iter().any(|one| text.part(at..end).eq_ignore_ascii_case(one));
    if is_scheme { text.end_of_value(text.skip_spaces(end)) } else { end }
}

/// Arguments of a function that takes passwords or keys, as traces of calls show them: from the first quote to the last one
/// within the line's last bracket. What a password has in it (quotes, brackets) is not told from what ends it.
fn arguments(text: &Text<'_>, hidden: &mut Vec<Range<usize>>) {
    let takes_secrets = |open: &usize| names::takes_secrets(text.part(text.callee(*open)));
    let Some(open) = text.all(b'(').find(takes_secrets) else { return };
    let close = text.rfind(b')').filter(|close| *close > open);
    let inner = open + 1..close.unwrap_or(text.len());
    let is_quote = |at: &usize| matches!(text.at(*at), b'\'' | b'"');
    let Some(first) = inner.clone().find(is_quote) else { return };
    let last = inner.clone().rev().find(is_quote).filter(|last| close.is_some() && *last > first);
    hidden.push(first..last.map_or(inner.end, |last| last + 1));
}

/// Passwords in `scheme://user:password@host`, and what stands in place of both.
fn addresses(text: &Text<'_>, hidden: &mut Vec<Range<usize>>) {
    for scheme in text.all_of("://") {
        let from = scheme + 3;
        let is_end = |byte: u8| b"/?#\"'<>,; \t\\".contains(&byte);
        let end = (from..text.len()).find(|at| is_end(text.at(*at))).unwrap_or(text.len());
        let Some(host) = (from..end).rev().find(|at| text.at(*at) == b'@') else { continue };
        let password = (from..host).find(|at| text.at(*at) == b':').map_or(from, |colon| colon + 1);
        hidden.push(password..host);
    }
}
