//! Trees of files to be carried to a site and back, and what they are when they have arrived.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// What there is of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The bits of its mode.
    pub mode: u32,
    /// When it was changed, in seconds; of folders nothing, which change with what is in them.
    pub modified_s: Option<i64>,
    /// Its content; none of a folder.
    pub content: Option<Vec<u8>>,
}

/// All that is beneath a folder, by its path from there.
#[must_use]
#[track_caller]
pub fn inventory(folder: &Path) -> BTreeMap<PathBuf, Kept> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let seen = fs::symlink_metadata(&path).unwrap();
            let is_folder = seen.is_dir();
            let kept = Kept {
                mode: seen.mode() & 0o7777,
                modified_s: (!is_folder).then(|| seen.mtime()),
                content: seen.is_file().then(|| fs::read(&path).unwrap()),
            };
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), kept);
            if is_folder {
                folders.push(path);
            }
        }
    }
    found
}

/// Which names a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Whatever Linux takes: UTF-8, Latin-1, a newline, a leading dash, 255 bytes.
    Any,
    /// Those that fit a line of text, for clients that read lists.
    Lines,
}

/// Makes a tree of so many files in folders of a hundred, with all kinds of modes and times in the past.
#[track_caller]
pub fn plant(folder: &Path, files: usize, names: Names) {
    let mut odd: Vec<Vec<u8>> = vec!["gr\u{fc}\u{df}e".into(), b"-rf".to_vec(), b"a b'\"$".to_vec()];
    if names == Names::Any {
        odd.extend([b"caf\xe9".to_vec(), b"new\nline".to_vec(), vec![b'x'; 251]]);
    }
    for number in 0..files {
        let group = folder.join(format!("{:02}", number / 100));
        fs::create_dir_all(&group).unwrap();
        // Four digits at most: with them the longest name has 255 bytes.
        let mut name = odd[number % odd.len()].clone();
        name.extend(format!("{number:04}").bytes());
        let path = group.join(OsString::from_vec(name));
        fs::write(&path, format!("{number} ").repeat(number % 50)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode([0o644, 0o600, 0o755, 0o440][number % 4])).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number as u64);
        fs::File::open(&path).unwrap().set_modified(modified).unwrap();
    }
}

/// The longest name beneath a folder, in bytes.
#[must_use]
pub fn longest_name(folder: &Path) -> usize {
    inventory(folder).keys().filter_map(|path| Some(path.file_name()?.as_bytes().len())).max().unwrap_or(0)
}

/// Bytes that nobody guesses.
#[must_use]
#[track_caller]
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    noise
}
