//! What can be said against an archive before a job is begun, and what is wrong with one that cannot be extracted.

use latchkey_files::client::FilesError;
use latchkey_protocol::{ArchiveFlaw, ArchiveFormat, BadArchive, FileFault, Links, SitePath};

use super::{FileKind, Home, hidden, problem};
use crate::problem::{Code, Problem};

/// How many files and folders are packed by their names.
const PATHS_MAX: usize = 1000;

/// What these take together, as they are told to the files worker.
const PATHS_MAX_BYTES: usize = 48 << 10;

/// How names of archives end.
const SUFFIXES: [(&[u8], Option<ArchiveFormat>); 6] = [
    (b".zip", Some(ArchiveFormat::Zip)),
    (b".tar.gz", Some(ArchiveFormat::TarGz)),
    (b".tgz", Some(ArchiveFormat::TarGz)),
    (b".tar.zst", Some(ArchiveFormat::TarZst)),
    (b".tzst", Some(ArchiveFormat::TarZst)),
    (b".tar", None),
];

/// The format that the name of a new archive asks for.
pub(crate) fn format_of(path: &SitePath) -> Option<ArchiveFormat> {
    suffix_of(path).and_then(|(_, format)| format)
}

/// The path of an archive without the end that says what it is.
pub(crate) fn without_suffix(path: &SitePath) -> Option<SitePath> {
    let (suffix, _) = suffix_of(path)?;
    let (folder, name) = path.split()?;
    let length = name.len() - suffix.len();
    folder.child(name.get(..length).filter(|rest| !rest.is_empty())?).ok()
}

fn suffix_of(path: &SitePath) -> Option<(&'static [u8], Option<ArchiveFormat>)> {
    let (_, name) = path.split()?;
    let name = name.to_ascii_lowercase();
    SUFFIXES.into_iter().find(|(suffix, _)| name.ends_with(suffix))
}

/// Whether these can be in one archive: not too many, each with a name of its own.
pub(crate) fn check_paths(paths: &[SitePath]) -> Result<(), Problem> {
    if !(1..=PATHS_MAX).contains(&paths.len()) {
        return Err(Problem::invalid("paths", format!("expected 1 to {PATHS_MAX} files and folders")));
    }
    let told = serde_json::to_vec(paths).map_err(|error| Problem::internal(&error))?;
    if told.len() > PATHS_MAX_BYTES {
        let detail = "expected at most 48 KiB of paths together; name the folders that they are in";
        return Err(Problem::invalid("paths", detail));
    }
    let mut names: Vec<&[u8]> = paths.iter().filter_map(|path| path.split().map(|(_, name)| name)).collect();
    names.sort_unstable();
    if let Some(name) = names.windows(2).find_map(|pair| pair.first().filter(|first| pair.last() == Some(*first))) {
        let detail = format!("expected a name of its own for each, and two are called {}", name.escape_ascii());
        return Err(Problem::invalid("paths", detail));
    }
    if paths.iter().any(hidden::is_hidden) {
        return Err(hidden::refused("paths"));
    }
    Ok(())
}

/// Whether each is a file or a folder that may be packed.
pub(crate) async fn check_there(home: &Home, paths: &[SitePath]) -> Result<(), Problem> {
    for path in paths {
        let found = home.tree.stat(path, Links::Meant).await.map_err(|error| at(path, problem(error)))?;
        if !matches!(FileKind::of(&found), FileKind::File | FileKind::Folder) {
            return Err(Problem::conflict(format!("{path}: expected a file or a folder, not a link or a device")));
        }
        hidden::check(home, "paths", path).await?;
    }
    Ok(())
}

/// Whether it is a file that can be read at all.
pub(crate) async fn check_archive(home: &Home, path: &SitePath) -> Result<(), Problem> {
    let found = home.tree.stat(path, Links::Followed).await.map_err(problem)?;
    match FileKind::of(&found) {
        FileKind::File => Ok(()),
        FileKind::Folder => Err(problem(FileFault::IsADirectory.into())),
        _ => Err(problem(FileFault::NotRegular.into())),
    }
}

