//! Reading a log backwards, a page at a time: however long it is, only the page is read.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::str::FromStr;

use super::line::{Line, WHOLE_MAX_BYTES};

/// So much is read at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// So much of a log is looked at for one page. A page that meets it is shorter, and the next goes on there.
const SCANNED_MAX_BYTES: usize = 1 << 20;

/// A place in a log, between two lines.
///
/// It goes on being that place while the log grows. That the log became another one is told by the inode, by the length,
/// and by the line before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) inode: u64,
    pub(super) offset: u64,
    /// Of the line before; 0 where there is none that is whole.
    print: u32,
}

/// What is no position.
#[derive(Debug)]
pub(crate) struct NoPosition;

/// Lines of a log.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of the log.
    pub(crate) lines: Vec<Line>,
    /// Where the lines before these end, if there are any.
    pub(crate) before: Option<Position>,
    /// Where these end.
    pub(crate) end: Position,
}

/// Why a page is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// The position is one of another log.
    #[error("the log was rotated or emptied since")]
    Rotated,
    /// It cannot be read.
    #[error("a log cannot be read")]
    Read(#[source] io::Error),
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}-{:x}-{:x}", self.inode, self.offset, self.print)
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut numbers = text.splitn(3, '-').map(|digits| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| is_plain).ok_or(NoPosition)
        });
        let mut next = || numbers.next().unwrap_or(Err(NoPosition));
        let (inode, offset, print) = (next()?, next()?, next()?);
        Ok(Self { inode, offset, print: u32::try_from(print).map_err(|_| NoPosition)? })
    }
}

impl Position {
    /// The beginning of a log.
    pub(super) const fn beginning(inode: u64) -> Self {
        Self { inode, offset: 0, print: 0 }
    }

    /// So many bytes further on, behind this line.
    pub(super) fn behind(self, length: u64, line: &Line) -> Self {
        Self { offset: self.offset + length, print: line.print(), ..self }
    }

    /// This place of a file, with the line that is before it.
    pub(super) fn in_file(file: &File, inode: u64, offset: u64) -> io::Result<Self> {
        let from = offset.saturating_sub(WHOLE_MAX_BYTES as u64 + 2);
        let text = read_exactly(file, from, offset - from)?;
        let line = text.strip_suffix(b"\n").and_then(|text| match text.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => text.get(end + 1..),
            None => Some(text).filter(|_| from == 0),
        });
        Ok(Self { inode, offset, print: line.map_or(0, |line| Line::of(line).print()) })
    }

    /// Whether it is a place of this file.
    pub(super) fn is_in(&self, file: &File) -> io::Result<bool> {
        let facts = file.metadata()?;
        let may_be = self.inode == facts.ino() && self.offset <= facts.size();
        Ok(may_be && *self == Self::in_file(file, self.inode, self.offset)?)
    }
}

/// The last lines before a position, or of the whole log. Blocks.
///
/// A line that has no end yet is not shown: half of it may be half a secret.
pub(crate) fn read(file: &File, before: Option<&Position>, limit: usize) -> Result<Page, PageError> {
    let facts = file.metadata().map_err(PageError::Read)?;
    let inode = facts.ino();
    let end = match before {
        None => facts.size(),
        Some(position) if position.is_in(file).map_err(PageError::Read)? => position.offset,
        Some(_) => return Err(PageError::Rotated),
    };
    let (start, text) = read_back(file, end, limit).map_err(PageError::Read)?;
    // What is behind the last end of a line is no whole line, or the rest of one that is too long.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut lines = Vec::new();
    let mut at = whole;
    while lines.len() < limit && at > 0 {
        let line = text.get(..at - 1).unwrap_or_default();
        match line.iter().rposition(|byte| *byte == b'\n') {
            Some(before) => (at, _) = (before + 1, lines.push(Line::of(line.get(before + 1..).unwrap_or_default()))),
            None if start == 0 => (at, _) = (0, lines.push(Line::of(line))),
            // It begins before what was looked at.
            None if lines.is_empty() => (at, _) = (0, lines.push(Line::too_long())),
            None => break,
        }
    }
    lines.reverse();
    let place = |offset| Position::in_file(file, inode, offset).map_err(PageError::Read);
    let first = start + at as u64;
    let end = if whole == 0 { end } else { start + whole as u64 };
    Ok(Page { lines, before: if first > 0 { Some(place(first)?) } else { None }, end: place(end)? })
}

/// Where the last whole line of a log of this length ends. Of a long one without an end of a line, at its length.
pub(super) fn end(file: &File, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(BLOCK_BYTES as u64);
    let last = read_exactly(file, from, size - from)?;
    let end = last.iter().rposition(|byte| *byte == b'\n').map(|at| from + at as u64 + 1);
    Ok(end.unwrap_or(if from == 0 { 0 } else { size }))
}

