//! A crontab as lines of bytes, some of which are entries. What is not changed stays byte for byte.
//!
//! The agent's own entries have a comment before them, `# latchkey: TAG`. One that does not run is a comment itself:
//! `# latchkey off: 5 4 * * * COMMAND`. Theirs are commands as the shell gets them: a `%` has a `\` before it in the line. Other
//! entries have commands as they stand there.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sdk::cron::{Entry, ListedEntry};

const TAG: &[u8] = b"# latchkey: ";
const OFF: &[u8] = b"# latchkey off: ";

/// Short ways to write a schedule, as `crontab(5)` has them. `@reboot` is none.
const NICKNAMES: [(&str, &str); 8] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@reboot", "@reboot"),
];

/// A crontab.
pub(super) struct Table {
    /// Each with what ends it.
    lines: Vec<Vec<u8>>,
}

/// An entry, and where it is.
pub(super) struct Found {
    pub(super) listed: ListedEntry,
    /// The line of its tag, if it has one, and its own.
    from: usize,
    line: usize,
}

/// A line that is an entry, in parts.
struct Parts<'l> {
    enabled: bool,
    /// Its fields or its nickname, and what is before them.
    schedule: &'l [u8],
    /// What is between.
    gap: &'l [u8],
    command: &'l [u8],
}

impl Table {
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // cron takes no text whose last line lacks its end; it may lie there all the same.
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
            last.push(b'\n');
        }
        Self { lines }
    }

    pub(super) fn text(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// All entries, in order.
    pub(super) fn entries(&self) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let mut tag = None;
        for (number, line) in self.lines.iter().enumerate() {
            let before = std::mem::replace(&mut tag, tag_of(line));
            let Some(parts) = Parts::of(line) else { continue };
            let from = if before.is_some() { number - 1 } else { number };
            let command = String::from_utf8_lossy(parts.command);
            let entry = Entry {
                schedule: schedule(parts.schedule),
                command: if before.is_some() { for_the_shell(&command) } else { command.into_owned() },
                tag: before,
                enabled: parts.enabled,
            };
            let id = String::new();
            found.push(Found { listed: ListedEntry { id, entry }, from, line: number });
        }
        self.name(&mut found);
        found
    }

    /// An entry is named by what stands in its lines and, where another is alike, by its place among those: whatever
    /// happens to one of them, none goes by the name of another.
    fn name(&self, found: &mut [Found]) {
        let hashes: Vec<u64> = found.iter().map(|found| self.hash(found)).collect();
        for (place, found) in found.iter_mut().enumerate() {
            let Some(hash) = hashes.get(place) else { continue };
            let alike = |hashes: &[u64]| hashes.iter().filter(|other| *other == hash).count();
            let (of, before) = (alike(&hashes), alike(hashes.get(..place).unwrap_or_default()));
            found.listed.id =
                if of == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{}-of-{of}", before + 1) };
        }
    }

    fn hash(&self, found: &Found) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines.get(found.from..=found.line).hash(&mut hasher);
        hasher.finish()
    }

    /// Adds an entry at the end.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.lines.extend(entry.tag.as_deref().map(tag_line));
        self.lines.push(line(entry.enabled, entry.schedule.as_bytes(), b" ", in_the_line(entry).as_bytes()));
    }

    /// Puts an entry where another one is. What is the same stays as it was written.
    pub(super) fn put(&mut self, at: &Found, entry: &Entry) {
        let (old, Some(there)) = (&at.listed.entry, self.lines.get(at.line)) else { return };
        let Some(Parts { schedule, gap, command, .. }) = Parts::of(there) else { return };
        let schedule = if entry.schedule == old.schedule { schedule } else { entry.schedule.as_bytes() };
        let written = in_the_line(entry);
        let command = if entry.command == old.command { command } else { written.as_bytes() };
        let new = line(entry.enabled, schedule, gap, command);
        let tag = if entry.tag == old.tag {
            self.lines.get(at.from..at.line).unwrap_or_default().to_vec()
        } else {
            entry.tag.as_deref().map(tag_line).into_iter().collect()
        };
        self.lines.splice(at.from..=at.line, tag.into_iter().chain([new]));
    }

    /// Takes an entry away with its tag.
    pub(super) fn remove(&mut self, at: &Found) {
        self.lines.drain(at.from..=at.line);
    }
}

impl<'l> Parts<'l> {
    /// `None` for a comment, a setting of the environment, and what cron would not take.
    fn of(line: &'l [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (enabled, line) = line.strip_prefix(OFF).map_or((true, line), |off| (false, off));
        let begin = blanks(line, 0);
        let fields = match line.get(begin)? {
            b'@' => 1,
            b'*' | b'0'..=b'9' => 5,
            _ => return None,
        };
        let (mut at, mut end) = (begin, begin);
        for field in 0..fields {
            end = word(line, at);
            at = blanks(line, end);
            // `7 = 8` sets something in the environment.
            if end == line.len()
                || (field == 0 && (line.get(begin..end)?.contains(&b'=') || line.get(at) == Some(&b'=')))
            {
                return None;
            }
        }
        let parts = Self { enabled, schedule: line.get(..end)?, gap: line.get(end..at)?, command: line.get(at..)? };
        let is_known = fields == 5 || NICKNAMES.iter().any(|(name, _)| name.as_bytes() == parts.schedule.trim_ascii());
        (is_known && !parts.command.is_empty()).then_some(parts)
    }
}

