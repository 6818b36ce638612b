//! What is packed is unpacked as it was, in every format; what goes wrong on the way is told.

#![allow(clippy::unwrap_used, reason = "a test fails at the line that was wrong")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    os::{
        fd::AsFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{MetadataExt as _, PermissionsExt as _, symlink},
        },
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use latchkey_files::{client::FilesError, tree::Tree, worker::in_this_process};
use latchkey_protocol::{ArchiveFormat, FileFault, SitePath};
use proptest::prelude::*;
use rustix::pipe::PipeFlags;

const FORMATS: [ArchiveFormat; 3] = [ArchiveFormat::Zip, ArchiveFormat::TarGz, ArchiveFormat::TarZst];

fn tree(home: &Path) -> Tree {
    Tree::new(in_this_process(home).unwrap(), SitePath::ROOT)
}

fn path(text: &str) -> SitePath {
    SitePath::parse(text.as_bytes()).unwrap()
}

/// Everything beneath a directory: names, modes, times and content; of directories names and modes.
type All = BTreeMap<Vec<u8>, (u32, i64, Option<Vec<u8>>)>;

fn all_of(directory: &Path) -> All {
    fn add(directory: &Path, top: &Path, all: &mut All) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
            if found.is_dir() {
                all.insert(name, (found.mode(), 0, None));
                add(&path, top, all);
            } else {
                all.insert(name, (found.mode(), found.mtime(), Some(fs::read(&path).unwrap())));
            }
        }
    }
    let mut all = BTreeMap::new();
    add(directory, directory, &mut all);
    all
}

/// Packs `from` and unpacks it again into `back`.
async fn there_and_back(home: &Path, format: ArchiveFormat) {
    let tree = tree(home);
    tree.archive(&[path("from")], &path("packed"), format).await.unwrap();
    tree.extract(&path("packed"), &path("back")).await.unwrap().unwrap();
    assert_eq!(all_of(&home.join("back/from")), all_of(&home.join("from")), "{format:?}");
    fs::remove_dir_all(home.join("back")).unwrap();
    fs::remove_file(home.join("packed")).unwrap();
}

/// Names of bytes that a file system takes, some of them long or odd.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\\'), Just(b':'), Just(b'\n'), Just(0xff_u8), Just(b' '), 1_u8..=255];
    let any = proptest::collection::vec(byte, 1..40);
    let long = "[a-z\u{e4}\u{1f600}]{60}";
    let bytes = prop_oneof![any, long.prop_map(|text: String| text.into_bytes().into_iter().take(255).collect())];
    bytes.prop_filter("no name", |name: &Vec<u8>| !name.contains(&b'/') && !matches!(name.as_slice(), b"." | b".."))
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Folder(BTreeMap<Vec<u8>, Node>, u32),
}

fn node() -> impl Strategy<Value = Node> {
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0_usize..200_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    let file = (content, 0_u32..0o777).prop_map(|(content, mode)| Node::File(content, mode & 0o755));
    file.prop_recursive(4, 24, 6, |inner| {
        let entries = proptest::collection::btree_map(name(), inner, 0..6);
        (entries, 0_u32..0o777).prop_map(|(entries, mode)| Node::Folder(entries, (mode & 0o755) | 0o700))
    })
}

fn make(node: &Node, at: &Path) {
    let mode = match node {
        Node::File(content, mode) => {
            fs::write(at, content).unwrap();
            let past = std::time::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + content.len() as u64);
            File::options().write(true).open(at).unwrap().set_modified(past).unwrap();
            mode
        }
        Node::Folder(entries, mode) => {
            fs::create_dir(at).unwrap();
            for (name, inner) in entries {
                make(inner, &at.join(std::ffi::OsStr::from_bytes(name)));
            }
            mode
        }
    };
    fs::set_permissions(at, fs::Permissions::from_mode(*mode)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_packed_is_unpacked_as_it_was(top in node()) {
        let home = tempfile::tempdir().unwrap();
        make(&top, &home.path().join("from"));
        if home.path().join("from").is_file() {
            fs::create_dir(home.path().join("in")).unwrap();
            fs::rename(home.path().join("from"), home.path().join("in/file")).unwrap();
            fs::rename(home.path().join("in"), home.path().join("from")).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for format in FORMATS {
                there_and_back(home.path(), format).await;
            }
        });
    }
}