/// Whether something can be made there: nothing has the name, and there is a folder for it.
pub(crate) async fn check_free(home: &Home, path: &SitePath) -> Result<(), Problem> {
    match home.tree.stat(path, Links::Meant).await {
        Ok(_) => return Err(at(path, problem(FileFault::Exists.into()))),
        Err(FilesError::Fault(FileFault::NotFound)) => {}
        Err(error) => return Err(at(path, problem(error))),
    }
    let (folder, _) = path.split().ok_or_else(|| Problem::invalid("to", "expected something in the home"))?;
    let found = home.tree.stat(&folder, Links::Followed).await.map_err(|error| at(&folder, problem(error)))?;
    if FileKind::of(&found) != FileKind::Folder {
        return Err(at(&folder, problem(FileFault::NotADirectory.into())));
    }
    hidden::check(home, "to", path).await
}

/// The problem, with where it is.
pub(crate) fn at(path: &SitePath, problem: Problem) -> Problem {
    Problem { detail: format!("{path}: {}", problem.detail), ..problem }
}

/// Why an archive is not extracted, with the entry that it is about.
pub(crate) fn problem_of(bad: &BadArchive) -> Problem {
    let detail = match bad.entry.as_slice() {
        [] => bad.flaw.to_string(),
        entry => format!("\"{}\": {}", entry.escape_ascii(), bad.flaw),
    };
    let is_too_large =
        matches!(bad.flaw, ArchiveFlaw::Entries | ArchiveFlaw::Bytes | ArchiveFlaw::Ratio | ArchiveFlaw::Memory);
    if is_too_large { Problem::new(Code::TooLarge, detail) } else { Problem::invalid("path", detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SitePath {
        SitePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_end_of_a_name_says_the_format_and_what_is_left_the_folder() {
        for (name, format, folder) in [
            ("a/b.zip", Some(ArchiveFormat::Zip), Some("a/b")),
            ("B.ZIP", Some(ArchiveFormat::Zip), Some("B")),
            ("a.tar.gz", Some(ArchiveFormat::TarGz), Some("a")),
            ("a.tgz", Some(ArchiveFormat::TarGz), Some("a")),
            ("a.b.tar.zst", Some(ArchiveFormat::TarZst), Some("a.b")),
            ("a.tzst", Some(ArchiveFormat::TarZst), Some("a")),
            ("a.tar", None, Some("a")),
            (".zip", Some(ArchiveFormat::Zip), None),
            ("a.gz", None, None),
            ("a.zip/b", None, None),
        ] {
            assert_eq!((format_of(&path(name)), without_suffix(&path(name))), (format, folder.map(path)), "{name}");
        }
    }

    #[test]
    fn what_is_packed_is_named_once_and_can_be_told() {
        let paths = |texts: &[&str]| texts.iter().map(|text| path(text)).collect::<Vec<_>>();
        let detail = |paths: &[SitePath]| check_paths(paths).unwrap_err().detail;
        assert!(check_paths(&paths(&["a/b", "a/c", "d"])).is_ok());
        assert!(detail(&[]).contains("1 to 1000"));
        assert!(detail(&paths(&["a/b", "c/d", "e/b"])).contains("two are called b"));
        assert!(detail(&paths(&["a", ".latchkey/trash"])).contains(".latchkey"));
        let many = |count: usize| (0..count).map(|number| path(&number.to_string())).collect::<Vec<_>>();
        assert!(check_paths(&many(PATHS_MAX)).is_ok());
        assert!(detail(&many(PATHS_MAX + 1)).contains("1 to 1000"));
        let long = (0..300).map(|number| path(&format!("{number}{}", "x".repeat(180)))).collect::<Vec<_>>();
        assert!(detail(&long).contains("48 KiB"));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line_with_the_entry() {
        let of = |entry: &[u8], flaw| problem_of(&BadArchive::of(entry, flaw));
        let link = of(b"a\n\xff\"b", ArchiveFlaw::Link);
        assert_eq!((link.code, link.detail.as_str()), (Code::Invalid, r#""a\n\xff\"b": it is a link"#));
        assert_eq!(of(b"", ArchiveFlaw::Ratio).code, Code::TooLarge);
        assert!(of(&[b'x'; 5000], ArchiveFlaw::Climbs).detail.len() < 300);
    }
}
