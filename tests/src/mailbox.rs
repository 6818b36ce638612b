//! The mails that the agent wrote: whom they went to, of which kind they are, and the links in them.

use std::fs;

use xtask::node::Node;

use crate::waiting::eventually_some;

/// A mail, its parts decoded.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its kind, such as `invitation`.
    pub kind: String,
    /// Its subject.
    pub subject: String,
    /// Everything, decoded.
    pub text: String,
}

impl Mail {
    /// The first link to the gateway beneath this path, such as `/i/`.
    #[must_use]
    #[track_caller]
    pub fn link(&self, node: &Node, beneath: &str) -> String {
        let start = format!("{}{beneath}", node.agent().unwrap().urls().gateway);
        let at = self.text.find(&start).unwrap_or_else(|| panic!("no link to {start}: {}", self.text));
        let rest = &self.text[at + start.len()..];
        let token: String =
            rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect();
        assert_eq!(token.len(), 43, "{start}{token}");
        start + &token
    }
}

/// The mails of this kind to this address, the oldest first.
#[must_use]
pub fn mails_to(node: &Node, address: &str, kind: &str) -> Vec<Mail> {
    let to = format!("To: {address}");
    let is_wanted = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(&format!("-{kind}.eml"));
    let mut paths: Vec<_> = node.mails().unwrap().into_iter().filter(is_wanted).collect();
    // Names begin with the number in the queue; two may be of one moment.
    paths.sort();
    let texts = paths.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
    texts
        .filter(|text| text.lines().take_while(|line| !line.is_empty()).any(|line| line.trim_end() == to))
        .map(|text| {
            let subject =
                text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().trim().to_owned();
            Mail { kind: kind.to_owned(), subject, text: decoded(&text) }
        })
        .collect()
}

/// Waits for the `count`th mail of this kind to this address.
#[must_use]
#[track_caller]
pub fn mail_to(node: &Node, address: &str, kind: &str, count: usize) -> Mail {
    let what = format!("mail {count} of the kind {kind} to {address}");
    eventually_some(&what, || mails_to(node, address, kind).into_iter().nth(count - 1))
}

/// Quoted-printable text as plain text.
fn decoded(text: &str) -> String {
    let bytes = text.replace("=\r\n", "").into_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let [first, more @ ..] = rest {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'=', Some(byte)) => {
                plain.push(byte);
                rest = &more[2..];
            }
            _ => {
                plain.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