#[tokio::test]
async fn several_files_and_folders_are_packed_by_their_own_names() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("a/b/c")).unwrap();
    fs::write(home.path().join("a/b/c/file"), "content").unwrap();
    fs::write(home.path().join("a/single"), "").unwrap();
    let tree = tree(home.path());
    for format in FORMATS {
        let packed = tree.archive(&[path("a/b/c"), path("a/single")], &path("packed"), format).await.unwrap();
        let length = fs::metadata(home.path().join("packed")).unwrap().len();
        assert_eq!((packed.entries, packed.bytes, packed.left_out), (3, length, 0));
        let unpacked = tree.extract(&path("packed"), &path("back")).await.unwrap().unwrap();
        assert_eq!((unpacked.entries, unpacked.bytes), (3, 7));
        let names: Vec<_> = all_of(&home.path().join("back")).into_keys().collect();
        assert_eq!(names, [&b"c"[..], b"c/file", b"single"]);
        let again = tree.archive(&[path("a")], &path("packed"), format).await;
        assert_eq!(again.unwrap_err(), FilesError::Fault(FileFault::Exists));
        let again = tree.extract(&path("packed"), &path("back")).await;
        assert_eq!(again.unwrap_err(), FilesError::Fault(FileFault::Exists));
        fs::remove_dir_all(home.path().join("back")).unwrap();
        fs::remove_file(home.path().join("packed")).unwrap();
    }
}

#[tokio::test]
async fn links_pipes_and_what_serve_keeps_are_left_out() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(".latchkey/trash/x")).unwrap();
    fs::create_dir_all(home.path().join("a/.latchkey")).unwrap();
    fs::write(home.path().join("a/file"), "content").unwrap();
    symlink("file", home.path().join("a/link")).unwrap();
    symlink("/etc/passwd", home.path().join("a/out")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, home.path().join("a/pipe"), rustix::fs::Mode::RWXU).unwrap();
    let tree = tree(home.path());
    for format in FORMATS {
        let packed = tree.archive(&[path("a")], &path("packed"), format).await.unwrap();
        assert_eq!((packed.entries, packed.left_out), (3, 3), "{format:?}");
        tree.extract(&path("packed"), &path("back")).await.unwrap().unwrap();
        // A folder of that name elsewhere is anybody's.
        let names: Vec<_> = all_of(&home.path().join("back")).into_keys().collect();
        assert_eq!(names, [&b"a"[..], b"a/.latchkey", b"a/file"]);
        fs::remove_dir_all(home.path().join("back")).unwrap();
        fs::remove_file(home.path().join("packed")).unwrap();
    }
    for (not, fault) in [("a/link", FileFault::Loop), ("a/pipe", FileFault::NotRegular), ("b", FileFault::NotFound)] {
        let packed = tree.archive(&[path(not)], &path("half"), ArchiveFormat::Zip).await;
        assert_eq!(packed.unwrap_err(), FilesError::Fault(fault), "{not}");
        fs::remove_file(home.path().join("half")).unwrap();
    }
}

