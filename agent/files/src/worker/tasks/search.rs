//! Searching beneath a directory, by names and by what files hold, for no longer than somebody waits.

use std::{fs::File, io::Read as _, vec};

use latchkey_protocol::{FileFault, FileFound, FileLine, FileSearch, FileTaskDone, SearchEnd, SitePath};
use memchr::memmem;
use rustix::fs::{FileType, Mode, OFlags};

use super::{
    super::{
        attributes::of_stat,
        directories::{ATTRIBUTES_MAX_BYTES, Room, text_bytes},
        resolve::Rooted,
    },
    beneath::{Beneath, Met},
    term::{Term, now_s},
};

/// No search finds more.
const MOST: u32 = 1000;

/// Files that are longer are not looked into.
const FILE_MAX_BYTES: u64 = 8 << 20;

/// A file with a zero byte in its beginning is no text.
const BEGINNING_BYTES: u64 = 8 << 10;

/// As much is told of a line, and as much of it before what was searched for.
const LINE_MAX_BYTES: usize = 200;
const BEFORE_BYTES: usize = 60;

/// As much of a line is made lower case at a time: whoever writes code for machines has lines of megabytes.
const PIECE_BYTES: usize = 64 << 10;

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    entries: u64,
    seconds: i64,
}

const BOUNDS: Bounds = Bounds { entries: 1_000_000, seconds: 20 };

/// What was found, as far as it is not told yet.
#[derive(Debug)]
pub(super) struct Searched {
    left: vec::IntoIter<FileFound>,
    /// Taken already, and too large for the answer before.
    next: Option<FileFound>,
    left_out: u64,
    ended: Option<SearchEnd>,
}

/// Searches until all was looked at, or enough was found.
pub(super) fn search(at: &Rooted, asked: &FileSearch, term: &Term) -> Result<Searched, FileFault> {
    search_within(at, asked, term, BOUNDS)
}

fn search_within(at: &Rooted, asked: &FileSearch, term: &Term, bounds: Bounds) -> Result<Searched, FileFault> {
    let directory = at.open(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK, Mode::empty())?;
    let mut beneath = Beneath::of(directory, at, term)?;
    let until = now_s().saturating_add(bounds.seconds);
    let wanted = Wanted::of(asked);
    let limit = usize::try_from(asked.limit.min(MOST)).unwrap_or_default();
    let (mut items, mut left_out, mut entries) = (Vec::new(), 0, 0);
    let ended = loop {
        let Some(met) = beneath.next()? else { break None };
        entries += 1;
        if entries > bounds.entries {
            break Some(SearchEnd::Entries);
        }
        if now_s() >= until {
            break Some(SearchEnd::Time);
        }
        if !wanted.is_name(&met) {
            continue;
        }
        let line = match &wanted.content {
            None => None,
            Some(content) => match look_into(&mut beneath, &met, content)? {
                Look::Found(line) => Some(line),
                Look::Nothing => continue,
                Look::TooLong => {
                    left_out += 1;
                    continue;
                }
            },
        };
        if items.len() >= limit {
            break Some(SearchEnd::Limit);
        }
        // A path that is longer than one may be cannot be asked for either.
        let Ok(path) = SitePath::parse_strict(&met.path) else { continue };
        items.push(FileFound { path, attributes: of_stat(&met.stat), line });
    };
    Ok(Searched { left: items.into_iter(), next: None, left_out: left_out + beneath.left_out(), ended })
}

impl Searched {
    /// As much as one frame holds.
    pub(super) fn tell(&mut self) -> FileTaskDone {
        let (mut items, mut room) = (Vec::new(), Room::of_a_frame());
        let mut is_over = true;
        while let Some(found) = self.next.take().or_else(|| self.left.next()) {
            if !room.takes_bytes(frame_bytes(&found)) {
                self.next = Some(found);
                is_over = false;
                break;
            }
            items.push(found);
        }
        FileTaskDone::Found { items, left_out: self.left_out, ended: self.ended, is_over }
    }
}

