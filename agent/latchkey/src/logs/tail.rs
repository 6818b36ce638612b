//! The end of a log as it grows: new lines, and whether it was emptied.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::line::{Line, WHOLE_MAX_BYTES};
use super::page::Position;

/// So much is read at a time: a line that may be shown, with its end.
const READ_BYTES: usize = WHOLE_MAX_BYTES + 1;

/// An open log, and how far it was told.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    /// Where the next line begins, or what is left of one that is too long.
    told: Position,
    in_too_long: bool,
    /// The log's length and the time of its last change when nothing more of it could be told.
    seen: Option<(u64, i64, i64)>,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Lines, each with where it ends.
    Lines(Vec<(Line, Position)>),
    /// It begins anew.
    Emptied,
    /// Nothing yet.
    Nothing,
}

impl Tail {
    /// From a position in the log on; from its beginning when it became another one since; without one from its end.
    pub(super) fn of(file: File, from: Option<&Position>) -> io::Result<Self> {
        let facts = file.metadata()?;
        let at = match from {
            None => super::page::end(&file, facts.size())?,
            Some(position) if position.is_in(&file)? => position.offset,
            Some(_) => 0,
        };
        let mut before = [b'\n'];
        file.read_at(&mut before, at.saturating_sub(1))?;
        // Of a line that is so long that its beginning was not looked for, the rest is not told.
        let in_too_long = at > 0 && before != [b'\n'];
        Ok(Self { told: Position::in_file(&file, facts.ino(), at)?, file, in_too_long, seen: None })
    }

    /// From the beginning of a log on.
    pub(super) fn whole(file: File) -> io::Result<Self> {
        Ok(Self { told: Position::beginning(file.metadata()?.ino()), file, in_too_long: false, seen: None })
    }

    /// Whether this is the log that it reads.
    pub(super) fn is_of(&self, file: &File) -> io::Result<bool> {
        let (one, other) = (self.file.metadata()?, file.metadata()?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }

    /// How far it was told.
    pub(super) const fn position(&self) -> Position {
        self.told
    }

    /// What came since the last step. Reads and holds no more than a long line. Blocks.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let facts = self.file.metadata()?;
        let seen = (facts.size(), facts.mtime(), facts.mtime_nsec());
        if self.seen == Some(seen) {
            return Ok(Step::Nothing);
        }
        // The line before tells it from one that was emptied and is as long by now.
        let inode = self.told.inode;
        let is_as_told = facts.size() >= self.told.offset
            && (self.in_too_long || Position::in_file(&self.file, inode, self.told.offset)? == self.told);
        if !is_as_told {
            (self.told, self.in_too_long, self.seen) = (Position::beginning(inode), false, None);
            return Ok(Step::Emptied);
        }
        let mut bytes = vec![0; READ_BYTES];
        let read = self.file.read_at(&mut bytes, self.told.offset)?;
        Ok(self.take(bytes.get(..read).unwrap_or_default(), seen))
    }

