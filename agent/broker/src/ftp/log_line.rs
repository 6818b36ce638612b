//! A line of pure-ftpd's log, as far as it tells what a session did to a file.
//!
//! A name in it decides nothing: what comes before it is fixed, what comes after it is taken from the end of the line, and
//! a line is a message of its own. (Control characters pure-ftpd replaces by itself.)

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use latchkey_protocol::{FtpDeed, FtpDid, SITE_PATH_MAX_BYTES, SitePath};

/// Ends the head of a line, in which only login and address are not fixed. No login of ours holds it.
const HEAD_END: &[u8] = b") [NOTICE] ";
const REMOVED: &[u8] = b"Deleted ";
const RENAMED: &[u8] = b"File successfully renamed or moved: [";
/// Between the names of one that was renamed.
const TO: &[u8] = b"]->[";
/// Before how much was transferred, and how fast.
const MEASURED: &[u8] = b"  (";

/// What a line says that the session in `folder` did; nothing if it says something else.
///
/// Paths of transfers and removals are those that pure-ftpd resolved. A rename is told with the name that the client gave,
/// from whichever folder it was in then; where names hold what stands between the two, with both.
#[must_use]
pub fn parse(line: &[u8], folder: &Path) -> Option<FtpDid> {
    let words = after(line, HEAD_END)?;
    let in_folder = |path: &[u8]| path.strip_prefix(folder.as_os_str().as_bytes())?.strip_prefix(b"/").map(site_path);
    if let Some(path) = words.strip_prefix(REMOVED) {
        return Some(FtpDid { what: FtpDeed::Removed, path: in_folder(path)? });
    }
    if let Some(names) = words.strip_prefix(RENAMED) {
        let names = names.strip_suffix(b"]").unwrap_or(names);
        return Some(FtpDid { what: FtpDeed::Renamed, path: site_path(former_name(names)) });
    }
    let measured = words.windows(MEASURED.len()).rposition(|at| at == MEASURED)?;
    let (transfer, _) = words.split_at(measured);
    let (what, path) = match (transfer.strip_suffix(b" uploaded"), transfer.strip_suffix(b" downloaded")) {
        (Some(path), _) => (FtpDeed::Uploaded, path),
        (None, Some(path)) => (FtpDeed::Downloaded, path),
        (None, None) => return None,
    };
    Some(FtpDid { what, path: in_folder(path)? })
}

/// What comes after the first `mark`.
fn after<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let at = line.windows(mark.len()).position(|window| window == mark)?;
    line.get(at + mark.len()..)
}

fn former_name(names: &[u8]) -> &[u8] {
    let mut places = names.windows(TO.len()).enumerate().filter(|(_, window)| *window == TO);
    match (places.next(), places.next()) {
        (Some((at, _)), None) => names.get(..at).unwrap_or(names),
        _ => names,
    }
}

/// A path that cannot be told whole is told as far as it can.
fn site_path(path: &[u8]) -> SitePath {
    SitePath::parse(path.get(..SITE_PATH_MAX_BYTES).unwrap_or(path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/run/folders/7-99";

    fn line(words: &str) -> Vec<u8> {
        let head = "<93>Nov 22 11:19:33 pure-ftpd: (ann.live@2001:db8::7) [NOTICE] ";
        format!("{head}{}", words.replace("HERE", FOLDER)).into_bytes()
    }

    #[track_caller]
    fn check(words: &str, what: FtpDeed, path: &str) {
        let path = SitePath::parse(path.as_bytes()).unwrap();
        assert_eq!(parse(&line(words), Path::new(FOLDER)), Some(FtpDid { what, path }), "{words}");
    }

    #[test]
    fn what_was_done_is_read_with_the_path_beneath_the_folder() {
        check("HERE//a/b c.php uploaded  (5000 bytes, 1319.67KB/sec)", FtpDeed::Uploaded, "a/b c.php");
        check("HERE//zero downloaded  (0 bytes, 0.00KB/sec)", FtpDeed::Downloaded, "zero");
        check("Deleted HERE//a/b", FtpDeed::Removed, "a/b");
        check("File successfully renamed or moved: [a/b]->[c]", FtpDeed::Renamed, "a/b");
    }

    #[test]
    fn a_name_that_looks_like_the_rest_of_a_line_is_a_name() {
        let name = "x uploaded  (1 bytes, 1.00KB/sec)";
        check(&format!("HERE//{name} downloaded  (2 bytes, 1.00KB/sec)"), FtpDeed::Downloaded, name);
        check(
            "Deleted HERE//x downloaded  (1 bytes, 1.00KB/sec)",
            FtpDeed::Removed,
            "x downloaded  (1 bytes, 1.00KB/sec)",
        );
        check(
            "HERE//) [NOTICE] Deleted HERE//y uploaded  (1 bytes, 1.00KB/sec)",
            FtpDeed::Uploaded,
            &format!(") [NOTICE] Deleted {FOLDER}//y"),
        );
        check("HERE//Deleted  uploaded  (1 bytes, 1.00KB/sec)", FtpDeed::Uploaded, "Deleted ");
        // Which of the names is the former one nobody can say.
        check("File successfully renamed or moved: [a]->[b]->[c]", FtpDeed::Renamed, "a]->[b]->[c");
    }

    #[test]
    fn names_are_bytes() {
        let line = [&line("Deleted HERE//caf")[..], b"\xe9\""].concat();
        assert_eq!(parse(&line, Path::new(FOLDER)).unwrap().path.as_bytes(), b"caf\xe9\"");
    }

    #[test]
    fn what_is_of_another_folder_or_says_something_else_is_nothing() {
        for words in [
            "/run/folders/7-990//a uploaded  (1 bytes, 1.00KB/sec)",
            "/run/folders/8-99//a uploaded  (1 bytes, 1.00KB/sec)",
            "Deleted /etc/passwd",
            "HERE//a",
            "HERE//a vanished  (1 bytes, 1.00KB/sec)",
            "Restarting at 10",
        ] {
            assert_eq!(parse(&line(words), Path::new(FOLDER)), None, "{words}");
        }
        let info = String::from_utf8(line("Deleted HERE//a")).unwrap().replace("NOTICE", "INFO");
        assert_eq!(parse(info.as_bytes(), Path::new(FOLDER)), None);
    }

    #[test]
    fn a_path_that_is_too_long_is_cut_and_not_left_out() {
        let did = parse(&line(&format!("Deleted HERE//{}", "abc/".repeat(1100))), Path::new(FOLDER)).unwrap();
        assert!(did.path.as_bytes().starts_with(b"abc/abc") && did.path.as_bytes().len() > 3000);
    }
}