/// What is before an offset, back to where so many lines are in it, and where that begins.
fn read_back(file: &File, end: u64, lines: usize) -> io::Result<(u64, Vec<u8>)> {
    let (mut start, mut blocks, mut ends, mut length) = (end, Vec::new(), 0, 0);
    // One more than lines: the first of them begins behind one.
    while start > 0 && ends <= lines && length < SCANNED_MAX_BYTES {
        let size = start.min(BLOCK_BYTES as u64);
        let block = read_exactly(file, start - size, size)?;
        start -= size;
        ends += block.iter().filter(|byte| **byte == b'\n').count();
        length += block.len();
        blocks.push(block);
    }
    blocks.reverse();
    Ok((start, blocks.concat()))
}

/// All of a range; what was cut off meanwhile reads as nothing.
fn read_exactly(file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + read as u64) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn log(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// Everything, read from the end in pages.
    fn all(file: &File, limit: usize) -> Vec<Line> {
        let (mut lines, mut before) = (Vec::new(), None);
        loop {
            let page = read(file, before.as_ref(), limit).unwrap();
            assert!(page.lines.len() <= limit);
            lines.splice(0..0, page.lines);
            before = page.before;
            if before.is_none() {
                return lines;
            }
        }
    }

    #[test]
    fn pages_of_any_size_give_every_line_once() {
        let lines: Vec<String> = (0..3000).map(|number| format!("{number} {}", "x".repeat(number % 300))).collect();
        let file = log((lines.join("\n") + "\n").as_bytes());
        for limit in [7, 999, 1000, 5000] {
            let found: Vec<String> = all(&file, limit).into_iter().map(|line| line.text).collect();
            assert_eq!(found, lines, "{limit}");
        }
        assert_eq!(texts(&read(&file, None, 1).unwrap()), [lines[2999].as_str()]);
    }

    #[test]
    fn an_empty_log_and_one_without_a_whole_line_have_a_page() {
        for text in [&b""[..], b"half"] {
            let page = read(&log(text), None, 10).unwrap();
            assert!(page.lines.is_empty() && page.before.is_none(), "{page:?}");
        }
        assert_eq!(texts(&read(&log(b"\n\na\n"), None, 10).unwrap()), ["", "", "a"]);
    }

    #[test]
    fn a_line_without_an_end_waits_for_it() {
        let mut file = log(b"one\ntwo password=abc");
        let page = read(&file, None, 10).unwrap();
        assert_eq!(texts(&page), ["one"]);
        assert_eq!(page.end.offset, 4);
        file.write_all(b"def\n").unwrap();
        assert_eq!(texts(&read(&file, None, 10).unwrap()), ["one", "two password=***"]);
    }

    #[test]
    fn a_position_stays_what_it_is_while_the_log_grows() {
        let mut file = log(b"1\n2\n3\n4\n");
        let page = read(&file, None, 2).unwrap();
        file.write_all(b"5\n6\n").unwrap();
        let before: Position = page.before.unwrap().to_string().parse().unwrap();
        assert_eq!(texts(&read(&file, Some(&before), 10).unwrap()), ["1", "2"]);
    }

    #[test]
    fn a_log_that_became_another_one_is_told() {
        let file = log(b"1\n2\n3\n4\n");
        let before = read(&file, None, 2).unwrap().before.unwrap();
        let is_rotated = |file: &File| matches!(read(file, Some(&before), 10), Err(PageError::Rotated));
        assert!(is_rotated(&log(b"1\n2\n3\n4\n")), "another file");
        file.set_len(2).unwrap();
        assert!(is_rotated(&file), "shorter than the position");
        file.set_len(0).unwrap();
        file.write_all_at(b"a\nb\nc\nd\ne\n", 0).unwrap();
        assert!(is_rotated(&file), "emptied, and longer than the position by now");
    }

    #[test]
    fn a_line_longer_than_the_limit_is_told_once_and_passed_over_in_bounded_steps() {
        let long = "x".repeat(3 * SCANNED_MAX_BYTES);
        let file = log(format!("first\n{long}\nlast\n").as_bytes());
        let lines = all(&file, 10);
        assert_eq!(lines, [Line::of(b"first"), Line::too_long(), Line::of(b"last")]);
        // One that fits a page, and is too long all the same.
        let file = log(format!("{}\nlast\n", "x".repeat(WHOLE_MAX_BYTES + 1)).as_bytes());
        assert_eq!(all(&file, 10), [Line::too_long(), Line::of(b"last")]);
    }

    #[test]
    fn the_end_of_a_log_of_many_gigabytes_is_read_at_once() {
        let file = log(b"");
        let size = 10 << 30;
        file.set_len(size).unwrap();
        file.write_all_at(b"\nlast but one\nlast\n", size - 19).unwrap();
        assert_eq!(texts(&read(&file, None, 2).unwrap()), ["last but one", "last"]);
        let page = read(&file, None, 100).unwrap();
        assert_eq!(texts(&page), ["last but one", "last"]);
        assert_eq!(
            size - page.before.unwrap().offset,
            18,
            "what begins before what was looked at comes with the next page"
        );
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "1", "1-2", "1-2-3-4", "x-1-2", "-1-2-3", "+1-2-3", "1-2-100000000", "11111111111111111-1-1"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert!("1-2-3".parse::<Position>().is_ok());
    }
}