/// Where the blanks from there on end.
fn blanks(line: &[u8], from: usize) -> usize {
    let is_other = |byte: &u8| *byte != b' ' && *byte != b'\t';
    line.iter().skip(from).position(is_other).map_or(line.len(), |length| from + length)
}

/// Where the word from there on ends.
fn word(line: &[u8], from: usize) -> usize {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    line.iter().skip(from).position(is_blank).map_or(line.len(), |length| from + length)
}

/// Five fields with one space between them.
fn schedule(written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let fields = fields.join(" ");
    let nickname = NICKNAMES.iter().find(|(name, _)| *name == fields);
    nickname.map_or(fields, |(_, meaning)| (*meaning).to_owned())
}

/// A command as it stands in the line.
fn in_the_line(entry: &Entry) -> Cow<'_, str> {
    match entry.tag {
        Some(_) => entry.command.replace('%', "\\%").into(),
        None => entry.command.as_str().into(),
    }
}

/// What cron gives to the shell of what stands in a line: a `%` for `\%`. One that stands alone is a line end, and what comes
/// after it is what the command reads; no entry of the agent's has one.
fn for_the_shell(written: &str) -> String {
    let (mut given, mut is_escaped) = (String::new(), false);
    for sign in written.chars() {
        let was_escaped = is_escaped;
        is_escaped = sign == '\\' && !was_escaped;
        match sign {
            '%' if was_escaped => {
                given.pop();
                given.push('%');
            }
            '%' => given.push('\n'),
            _ => given.push(sign),
        }
    }
    given
}

fn tag_of(line: &[u8]) -> Option<String> {
    let tag = std::str::from_utf8(line.strip_prefix(TAG)?.trim_ascii_end()).ok()?;
    is_tag(tag).then(|| tag.to_owned())
}

/// Whether this is a tag as the interface has them.
pub(super) fn is_tag(tag: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&tag.len()) && tag.bytes().all(is_plain)
}

fn tag_line(tag: &str) -> Vec<u8> {
    [TAG, tag.as_bytes(), b"\n"].concat()
}

