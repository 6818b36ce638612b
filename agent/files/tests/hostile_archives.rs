//! Archives that mean harm, or are broken: each is refused with what is wrong and where, and nothing leaves the folder.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails at the line that was wrong")]

#[path = "hostile_archives/tars.rs"]
mod tars;
#[path = "hostile_archives/zips.rs"]
mod zips;

use std::{fs, os::unix::fs::FileExt as _, path::Path};

use latchkey_files::{tree::Tree, worker::in_this_process};
use latchkey_protocol::{ArchiveFlaw, BadArchive, FileWork, SitePath};

/// A home with something beside it that must stay as it is.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::write(dir.path().join("beside"), "beside").unwrap();
        Self { dir }
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    async fn extract(&self, archive: &[u8]) -> Result<FileWork, BadArchive> {
        self.extract_file(|path| fs::write(path, archive).unwrap()).await
    }

    async fn extract_file(&self, write: impl FnOnce(&Path)) -> Result<FileWork, BadArchive> {
        let home = self.home();
        let _ = fs::remove_file(home.join("archive"));
        write(&home.join("archive"));
        let _ = fs::remove_dir_all(home.join("to"));
        let tree = Tree::new(in_this_process(&home).unwrap(), SitePath::ROOT);
        let path = |text: &str| SitePath::parse(text.as_bytes()).unwrap();
        let extracted = tree.extract(&path("archive"), &path("to")).await.unwrap();
        assert_eq!(names(self.dir.path()), ["beside", "home"]);
        assert_eq!(names(&home), ["archive", "to"]);
        assert_eq!(fs::read(self.dir.path().join("beside")).unwrap(), b"beside");
        extracted
    }

    /// The archive is refused for this entry.
    #[track_caller]
    fn refuses(&self, archive: &[u8], entry: &str, flaw: ArchiveFlaw) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let refused = runtime.block_on(self.extract(archive)).unwrap_err();
        assert_eq!((refused.entry.escape_ascii().to_string().as_str(), refused.flaw), (entry, flaw));
    }

    /// The same of an archive whose zeros are holes in its file.
    #[track_caller]
    fn refuses_sparse(&self, archive: &[u8], entry: &str, flaw: ArchiveFlaw) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let refused = runtime.block_on(self.extract_file(|path| write_sparse(path, archive))).unwrap_err();
        assert_eq!((refused.entry.escape_ascii().to_string().as_str(), refused.flaw), (entry, flaw));
    }

    #[track_caller]
    fn takes(&self, archive: &[u8]) -> FileWork {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.extract(archive)).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.home().join("to").join(name)).unwrap()
    }
}

/// Writes a file whose zeros are holes.
fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (at, block) in (0..).step_by(BLOCK_BYTES).zip(bytes.chunks(BLOCK_BYTES)) {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, at).unwrap();
        }
    }
}

const BLOCK_BYTES: usize = 4096;

fn names(directory: &Path) -> Vec<String> {
    let read = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = read.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_no_archive_is_refused_whatever_it_is_called() {
    let scene = Scene::new();
    for bytes in [&b""[..], b"PK", b"text", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"BZh9"] {
        scene.refuses(bytes, "", ArchiveFlaw::Unknown);
    }
}