/// What comes out of the pipe, and what the worker says of it.
async fn zipped(tree: &Tree, at: &str) -> (Vec<u8>, Result<u64, FilesError>) {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        File::from(read).read_to_end(&mut all).unwrap();
        all
    });
    let done = tree.zip(&path(at), write.as_fd()).await;
    drop(write);
    (reading.await.unwrap(), done.map(|work| work.entries))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_written_as_a_zip_into_a_pipe() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("a/b")).unwrap();
    fs::create_dir_all(home.path().join(".latchkey/trash")).unwrap();
    fs::write(home.path().join("a/b/file"), vec![7; 3_000_000]).unwrap();
    let tree = tree(home.path());
    for (at, names) in [("a", vec!["a", "a/b", "a/b/file"]), ("", vec!["a", "a/b", "a/b/file"])] {
        let (zip, done) = zipped(&tree, at).await;
        assert_eq!(done.unwrap(), 3);
        fs::write(home.path().join("zip"), zip).unwrap();
        tree.extract(&path("zip"), &path("back")).await.unwrap().unwrap();
        let found: Vec<_> = all_of(&home.path().join("back")).into_keys().collect();
        assert_eq!(found, names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        fs::remove_dir_all(home.path().join("back")).unwrap();
        fs::remove_file(home.path().join("zip")).unwrap();
    }
    assert_eq!(zipped(&tree, "nothing").await, (vec![], Err(FilesError::Fault(FileFault::NotFound))));
    // Only into a pipe.
    let file = File::create(home.path().join("file")).unwrap();
    let into_file = tree.zip(&path("a"), file.as_fd()).await;
    assert_eq!(into_file.unwrap_err(), FilesError::Fault(FileFault::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_nobody_reads_ends_and_makes_place() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("a")).unwrap();
    let noise: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(home.path().join("a/file"), noise).unwrap();
    let tree = tree(home.path());
    let pipes: Vec<_> = (0..3).map(|_| rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap()).collect();
    let root = path("a");
    let writing = async {
        let mut all: Vec<_> = pipes.iter().map(|(_, write)| Box::pin(tree.zip(&root, write.as_fd()))).collect();
        for one in &mut all {
            assert!(tokio::time::timeout(Duration::from_millis(300), one).await.is_err());
        }
        let (_read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        assert_eq!(tree.zip(&root, write.as_fd()).await.unwrap_err(), FilesError::Fault(FileFault::Busy));
        // Meanwhile everything else goes on.
        tree.archive(&[path("a")], &path("packed"), ArchiveFormat::Zip).await.unwrap();
    };
    writing.await;
    drop(pipes);
    let (zip, done) = tokio::time::timeout(Duration::from_secs(20), zipped(&tree, "a")).await.unwrap();
    assert!(done.is_ok() && zip.len() > 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_or_shrinks_meanwhile_leaves_archives_whole() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("a")).unwrap();
    let changing = home.path().join("a/changing");
    let file = File::create(&changing).unwrap();
    file.set_len(40_000_000).unwrap();
    let (tree, is_over) = (tree(home.path()), std::sync::Arc::new(AtomicBool::new(false)));
    let told = is_over.clone();
    let changes = tokio::task::spawn_blocking(move || {
        for number in (0_u64..).take_while(|_| !told.load(Ordering::Relaxed)) {
            file.set_len(20_000_000 + (number % 40) * 1_000_000).unwrap();
        }
    });
    let mut ends = Vec::new();
    for (number, format) in FORMATS.into_iter().cycle().take(9).enumerate() {
        ends.push((number, tree.archive(&[path("a")], &path(&number.to_string()), format).await));
    }
    is_over.store(true, Ordering::Relaxed);
    changes.await.unwrap();
    for (number, end) in ends {
        match end {
            Ok(_) => {
                let back = tree.extract(&path(&number.to_string()), &path(&format!("back{number}"))).await.unwrap();
                assert!(back.is_ok(), "{number}: {back:?}");
            }
            // A tar has said already how long it is.
            Err(error) => assert_eq!((error, number % 3 > 0), (FilesError::Fault(FileFault::Changed), true)),
        }
    }
}

#[tokio::test]
async fn what_would_not_be_unpacked_is_not_packed() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("deep").join("d/".repeat(63))).unwrap();
    fs::create_dir_all(home.path().join("deeper").join("d/".repeat(64))).unwrap();
    // Names of 250 bytes: sixteen of them are longer than 4000 with the slashes between them.
    let long = format!("{}/", "x".repeat(249));
    fs::create_dir_all(home.path().join("l").join(long.repeat(15))).unwrap();
    fs::create_dir_all(home.path().join("longer").join(long.repeat(15)).join("x".repeat(245))).unwrap();
    File::create(home.path().join("large")).unwrap().set_len((32 << 30) + 1).unwrap();
    let tree = tree(home.path());
    for format in FORMATS {
        for not in ["deeper", "longer", "large"] {
            let packed = tree.archive(&[path(not)], &path("half"), format).await;
            assert_eq!(packed.unwrap_err(), FilesError::Fault(FileFault::TooMuch), "{not} {format:?}");
            assert!(fs::metadata(home.path().join("half")).unwrap().len() < 1 << 20, "{not} {format:?}");
            fs::remove_file(home.path().join("half")).unwrap();
        }
        for packed in ["deep", "l"] {
            tree.archive(&[path(packed)], &path("packed"), format).await.unwrap();
            tree.extract(&path("packed"), &path("back")).await.unwrap().unwrap();
            fs::remove_dir_all(home.path().join("back")).unwrap();
            fs::remove_file(home.path().join("packed")).unwrap();
        }
    }
}