fn line(enabled: bool, schedule: &[u8], gap: &[u8], command: &[u8]) -> Vec<u8> {
    let off: &[u8] = if enabled { b"" } else { OFF };
    [off, schedule, gap, command, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that others write into crontabs.
    const FOREIGN: &[u8] = b"# by hand\r\n\n  \t\nMAILTO = \"a@b\"\n7 = 8\n  */5 \t 1-3,5\t* * \tmon  echo caf\xe9 \\% \r\n\
        @daily\techo a=b \n@reboot x\n# latchkey: ours\n# not before an entry\n#1 2 3 4 5 x\n1 2 3 4\n@never x\nwrong\n";

    fn listed(text: &[u8]) -> Vec<(String, String, Option<String>, bool)> {
        let entries = Table::parse(text).entries().into_iter();
        let told = |Entry { schedule, command, tag, enabled }| (schedule, command, tag, enabled);
        entries.map(|found| told(found.listed.entry)).collect()
    }

    fn told(schedule: &str, command: &str, tag: Option<&str>, enabled: bool) -> (String, String, Option<String>, bool) {
        (schedule.to_owned(), command.to_owned(), tag.map(str::to_owned), enabled)
    }

    #[test]
    fn entries_are_told_from_all_else() {
        let others = [
            told("*/5 1-3,5 * * mon", "echo caf\u{fffd} \\% \r", None, true),
            told("0 0 * * *", "echo a=b ", None, true),
            told("@reboot", "x", None, true),
        ];
        assert_eq!(listed(FOREIGN), others);
        let ours =
            b"# latchkey: a-1 \r\n1 2 * * * x\n# latchkey: b\n# latchkey off: @hourly y\n# latchkey off: 1 2 * * * z";
        let told = [
            told("1 2 * * *", "x", Some("a-1"), true),
            told("0 * * * *", "y", Some("b"), false),
            told("1 2 * * *", "z", None, false),
        ];
        assert_eq!(listed(ours), told);
    }

    #[test]
    fn of_an_entry_of_the_agents_a_percent_sign_is_one_and_of_others_all_stands_as_it_is() {
        let text = b"# latchkey: t\n1 2 * * * a \\% b \\\\\\% c\n1 2 * * * a \\% b\n# latchkey: u\n1 2 * * * a % b\n";
        let all = [
            told("1 2 * * *", "a % b \\\\% c", Some("t"), true),
            told("1 2 * * *", "a \\% b", None, true),
            told("1 2 * * *", "a \n b", Some("u"), true),
        ];
        assert_eq!(listed(text), all);
        let mut table = Table::parse(b"");
        for found in Table::parse(text).entries().iter().take(2) {
            table.add(&found.listed.entry);
        }
        assert!(text.starts_with(&table.text()) && !table.text().is_empty());
        // Put away and put back, it stands as it stood.
        let mut table = Table::parse(text);
        let at = table.entries().remove(2);
        table.put(&at, &Entry { enabled: false, ..at.listed.entry.clone() });
        assert_eq!(listed(&table.text())[2], told("1 2 * * *", "a \n b", Some("u"), false));
    }

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let mut table = Table::parse(FOREIGN);
        assert_eq!(table.text(), FOREIGN);
        let entry = Entry { schedule: "1 2 * * *".into(), command: "x".into(), tag: Some("t".into()), enabled: true };
        table.add(&entry);
        assert_eq!(table.text(), [FOREIGN, b"# latchkey: t\n1 2 * * * x\n"].concat());
        let last = table.entries().pop().unwrap();
        assert_eq!(last.listed.entry, entry);
        table.remove(&last);
        assert_eq!(table.text(), FOREIGN);
        // Somebody else's: not run and run again, and then with another schedule.
        let first = |table: &Table| table.entries().remove(0);
        let at = first(&table);
        table.put(&at, &Entry { enabled: false, ..at.listed.entry.clone() });
        let off = FOREIGN.to_vec().windows(6).position(|part| part == b"  */5 ").unwrap();
        assert_eq!(table.text(), [&FOREIGN[..off], OFF, &FOREIGN[off..]].concat());
        let at = first(&table);
        table.put(&at, &Entry { enabled: true, ..at.listed.entry.clone() });
        assert_eq!(table.text(), FOREIGN);
        let at = first(&table);
        table.put(&at, &Entry { schedule: "0 1 * * *".into(), ..at.listed.entry.clone() });
        let expected = b"7 = 8\n0 1 * * *  echo caf\xe9 \\% \r\n@daily";
        assert!(table.text().windows(expected.len()).any(|part| part == expected));
    }

    /// Texts put together at random from what matters here, the same ones each time.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        const PIECES: [&[u8]; 20] = [
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b"*",
            b"* * * * * ",
            b"5 4 * * * ",
            b"1-5/2",
            b"@daily ",
            b"@reboot",
            b"=",
            b"A",
            b"#",
            b"\\%",
            b"\xe9",
            b"\0",
            TAG,
            OFF,
            b"a-1\n",
            b"x",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        (0..20_000).map(move |_| (0..next(24)).flat_map(|_| PIECES[next(PIECES.len())].to_vec()).collect())
    }

    #[test]
    fn whatever_stands_there_nothing_but_the_entry_that_is_meant_is_touched() {
        let mut entries_met = 0;
        for text in texts() {
            let table = Table::parse(&text);
            let whole = table.text();
            assert!(whole == text || whole == [&text[..], b"\n"].concat());
            let entries = table.entries();
            let ids: std::collections::HashSet<&str> = entries.iter().map(|found| found.listed.id.as_str()).collect();
            assert_eq!(ids.len(), entries.len());
            for found in &entries {
                entries_met += 1;
                let (before, after) = (&table.lines[..found.from], &table.lines[found.line + 1..]);
                let mut without = Table::parse(&text);
                without.remove(found);
                assert_eq!(without.lines, [before, after].concat());
                let listed = &found.listed.entry;
                let mut turned = Table::parse(&text);
                turned.put(found, &Entry { enabled: !listed.enabled, ..listed.clone() });
                assert_eq!(
                    (&turned.lines[..found.line], &turned.lines[found.line + 1..]),
                    (&table.lines[..found.line], after)
                );
                let again = turned.entries().into_iter().find(|other| other.line == found.line).unwrap();
                assert_eq!(again.listed.entry, Entry { enabled: !listed.enabled, ..listed.clone() });
                turned.put(&again, listed);
                assert_eq!(turned.text(), whole);
            }
        }
        assert!(entries_met > 1_000, "{entries_met}");
    }

    #[test]
    fn a_last_line_without_its_end_gets_one() {
        assert_eq!(Table::parse(b"# a\n@daily x").text(), b"# a\n@daily x\n");
        assert_eq!(Table::parse(b"").text(), b"");
    }

    #[test]
    fn entries_that_are_alike_have_names_of_their_own_that_end_when_one_goes() {
        let ids = |table: &Table| table.entries().into_iter().map(|found| found.listed.id).collect::<Vec<_>>();
        let mut table = Table::parse(b"@daily x\n@daily  x\n@daily x\n");
        let before = ids(&table);
        assert!(before[0].ends_with("-1-of-2") && before[2].ends_with("-2-of-2") && before[0][..16] == before[2][..16]);
        let first = table.entries().remove(0);
        table.remove(&first);
        assert_eq!(ids(&table), [before[1].clone(), before[0][..16].to_owned()]);
    }
}
