//! Tasks of a tree: what is listed and copied, and that a task ends with whoever waits for it.

#![allow(clippy::unwrap_used, reason = "a test fails at the line that was wrong")]

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use latchkey_files::{
    client::FilesError,
    tasks::{Listing, Search},
    tree::Tree,
    worker::{TASKS_MAX, in_this_process},
};
use latchkey_protocol::{ArchiveFormat, FileFault, FileMark, FileOrder, SitePath};

fn tree(home: &Path) -> Tree {
    Tree::new(in_this_process(home).unwrap(), SitePath::ROOT)
}

fn path(text: &str) -> SitePath {
    SitePath::parse(text.as_bytes()).unwrap()
}

fn by_name(limit: u32) -> Listing {
    Listing { order: FileOrder::Name, is_descending: false, after: None, limit }
}

#[tokio::test]
async fn a_long_listing_comes_whole_in_order_and_no_longer_than_asked_for() {
    let home = tempfile::tempdir().unwrap();
    // So long that a page of them takes several frames.
    let name = |number: usize| format!("{number:05}{}", "x".repeat(240));
    for number in 0..1200 {
        fs::write(home.path().join(name(number)), "").unwrap();
    }
    let tree = tree(home.path());
    let listed = tree.list(&SitePath::ROOT, by_name(1000)).await.unwrap();
    let names: Vec<_> = listed.items.iter().map(|one| String::from_utf8(one.name.clone()).unwrap()).collect();
    assert_eq!(names, (0..1000).map(name).collect::<Vec<_>>());
    assert_eq!((listed.total, listed.has_more), (1200, true));
    let after = FileMark { key: 0, name: name(999).into_bytes() };
    let rest = tree.list(&SitePath::ROOT, Listing { after: Some(after), ..by_name(1000) }).await.unwrap();
    assert_eq!((rest.items.len(), rest.has_more), (200, false));
    let longer = tree.list(&SitePath::ROOT, by_name(u32::MAX)).await.unwrap();
    assert_eq!((longer.items.len(), longer.has_more), (1000, true));
}

#[tokio::test]
async fn a_copy_has_the_modes_and_the_content_and_leaves_out_what_leads_out() {
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("from");
    fs::create_dir_all(from.join("a/b")).unwrap();
    fs::write(from.join("a/b/file"), "content").unwrap();
    fs::set_permissions(from.join("a/b/file"), fs::Permissions::from_mode(0o4640)).unwrap();
    fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o500)).unwrap();
    symlink("../a/b/file", from.join("a/inside")).unwrap();
    symlink("../../from", from.join("a/out")).unwrap();
    symlink("/etc", from.join("absolute")).unwrap();
    let copied = tree(home.path()).copy(&path("from"), &path("to")).await.unwrap();
    assert_eq!((copied.bytes, copied.left_out), (7, 2));
    let to = home.path().join("to");
    assert_eq!(fs::read(to.join("a/inside")).unwrap(), b"content");
    assert_eq!(fs::metadata(to.join("a/b/file")).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(to.join("a")).unwrap().mode() & 0o777, 0o500);
    assert!(fs::symlink_metadata(to.join("a/out")).is_err() && fs::symlink_metadata(to.join("absolute")).is_err());
    let again = tree(home.path()).copy(&path("from"), &path("to")).await;
    assert_eq!(again.unwrap_err(), FilesError::Fault(FileFault::Exists));
    fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(to.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn folders_that_lie_too_deep_are_not_copied() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(format!("from/{}", "d/".repeat(70)))).unwrap();
    let copied = tree(home.path()).copy(&path("from"), &path("to")).await;
    assert_eq!(copied.unwrap_err(), FilesError::Fault(FileFault::TooMuch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_waits_for_ends_and_makes_place() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("from")).unwrap();
    // Takes no room, and long to copy.
    fs::File::create(home.path().join("from/large")).unwrap().set_len(1 << 30).unwrap();
    let tree = tree(home.path());
    for number in 0..TASKS_MAX {
        let (from, to) = (path("from"), path(&format!("to-{number}")));
        let copy = tree.copy(&from, &to);
        assert!(tokio::time::timeout(Duration::from_millis(5), copy).await.is_err(), "it was done already");
    }
    let root = SitePath::ROOT;
    let listed = tokio::time::timeout(Duration::from_secs(20), tree.list(&root, by_name(10)));
    assert!(listed.await.unwrap().is_ok());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file of 30 MB that is the same again and again.
fn again_and_again(home: &Path, name: &str, first: &[u8], then: &[u8]) {
    fs::write(home.join(name), [first, &then.repeat(30_000_000 / then.len())].concat()).unwrap();
}

/// Archives that take as good as for ever to be read, and in which nothing comes.
fn endless(home: &Path) -> [&'static str; 5] {
    // A frame of Zstandard, and then what it passes by.
    let skipped = File::create(home.join("skipped")).unwrap();
    skipped.write_all_at(&zstd::encode_all(&b""[..], 1).unwrap(), 0).unwrap();
    let begin = skipped.metadata().unwrap().len();
    for number in 0..256_u64 {
        skipped.write_all_at(b"\x50\x2a\x4d\x18\xf0\xff\xff\xff", begin + number * (8 + 0xffff_fff0)).unwrap();
    }
    skipped.set_len(begin + 256 * (8 + 0xffff_fff0)).unwrap();
    // A tar's header that says nothing.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::XGlobalHeader);
    header.set_size(0);
    header.set_cksum();
    again_and_again(home, "headers", b"", &gzip(&header.as_bytes().repeat(2048)));
    again_and_again(home, "zeros", b"", &gzip(&vec![0; 1 << 20]));
    again_and_again(home, "parts", &gzip(b""), &gzip(b""));
    // Four blocks in five bytes, each of which ends at once, and has its code built first.
    again_and_again(home, "blocks", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x02\x08\x20\x80\x00");
    ["skipped", "headers", "zeros", "parts", "blocks"]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_end_ends_with_whoever_waits_for_it_and_keeps_only_archives_waiting() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "content").unwrap();
    let tree = tree(home.path());
    let soon = Duration::from_secs(5);
    for name in endless(home.path()) {
        let (from, to) = (path(name), [1, 2, 3, 4].map(|number| path(&format!("{name}-{number}"))));
        let mut all: Vec<_> = to.iter().map(|to| Box::pin(tree.extract(&from, to))).collect();
        for one in &mut all {
            let extracted = tokio::time::timeout(Duration::from_millis(50), one).await;
            assert!(extracted.is_err(), "{name}: {extracted:?}");
        }
        let search = Search { name: Some("file".into()), content: None, is_case_sensitive: false, limit: 10 };
        let root = SitePath::ROOT;
        assert!(tokio::time::timeout(soon, tree.list(&root, by_name(10))).await.unwrap().is_ok(), "{name}");
        assert!(tokio::time::timeout(soon, tree.search(&root, search)).await.unwrap().is_ok(), "{name}");
        let copy = path(&format!("{name}-copy"));
        assert!(tokio::time::timeout(soon, tree.copy(&path("file"), &copy)).await.unwrap().is_ok(), "{name}");
        drop(all);
        let packed = path(&format!("{name}-packed"));
        let from = [path("file")];
        let packed = tree.archive(&from, &packed, ArchiveFormat::TarGz);
        assert!(tokio::time::timeout(soon, packed).await.unwrap().is_ok(), "{name}");
    }
}
