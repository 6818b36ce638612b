//! What came of a change that narrows or ends access: what was closed, what is not certain, what the person can
//! still use.

use serde_json::Value;

use super::view::{at, cell};

/// The names of the channels: one of it, several of it.
const CHANNELS: &[(&str, &str, &str)] = &[
    ("sftp", "SFTP session", "SFTP sessions"),
    ("ftp", "FTP session", "FTP sessions"),
    ("wordpress", "WordPress session", "WordPress sessions"),
    ("phpmyadmin", "phpMyAdmin session", "phpMyAdmin sessions"),
    ("database", "database account", "database accounts"),
    ("gateway", "gateway session", "gateway sessions"),
    ("transfer", "transfer", "transfers"),
    ("stream", "stream", "streams"),
    ("job", "job", "jobs"),
];

/// `{closed, unconfirmed, disabled, residue}` in sentences.
pub(crate) fn ended(ended: &Value) -> String {
    let mut lines = vec![closed(at(ended, "closed"))];
    list(at(ended, "unconfirmed"), "Not confirmed yet; the agent tries again until it is:", &mut lines, |entry| {
        format!("{}: {}", cell(at(entry, "channel")), cell(at(entry, "what")))
    });
    list(at(ended, "disabled"), "Does not run any more:", &mut lines, told);
    list(at(ended, "residue"), "What the person may still be able to use:", &mut lines, told);
    lines.join("\n")
}

fn told(entry: &Value) -> String {
    let undo = at(entry, "undo").as_str().map(|undo| format!(" (to undo: {undo})")).unwrap_or_default();
    format!("{}: {}{undo}", cell(at(entry, "kind")).replace('_', " "), cell(at(entry, "what")))
}

fn closed(closed: &Value) -> String {
    let count = |(name, one, several): &(&str, &str, &str)| match closed.get(*name).and_then(Value::as_u64) {
        None | Some(0) => None,
        Some(1) => Some(format!("1 {one}")),
        Some(count) => Some(format!("{count} {several}")),
    };
    let counts = CHANNELS.iter().filter_map(count).collect::<Vec<_>>();
    if counts.is_empty() { "Nothing was open.".to_owned() } else { format!("Closed: {}.", counts.join(", ")) }
}

fn list(entries: &Value, title: &str, lines: &mut Vec<String>, line: impl Fn(&Value) -> String) {
    let entries = entries.as_array().map_or(&[][..], Vec::as_slice);
    if !entries.is_empty() {
        lines.push(title.to_owned());
        lines.extend(entries.iter().map(|entry| format!("  - {}", line(entry))));
    }
}