/// What one takes in a frame at most.
fn frame_bytes(found: &FileFound) -> usize {
    let line = found.line.as_ref().map_or(0, |line| text_bytes(line.text.as_bytes()));
    // The line has a number, too.
    2 * ATTRIBUTES_MAX_BYTES + text_bytes(found.path.as_bytes()) + line
}

/// What is searched for, ready to be compared.
struct Wanted {
    name: Option<Name>,
    content: Option<Content>,
}

enum Name {
    Part(String),
    Pattern(Vec<char>),
}

enum Content {
    Exact(Vec<u8>),
    AnyCase(String),
}

enum Look {
    Found(FileLine),
    Nothing,
    TooLong,
}

impl Wanted {
    fn of(asked: &FileSearch) -> Self {
        let name = asked.name.as_ref().map(|name| {
            let name = name.to_lowercase();
            if name.contains(['*', '?']) { Name::Pattern(name.chars().collect()) } else { Name::Part(name) }
        });
        let content = asked.content.as_ref().map(|content| match asked.is_case_sensitive {
            true => Content::Exact(content.as_bytes().to_vec()),
            false => Content::AnyCase(content.to_lowercase()),
        });
        Self { name, content }
    }

    fn is_name(&self, met: &Met) -> bool {
        let name = || {
            let name = met.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            String::from_utf8_lossy(name).to_lowercase()
        };
        match &self.name {
            None => true,
            Some(Name::Part(part)) => name().contains(part),
            Some(Name::Pattern(pattern)) => fits(pattern, &name().chars().collect::<Vec<_>>()),
        }
    }
}

impl Content {
    /// Where it is in a line, and the line as text.
    fn find(&self, line: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(content) => memmem::find(line, content),
            Self::AnyCase(content) => {
                let step = PIECE_BYTES.saturating_sub(4 * content.len()).max(1);
                (0..line.len().max(1)).step_by(step).find_map(|from| {
                    let piece = line.get(from..line.len().min(from + PIECE_BYTES)).unwrap_or_default();
                    // Lower case may be longer or shorter: then it is near there.
                    let found = String::from_utf8_lossy(piece).to_lowercase().find(content)?;
                    Some((from + found).min(line.len()))
                })
            }
        }
    }
}

/// Whether a name is like a pattern: `*` is anything, `?` one character.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut of_name, mut star) = (0, 0, None);
    while let Some(character) = name.get(of_name) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of_name));
                at += 1;
            }
            Some(one) if *one == '?' || one == character => {
                at += 1;
                of_name += 1;
            }
            // The last star takes one more.
            _ => match star {
                Some((starred, taken)) => {
                    star = Some((starred, taken + 1));
                    (at, of_name) = (starred + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|one| *one == '*')
}

fn look_into(beneath: &mut Beneath<'_>, met: &Met, content: &Content) -> Result<Look, FileFault> {
    if met.kind() != FileType::RegularFile {
        return Ok(Look::Nothing);
    }
    if u64::try_from(met.stat.st_size).unwrap_or_default() > FILE_MAX_BYTES {
        return Ok(Look::TooLong);
    }
    let Some(file) = beneath.open(met)? else { return Ok(Look::Nothing) };
    let Some(text) = read_text(File::from(file)) else { return Ok(Look::Nothing) };
    let found = text.split(|byte| *byte == b'\n').zip(1..).find_map(|(line, number)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        content.find(line).map(|at| FileLine { number, text: part_of(line, at) })
    });
    Ok(found.map_or(Look::Nothing, Look::Found))
}

