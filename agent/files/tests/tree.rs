//! What a tree does with files, each refusal beside its permission.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    time::Duration,
};

use latchkey_files::{
    client::{Client, FilesError},
    mount::MountId,
    tree::Tree,
    worker::{DEEPEST_WALK, in_this_process},
};
use latchkey_protocol::{
    AttributeChanges, Creation, Existing, FileAccessMode, FileAnswered, FileAsked, FileFault, FileReply, FrameError,
    FrameSocket, Links, OpenHow, SitePath,
};

/// A home with a root `site`, and a tree of it.
struct Home {
    dir: tempfile::TempDir,
    tree: Tree,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("site")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let tree = Tree::new(in_this_process(dir.path()).unwrap(), path("site"));
        Self { dir, tree }
    }

    fn on_disk(&self, name: &str) -> PathBuf {
        self.dir.path().join("site").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.on_disk(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.on_disk(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn path(text: &str) -> SitePath {
    SitePath::parse(text.as_bytes()).unwrap()
}

fn how(access: FileAccessMode, creation: Creation) -> OpenHow {
    OpenHow { access, append: false, creation, mode: 0o666 }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, FilesError>, fault: FileFault) {
    assert_eq!(result.unwrap_err(), FilesError::Fault(fault));
}

#[tokio::test]
async fn files_are_opened_read_and_written_as_asked() {
    let home = Home::new();
    let file = home.tree.open(&path("a"), how(FileAccessMode::Write, Creation::New)).await.unwrap();
    file.file().write_all(b"content").unwrap();
    refused(home.tree.open(&path("a"), how(FileAccessMode::Write, Creation::New)).await, FileFault::Exists);
    let read = home.tree.open(&path("a"), how(FileAccessMode::Read, Creation::Existing)).await.unwrap();
    assert_eq!(std::io::read_to_string(read.file()).unwrap(), "content");
    assert!(read.file().write_all(b"x").is_err());
    let append = OpenHow { append: true, ..how(FileAccessMode::Write, Creation::Existing) };
    home.tree.open(&path("a"), append).await.unwrap().file().write_all(b" more").unwrap();
    assert_eq!(home.text("a"), "content more");
    home.tree.open(&path("a"), how(FileAccessMode::ReadWrite, Creation::Truncate)).await.unwrap();
    assert_eq!(home.text("a"), "");
    refused(home.tree.open(&path("none"), how(FileAccessMode::Read, Creation::Existing)).await, FileFault::NotFound);
    refused(home.tree.open(&path("a"), how(FileAccessMode::Read, Creation::Truncate)).await, FileFault::Invalid);
    refused(home.tree.open(&path(""), how(FileAccessMode::Read, Creation::Existing)).await, FileFault::IsADirectory);
}

#[tokio::test]
async fn an_upload_is_whole_or_not_there() {
    let home = Home::new();
    fs::write(home.on_disk("old"), "old").unwrap();
    fs::set_permissions(home.on_disk("old"), fs::Permissions::from_mode(0o640)).unwrap();
    let (upload, _) = home.tree.open_unnamed(&path("old"), 0o666).await.unwrap();
    upload.file().write_all(b"new").unwrap();
    assert_eq!((home.text("old").as_str(), home.names()), ("old", vec!["old".to_owned()]));
    home.tree.publish(&upload, &path("old")).await.unwrap();
    assert_eq!((home.text("old").as_str(), home.names()), ("new", vec!["old".to_owned()]));
    assert_eq!(fs::metadata(home.on_disk("old")).unwrap().mode() & 0o7777, 0o640);
    refused(home.tree.publish(&upload, &path("again")).await, FileFault::Invalid);

    let (fresh, _) = home.tree.open_unnamed(&path("fresh"), 0o4666).await.unwrap();
    home.tree.publish(&fresh, &path("fresh")).await.unwrap();
    assert_eq!(fs::metadata(home.on_disk("fresh")).unwrap().mode() & 0o7777, 0o644);
    let (dropped, _) = home.tree.open_unnamed(&path("dropped"), 0o666).await.unwrap();
    drop(dropped);
    assert_eq!(home.names(), ["fresh", "old"]);
}

#[tokio::test]
async fn an_upload_through_a_link_replaces_what_it_points_at() {
    let home = Home::new();
    fs::create_dir(home.on_disk("d")).unwrap();
    fs::write(home.on_disk("d/f"), "old").unwrap();
    symlink("d/f", home.on_disk("link")).unwrap();
    symlink("../secret", home.on_disk("out")).unwrap();
    let (upload, target) = home.tree.open_unnamed(&path("link"), 0o666).await.unwrap();
    assert_eq!(target, path("d/f"));
    home.tree.publish(&upload, &path("link")).await.unwrap();
    assert_eq!(home.text("d/f"), "");
    assert!(fs::symlink_metadata(home.on_disk("link")).unwrap().is_symlink());
    refused(home.tree.open_unnamed(&path("out"), 0o666).await, FileFault::Denied);
    let (upload, _) = home.tree.open_unnamed(&path("new"), 0o666).await.unwrap();
    refused(home.tree.publish(&upload, &path("out")).await, FileFault::Denied);
    refused(home.tree.publish(&upload, &path("d")).await, FileFault::IsADirectory);
    assert_eq!(fs::read_to_string(home.dir.path().join("secret")).unwrap(), "secret");
}

#[tokio::test]
async fn an_upload_takes_the_place_of_a_regular_file_or_of_nothing() {
    let home = Home::new();
    fs::create_dir(home.on_disk("d")).unwrap();
    symlink("d", home.on_disk("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, home.on_disk("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    refused(home.tree.open_unnamed(&path("d"), 0o666).await, FileFault::IsADirectory);
    refused(home.tree.open_unnamed(&path("link"), 0o666).await, FileFault::IsADirectory);
    refused(home.tree.open_unnamed(&path("pipe"), 0o666).await, FileFault::NotRegular);
    refused(home.tree.open_unnamed(&path("missing/f"), 0o666).await, FileFault::NotFound);
    assert_eq!(home.tree.open_unnamed(&path("link/new"), 0o666).await.unwrap().1, path("d/new"));
}

#[tokio::test]
async fn attributes_are_read_and_changed_of_files_directories_and_links() {
    let home = Home::new();
    fs::write(home.on_disk("f"), "12345").unwrap();
    symlink("f", home.on_disk("l")).unwrap();
    fs::create_dir(home.on_disk("d")).unwrap();
    let stat = home.tree.stat(&path("l"), Links::Followed).await.unwrap();
    assert_eq!((stat.size, stat.mode & 0o170_000), (5, 0o100_000));
    let stat = home.tree.stat(&path("l"), Links::Meant).await.unwrap();
    assert_eq!(stat.mode & 0o170_000, 0o120_000);
    let changes = AttributeChanges { size: Some(2), mode: Some(0o6751), times: Some((1000, -2000)) };
    home.tree.set_attributes(&path("l"), Links::Followed, changes).await.unwrap();
    let found = fs::metadata(home.on_disk("f")).unwrap();
    assert_eq!((found.len(), found.mode() & 0o7777, found.atime(), found.mtime()), (2, 0o751, 1000, -2000));
    let times = AttributeChanges { times: Some((5, 6)), ..AttributeChanges::default() };
    home.tree.set_attributes(&path("l"), Links::Meant, times).await.unwrap();
    assert_eq!(fs::symlink_metadata(home.on_disk("l")).unwrap().mtime(), 6);
    let mode = AttributeChanges { mode: Some(0o700), ..AttributeChanges::default() };
    refused(home.tree.set_attributes(&path("l"), Links::Meant, mode).await, FileFault::NotRegular);
    home.tree.set_attributes(&path("d"), Links::Meant, mode).await.unwrap();
    assert_eq!(fs::metadata(home.on_disk("d")).unwrap().mode() & 0o7777, 0o700);
    let size = AttributeChanges { size: Some(u64::MAX), ..AttributeChanges::default() };
    refused(home.tree.set_attributes(&path("f"), Links::Followed, size).await, FileFault::TooLarge);

    let open = home.tree.open(&path("f"), how(FileAccessMode::ReadWrite, Creation::Existing)).await.unwrap();
    home.tree.set_open_attributes(&open, changes).await.unwrap();
    assert_eq!(fs::metadata(home.on_disk("f")).unwrap().mtime(), -2000);
    assert!(home.tree.stat_file_system(&path("f")).await.unwrap().blocks > 0);
}

#[tokio::test]
async fn a_directory_is_read_whole_whatever_its_names() {
    let home = Home::new();
    let names: Vec<Vec<u8>> = (0..300_u32)
        .map(|n| [format!("{n:03}-").as_bytes(), &[b'\n'; 200]].concat())
        .chain([b"caf\xe9".to_vec(), vec![0xff; 255], b"-rf".to_vec()])
        .collect();
    for name in &names {
        use std::os::unix::ffi::OsStrExt as _;
        fs::write(home.on_disk("").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let mut directory = home.tree.open_directory(&path("")).await.unwrap();
    let first = directory.next().await.unwrap();
    assert!(first.len() < names.len(), "all {} entries fit into one frame", first.len());
    let rest = directory.rest().await.unwrap();
    let mut found: Vec<_> = first.into_iter().chain(rest).map(|entry| entry.name).collect();
    found.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(found, expected);
    assert!(directory.next().await.unwrap().is_empty());
    refused(home.tree.open_directory(&path("-rf")).await, FileFault::NotADirectory);
}

#[tokio::test]
async fn names_are_made_renamed_and_removed() {
    let home = Home::new();
    home.tree.make_directory(&path("d"), 0o4777).await.unwrap();
    assert_eq!(fs::metadata(home.on_disk("d")).unwrap().mode() & 0o7777, 0o755);
    refused(home.tree.make_directory(&path("d"), 0o777).await, FileFault::Exists);
    refused(home.tree.make_directory(&path(""), 0o777).await, FileFault::Exists);
    fs::write(home.on_disk("a"), "a").unwrap();
    fs::write(home.on_disk("d/b"), "b").unwrap();
    refused(home.tree.rename(&path("a"), &path("d/b"), Existing::Refused).await, FileFault::Exists);
    home.tree.rename(&path("a"), &path("d/b"), Existing::Replaced).await.unwrap();
    assert_eq!((home.text("d/b").as_str(), home.names()), ("a", vec!["d".to_owned()]));
    refused(home.tree.remove_directory(&path("d")).await, FileFault::NotEmpty);
    refused(home.tree.remove_file(&path("d")).await, FileFault::IsADirectory);
    home.tree.remove_file(&path("d/b")).await.unwrap();
    home.tree.remove_directory(&path("d")).await.unwrap();
    refused(home.tree.remove_directory(&path("")).await, FileFault::Denied);
    refused(home.tree.remove_all(&path("")).await, FileFault::Denied);
    refused(home.tree.rename(&path(""), &path("x"), Existing::Replaced).await, FileFault::Denied);
}

#[tokio::test]
async fn a_tree_of_any_depth_is_removed_and_links_are_not_followed() {
    let home = Home::new();
    let mut deep = home.on_disk("deep");
    for level in 0..200 {
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("f"), "").unwrap();
        symlink(home.dir.path(), deep.join("l")).unwrap();
        deep = deep.join(format!("{level}"));
    }
    home.tree.remove_all(&path("deep")).await.unwrap();
    assert!(home.names().is_empty());
    assert_eq!(fs::read_to_string(home.dir.path().join("secret")).unwrap(), "secret");
    symlink("../secret", home.on_disk("l")).unwrap();
    home.tree.remove_all(&path("l")).await.unwrap();
    assert!(home.names().is_empty() && home.dir.path().join("secret").exists());
    refused(home.tree.remove_all(&path("none")).await, FileFault::NotFound);
}

#[tokio::test]
async fn links_lead_to_within_the_root_only() {
    let home = Home::new();
    fs::create_dir_all(home.on_disk("d/e")).unwrap();
    fs::write(home.on_disk("f"), "f").unwrap();
    for target in ["../../f", "g/missing", "./../x"] {
        home.tree.symbolic_link(&path("d/e/l"), target.as_bytes()).await.unwrap();
        assert_eq!(home.tree.read_link(&path("d/e/l")).await.unwrap(), target.as_bytes());
        home.tree.remove_file(&path("d/e/l")).await.unwrap();
    }
    symlink(".", home.on_disk("self")).unwrap();
    symlink("..", home.on_disk("up")).unwrap();
    for target in ["/etc/passwd", "../../../secret", "e/../../../secret", "missing/../../../../etc", "../../up/secret"]
    {
        refused(home.tree.symbolic_link(&path("d/e/l"), target.as_bytes()).await, FileFault::Denied);
    }
    refused(home.tree.symbolic_link(&path("self/l"), b"../secret").await, FileFault::Denied);
    refused(home.tree.symbolic_link(&path("l"), b"").await, FileFault::Invalid);
    refused(home.tree.read_link(&path("f")).await, FileFault::Invalid);
    home.tree.hard_link(&path("f"), &path("d/hard")).await.unwrap();
    assert_eq!(fs::metadata(home.on_disk("f")).unwrap().nlink(), 2);
    refused(home.tree.hard_link(&path("f"), &path("d/hard")).await, FileFault::Exists);
    refused(home.tree.hard_link(&path("self"), &path("d/hard2")).await, FileFault::Denied);
    refused(home.tree.hard_link(&path("d"), &path("d/hard2")).await, FileFault::IsADirectory);
}

#[tokio::test]
async fn a_path_is_resolved_with_all_its_links() {
    let home = Home::new();
    fs::create_dir_all(home.on_disk("d/e")).unwrap();
    symlink("d/e", home.on_disk("l")).unwrap();
    assert_eq!(home.tree.resolve(&path("l")).await.unwrap(), path("d/e"));
    assert_eq!(home.tree.resolve(&path("l/new")).await.unwrap(), path("d/e/new"));
    assert_eq!(home.tree.resolve(&path("")).await.unwrap(), path(""));
    refused(home.tree.resolve(&path("l/no/new")).await, FileFault::NotFound);
    symlink("..", home.on_disk("up")).unwrap();
    refused(home.tree.resolve(&path("up")).await, FileFault::Denied);
}

#[tokio::test]
async fn a_root_is_a_directory_without_links() {
    let home = Home::new();
    symlink("site", home.dir.path().join("other")).unwrap();
    let of = |root: &str| Tree::new(home.tree.client().clone(), path(root));
    assert!(of("site").stat(&path(""), Links::Followed).await.is_ok());
    refused(of("other").stat(&path(""), Links::Followed).await, FileFault::Denied);
    refused(of("secret").stat(&path(""), Links::Followed).await, FileFault::Denied);
    refused(of("none").stat(&path(""), Links::Followed).await, FileFault::NotFound);
}

#[tokio::test]
async fn a_closed_client_is_gone_for_all_its_trees() {
    let home = Home::new();
    let other = home.tree.clone();
    home.tree.client().close();
    home.tree.client().gone().await;
    assert_eq!(other.stat(&path(""), Links::Meant).await.unwrap_err(), FilesError::Gone);
}

#[tokio::test]
async fn many_requests_are_under_way_at_a_time() {
    let home = Home::new();
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let tree = home.tree.clone();
            tokio::spawn(async move {
                let at = path(&format!("{n}"));
                let file = tree.open(&at, how(FileAccessMode::ReadWrite, Creation::New)).await.unwrap();
                write!(file.file(), "{n}").unwrap();
                let mut read = String::new();
                let again = tree.open(&at, how(FileAccessMode::Read, Creation::Existing)).await.unwrap();
                again.file().read_to_string(&mut read).unwrap();
                assert_eq!(read, n.to_string());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(home.names().len(), 500);
}

#[tokio::test]
async fn requests_under_way_are_bounded_and_further_ones_wait() {
    let (near, far) = FrameSocket::pair().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mount = MountId::of(&fs::File::open(home.path()).unwrap()).unwrap();
    let tree = Tree::new(Client::over(near, mount).unwrap(), path("site"));
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let tree = tree.clone();
            tokio::spawn(async move { tree.stat(&path("f"), Links::Meant).await })
        })
        .collect();
    // A worker that answers late.
    let worker = tokio::task::spawn_blocking(move || {
        let next = || far.receive::<FileAsked>().map(|(asked, _)| asked.number);
        let answer = |number| {
            let reply = FileReply::Failed { fault: FileFault::NotFound };
            far.send(&FileAnswered { number, reply }, &[]).unwrap();
        };
        far.set_timeouts(Some(Duration::from_secs(10))).unwrap();
        let mut waiting: Vec<u64> = (0..64).map(|_| next().unwrap()).collect();
        let nothing_more = || {
            far.set_timeouts(Some(Duration::from_millis(100))).unwrap();
            assert!(matches!(next(), Err(FrameError::TimedOut)), "more is under way than may be");
            far.set_timeouts(Some(Duration::from_secs(10))).unwrap();
        };
        nothing_more();
        answer(waiting.remove(0));
        waiting.push(next().unwrap());
        nothing_more();
        for _ in 0..35 {
            answer(waiting.remove(0));
            waiting.push(next().unwrap());
        }
        waiting.into_iter().for_each(answer);
    });
    for one in asked {
        refused(one.await.unwrap(), FileFault::NotFound);
    }
    worker.await.unwrap();
}

#[tokio::test]
async fn open_directories_are_bounded_and_places_given_back() {
    let home = Home::new();
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(home.tree.open_directory(&path("")).await.unwrap());
    }
    refused(home.tree.open_directory(&path("")).await, FileFault::Busy);
    open.pop();
    // Closing is not waited for.
    let place = async { while home.tree.open_directory(&path("")).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), place).await.unwrap();
}

#[tokio::test]
async fn a_tree_is_measured_by_the_length_of_its_files_each_once() {
    let home = Home::new();
    assert_eq!(home.tree.measure().await, Ok(0));
    fs::create_dir_all(home.on_disk("a/b")).unwrap();
    fs::write(home.on_disk("a/b/f"), "12345").unwrap();
    fs::write(home.on_disk("g"), "123").unwrap();
    fs::hard_link(home.on_disk("g"), home.on_disk("a/again")).unwrap();
    fs::File::create(home.on_disk("hole")).unwrap().set_len(1 << 40).unwrap();
    symlink("../secret", home.on_disk("l")).unwrap();
    symlink("a", home.on_disk("m")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, home.on_disk("pipe"), 0o600.into()).unwrap();
    assert_eq!(home.tree.measure().await, Ok((1 << 40) + 8));
    // More than one answer is about.
    fs::create_dir(home.on_disk("many")).unwrap();
    for number in 0..10_000 {
        fs::write(home.on_disk(&format!("many/{number}")), "1").unwrap();
    }
    let all: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let tree = home.tree.clone();
                async move { tree.measure().await }
            })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok((1 << 40) + 10_008));
    }
}

#[tokio::test]
async fn what_lies_deeper_than_a_walk_goes_is_not_silently_left_out() {
    let home = Home::new();
    let mut deep = home.on_disk("");
    for _ in 1..DEEPEST_WALK {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "12345").unwrap();
    assert_eq!(home.tree.measure().await, Ok(5));
    fs::create_dir(deep.join("d")).unwrap();
    refused(home.tree.measure().await, FileFault::TooLarge);
}

#[tokio::test]
async fn a_walk_that_is_given_up_leaves_its_place_to_others() {
    let home = Home::new();
    for number in 0..5_000 {
        fs::write(home.on_disk(&number.to_string()), "1").unwrap();
    }
    for _ in 0..50 {
        let given_up = tokio::time::timeout(Duration::from_micros(500), home.tree.measure()).await;
        // The worker may not have heard yet that those before are given up.
        let busy = Ok(Err(FilesError::Fault(FileFault::Busy)));
        assert!(given_up.is_err() || given_up == Ok(Ok(5_000)) || given_up == busy, "{given_up:?}");
    }
    home.tree.client().answers().await.unwrap();
    assert_eq!(home.tree.measure().await, Ok(5_000));
}
