//! Tasks of a tree: what is listed and copied, and that a task ends with whoever waits for it.

#![allow(clippy::unwrap_used, reason = "a test fails at the line that was wrong")]

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use latchkey_files::{
    client::FilesError,
    tasks::Listing,
    tree::Tree,
    worker::{TASKS_MAX, in_this_process},
};
use latchkey_protocol::{FileFault, FileMark, FileOrder, SitePath};

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