/// All of a file, if it can be read and is text.
fn read_text(mut file: File) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    file.by_ref().take(BEGINNING_BYTES).read_to_end(&mut text).ok()?;
    if text.contains(&0) {
        return None;
    }
    // It may have grown since it was met.
    file.take(FILE_MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

/// A part of a line, around a place in it.
fn part_of(line: &[u8], at: usize) -> String {
    let mut from = if line.len() <= LINE_MAX_BYTES { 0 } else { at.saturating_sub(BEFORE_BYTES) };
    // Not in the middle of a character, of which the longest has four bytes.
    let least = from.saturating_sub(3);
    while from > least && line.get(from).is_some_and(|byte| byte & 0xc0 == 0x80) {
        from -= 1;
    }
    let to = line.len().min(from + LINE_MAX_BYTES + 4);
    let text = String::from_utf8_lossy(line.get(from..to).unwrap_or_default());
    text.get(..text.floor_char_boundary(LINE_MAX_BYTES)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::Place;

    use super::{super::super::resolve::Home, *};

    #[test]
    fn a_pattern_is_all_of_a_name() {
        let fits = |pattern: &str, name: &str| {
            let [pattern, name] = [pattern, name].map(|text| text.chars().collect::<Vec<_>>());
            super::fits(&pattern, &name)
        };
        for (pattern, name) in
            [("*", ""), ("*", "a"), ("*.php", "a.php"), ("a*b*c", "aXbXbc"), ("?\u{e4}", "x\u{e4}"), ("**a", "ba")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("?", ""), ("*.php", "a.php5"), ("a*b", "abc"), ("a?", "a"), ("", "a"), ("b*", "ab")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // Many stars cost no more than the two lengths.
        assert!(!fits(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn a_search_looks_at_so_many_entries_and_for_so_long() {
        let dir = tempfile::tempdir().unwrap();
        (0..20).for_each(|number| std::fs::write(dir.path().join(number.to_string()), "text").unwrap());
        let home = Home::open(dir.path()).unwrap();
        let at = Place { root: SitePath::ROOT, path: SitePath::ROOT };
        let rooted = home.at(&at).unwrap();
        let asked = FileSearch { at, name: Some("*".into()), content: None, is_case_sensitive: false, limit: 1000 };
        for (bounds, found, ended) in [
            (Bounds { entries: 20, seconds: 20 }, 20, None),
            (Bounds { entries: 19, seconds: 20 }, 19, Some(SearchEnd::Entries)),
            (Bounds { entries: 20, seconds: 0 }, 0, Some(SearchEnd::Time)),
        ] {
            let searched = search_within(&rooted, &asked, &Term::default(), bounds).unwrap();
            assert_eq!((searched.left.len(), searched.ended), (found, ended), "{bounds:?}");
        }
    }

    #[test]
    fn a_line_of_megabytes_is_searched_piece_by_piece_and_nothing_is_lost_between_two() {
        let content = Content::AnyCase("n\u{e4}edle".into());
        for at in (PIECE_BYTES - 40..PIECE_BYTES + 40).chain([0, 999_000]) {
            let mut line = vec![b'x'; 1_000_000];
            line.splice(at..at + 7, "N\u{c4}EDLE".bytes());
            assert_eq!(content.find(&line), Some(at));
        }
        assert_eq!(content.find(&vec![b'n'; 1_000_000]), None);
    }

    #[test]
    fn what_lies_too_deep_is_left_out_of_a_search() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("d/".repeat(70))).unwrap();
        std::fs::write(dir.path().join("found"), "").unwrap();
        let home = Home::open(dir.path()).unwrap();
        let at = Place { root: SitePath::ROOT, path: SitePath::ROOT };
        let asked = FileSearch {
            at: at.clone(),
            name: Some("found".into()),
            content: None,
            is_case_sensitive: false,
            limit: 10,
        };
        let searched = search(&home.at(&at).unwrap(), &asked, &Term::default()).unwrap();
        assert_eq!((searched.left.len(), searched.left_out, searched.ended), (1, 1, None));
    }

    #[test]
    fn a_part_of_a_line_holds_what_was_searched_for() {
        let line = format!("{}needle{}", "\u{e4}".repeat(500), "y".repeat(500));
        let part = part_of(line.as_bytes(), line.find("needle").unwrap());
        assert!(part.len() <= LINE_MAX_BYTES && part.contains("needle"), "{part}");
        assert_eq!(part_of(b"short needle\xff", 6), "short needle\u{fffd}");
    }
}