    fn take(&mut self, mut rest: &[u8], seen: (u64, i64, i64)) -> Step {
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end);
            let line = if self.in_too_long { Line::too_long() } else { Line::of(line) };
            self.in_too_long = false;
            self.told = self.told.behind(end as u64 + 1, &line);
            lines.push((line, self.told));
            rest = behind.get(1..).unwrap_or_default();
        }
        if lines.is_empty() && rest.len() > WHOLE_MAX_BYTES {
            self.told = self.told.behind(rest.len() as u64, &Line::too_long());
            self.in_too_long = true;
            return Step::Lines(lines);
        }
        if lines.is_empty() {
            self.seen = Some(seen);
            return Step::Nothing;
        }
        Step::Lines(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    struct Log {
        path: PathBuf,
        _dir: tempfile::TempDir,
    }

    impl Log {
        fn with(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            fs::write(&path, text).unwrap();
            Self { path, _dir: dir }
        }

        fn append(&self, text: &str) {
            fs::File::options().append(true).open(&self.path).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn open(&self) -> File {
            File::open(&self.path).unwrap()
        }

        fn end(&self) -> Tail {
            Tail::of(self.open(), None).unwrap()
        }
    }

    #[track_caller]
    fn check_lines(tail: &mut Tail, expected: &[&str]) {
        match tail.step().unwrap() {
            Step::Lines(lines) => {
                let texts: Vec<&str> = lines.iter().map(|(line, _)| line.text.as_str()).collect();
                assert_eq!(texts, expected);
            }
            other => panic!("{other:?} instead of {expected:?}"),
        }
        assert_eq!(tail.step().unwrap(), Step::Nothing);
    }

    /// All lines that are there.
    fn rest(tail: &mut Tail) -> Vec<Line> {
        let mut all = Vec::new();
        while let Step::Lines(lines) = tail.step().unwrap() {
            all.extend(lines.into_iter().map(|(line, _)| line));
        }
        all
    }

    #[test]
    fn lines_come_once_they_are_whole() {
        let log = Log::with("old\nhal");
        let mut tail = log.end();
        assert_eq!(tail.step().unwrap(), Step::Nothing);
        log.append("f password=ab");
        assert_eq!(tail.step().unwrap(), Step::Nothing);
        log.append("c\nnext\nmo");
        check_lines(&mut tail, &["half password=***", "next"]);
        log.append("re\n");
        check_lines(&mut tail, &["more"]);
    }

    #[test]
    fn a_position_is_gone_on_from_and_a_strange_one_means_the_whole_log() {
        let log = Log::with("1\n2\n3\n");
        let mut tail = Tail::whole(log.open()).unwrap();
        let Step::Lines(lines) = tail.step().unwrap() else { panic!("no lines") };
        let (_, second) = &lines[1];
        check_lines(&mut Tail::of(log.open(), Some(second)).unwrap(), &["3"]);
        let other = Log::with("a\nb\n");
        check_lines(&mut Tail::of(other.open(), Some(second)).unwrap(), &["a", "b"]);
    }

    #[test]
    fn an_emptied_log_begins_anew_also_when_it_has_grown_past_the_place_by_then() {
        let log = Log::with("first line\n");
        let mut tail = log.end();
        fs::write(&log.path, "x\n").unwrap();
        assert_eq!(tail.step().unwrap(), Step::Emptied);
        check_lines(&mut tail, &["x"]);
        for text in ["something longer than that", "something as long as that."] {
            fs::write(&log.path, format!("{text}\n")).unwrap();
            assert_eq!(tail.step().unwrap(), Step::Emptied);
            check_lines(&mut tail, &[text]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_as_such_and_never_held() {
        let log = Log::with("");
        let mut tail = log.end();
        log.append(&"x".repeat(3 * WHOLE_MAX_BYTES));
        while tail.step().unwrap() != Step::Nothing {}
        assert!(tail.in_too_long);
        log.append("\nnext\n");
        assert_eq!(rest(&mut tail), [Line::too_long(), Line::of(b"next")]);
        log.append(&format!("{}\n", "y".repeat(WHOLE_MAX_BYTES + 1)));
        assert_eq!(rest(&mut tail), [Line::too_long()]);
        log.append("last\n");
        check_lines(&mut tail, &["last"]);
    }

    #[test]
    fn what_is_begun_within_a_line_that_is_too_long_goes_on_behind_it() {
        let log = Log::with(&"x".repeat(3 * WHOLE_MAX_BYTES));
        let mut tail = log.end();
        log.append("x\nnext\n");
        assert_eq!(rest(&mut tail), [Line::too_long(), Line::of(b"next")]);
    }

    #[test]
    fn a_renamed_log_is_told_from_its_successor() {
        let log = Log::with("1\n");
        let tail = log.end();
        assert!(tail.is_of(&log.open()).unwrap());
        fs::rename(&log.path, log.path.with_extension("1")).unwrap();
        fs::write(&log.path, "2\n").unwrap();
        assert!(!tail.is_of(&log.open()).unwrap());
    }
}
