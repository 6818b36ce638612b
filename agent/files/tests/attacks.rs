//! A corpus of attacks as data: each is tried on a worker that runs as root and is confined by nothing but the way it
//! resolves paths. The answer has to be the expected one, nothing outside of the root may be told, touched or read; and
//! the same while somebody swaps directories and links.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking and puts up files itself"
)]

mod outside;

use std::{
    fs,
    io::Read as _,
    os::fd::OwnedFd,
    os::unix::{
        fs::{chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use latchkey_files::worker::in_thread;
use latchkey_protocol::{
    AttributeChanges, Creation, Existing, FileAccessMode, FileAnswered, FileAsked, FileFault, FileReply, FileRequest,
    FrameError, FrameSocket, Links, OpenHow, Place, SitePath,
};
use outside::{MARK, Outside, SIZE};
use rustix::fs::{CWD, FileType, Mode, RenameFlags};

/// A home with the roots `s1` and `s10`, a neighbour, and a worker for the home.
struct Trial {
    dir: tempfile::TempDir,
    worker: FrameSocket,
}

/// What came of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Answered(FileReply, Vec<OwnedFdContent>),
    /// The client's own parser refused the path.
    NoPath,
    /// The worker ended.
    Dropped,
}

/// Ends a loop of another thread on drop, so that a test that fails ends, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The content behind a descriptor that came back, if it can be read.
type OwnedFdContent = Vec<u8>;

impl Trial {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        for made in ["home", "home/s1", "home/s1/d", "home/s10", "home/s10/d", "neighbour", "neighbour/d"] {
            fs::create_dir(dir.path().join(made)).unwrap();
        }
        fs::write(dir.path().join("home/s1/index.php"), "<?php").unwrap();
        fs::write(dir.path().join("home/s1/d/inner"), "inner").unwrap();
        for folder in ["home/s10", "neighbour"] {
            outside::furnish(&dir.path().join(folder));
        }
        let worker = in_thread(&dir.path().join("home")).unwrap().0;
        Self { dir, worker }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.dir.path().join("home").join(name)
    }

    fn outside(&self) -> Outside {
        Outside::of(self.dir.path(), &self.home("s1"))
    }

    /// Puts up what an attack needs.
    fn set_up(&self, statement: &str) {
        let (what, rest) = statement.split_once(' ').unwrap();
        let (name, target) = rest.split_once(" -> ").unwrap_or((rest, ""));
        let path = self.home(name);
        let node = |kind| rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), rustix::fs::makedev(1, 3));
        match what {
            "link" => symlink(target, path).unwrap(),
            "file" => fs::write(path, "file").unwrap(),
            "own" => chown(path, Some(12345), None).unwrap(),
            "fifo" => node(FileType::Fifo).unwrap(),
            "device" => node(FileType::CharacterDevice).unwrap(),
            "socket" => drop(UnixListener::bind(path).unwrap()),
            other => panic!("unknown set-up {other}"),
        }
    }

    fn ask(&self, request: &FileRequest, beside: &[&OwnedFd]) -> (Outcome, Vec<OwnedFd>) {
        let frame = serde_json::to_vec(&FileAsked { number: 1, request: request.clone() }).unwrap();
        self.ask_bytes(&frame, beside)
    }

    fn ask_bytes(&self, frame: &[u8], beside: &[&OwnedFd]) -> (Outcome, Vec<OwnedFd>) {
        use std::os::fd::AsFd as _;
        let beside: Vec<_> = beside.iter().map(|fd| fd.as_fd()).collect();
        self.worker.send_bytes(frame, &beside).unwrap();
        match self.worker.receive::<FileAnswered>() {
            Ok((answered, descriptors)) => {
                let contents = descriptors.iter().map(content).collect();
                (Outcome::Answered(answered.reply, contents), descriptors)
            }
            Err(FrameError::Closed) => (Outcome::Dropped, vec![]),
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes a request as the table writes it.
    fn attempt(&self, request: &str) -> Outcome {
        let (verb, rest) = request.split_once(' ').unwrap();
        match verb {
            "frame" => self.ask_bytes(format!("{{\"number\":1,\"request\":{rest}}}").as_bytes(), &[]).0,
            "at" => {
                let (root, rest) = rest.split_once(' ').unwrap();
                self.attempt_in(root, rest)
            }
            "across" => {
                let (verb, rest) = rest.split_once(' ').unwrap();
                let (from, to) = rest.split_once(" -> ").unwrap();
                let place = |text: &str| {
                    let (root, name) = text.split_once('/').unwrap();
                    place(root, &bytes(name)).unwrap()
                };
                self.ask(&of_two(verb, place(from), place(to)), &[]).0
            }
            _ => self.attempt_in("s1", request),
        }
    }

    fn attempt_in(&self, root: &str, request: &str) -> Outcome {
        let (verb, rest) = request.split_once(' ').unwrap();
        let (path, more) = match rest.split_once(" -> ") {
            Some((path, more)) => (path, more),
            None if matches!(verb, "chmod" | "truncate") => rest.rsplit_once(' ').unwrap(),
            None => (rest, ""),
        };
        let Some(at) = place(root, &bytes(path)) else { return Outcome::NoPath };
        let request = match verb {
            "rename" | "replace" | "hardlink" => {
                let Some(to) = place(root, &bytes(more)) else { return Outcome::NoPath };
                of_two(verb, at, to)
            }
            "list" => return self.list(at),
            "upload" => return self.upload(at),
            _ => of_one(verb, at, more),
        };
        self.ask(&request, &[]).0
    }

    fn list(&self, at: Place) -> Outcome {
        match self.ask(&FileRequest::OpenDirectory { at }, &[]).0 {
            Outcome::Answered(FileReply::Directory { directory }, _) => {
                self.ask(&FileRequest::ReadDirectory { directory }, &[]).0
            }
            other => other,
        }
    }

    /// As a client does: in the directory of the path, then under its name. Where already the first is refused, an unnamed
    /// file of the root is published, so that both are tried.
    fn upload(&self, at: Place) -> Outcome {
        let open = |at: Place| self.ask(&FileRequest::OpenUnnamed { at, mode: 0o644 }, &[]);
        let (refused, descriptors) = match open(at.clone()) {
            (Outcome::Answered(FileReply::OpenedUnnamed { .. }, _), descriptors) => (None, descriptors),
            (other, _) => (Some(other), open(place("s1", b"upload").unwrap()).1),
        };
        let published = self.ask(&FileRequest::Publish { at }, &[&descriptors[0]]).0;
        if let Some(refused) = refused {
            assert_eq!(refused, published, "opening and publishing differ");
        }
        published
    }
}

fn place(root: &str, path: &[u8]) -> Option<Place> {
    Some(Place { root: SitePath::parse(root.as_bytes()).ok()?, path: SitePath::parse(path).ok()? })
}

/// A request about one path.
fn of_one(verb: &str, at: Place, more: &str) -> FileRequest {
    let open = |access, creation, append| OpenHow { access, append, creation, mode: 0o666 };
    let opened = |at, how| FileRequest::Open { at, how };
    let set = |at, links, changes| FileRequest::SetAttributes { at, links, changes };
    let none = AttributeChanges::default();
    match verb {
        "stat" => FileRequest::Stat { at, links: Links::Followed },
        "lstat" => FileRequest::Stat { at, links: Links::Meant },
        "read" => opened(at, open(FileAccessMode::Read, Creation::Existing, false)),
        "write" => opened(at, open(FileAccessMode::ReadWrite, Creation::Truncate, false)),
        "append" => opened(at, open(FileAccessMode::Write, Creation::Existing, true)),
        "create" => opened(at, open(FileAccessMode::Write, Creation::CreateOrTruncate, false)),
        "new" => opened(at, open(FileAccessMode::Write, Creation::New, false)),
        "mkdir" => FileRequest::MakeDirectory { at, mode: 0o777 },
        "rmdir" => FileRequest::RemoveDirectory { at },
        "unlink" => FileRequest::RemoveFile { at },
        "remove_all" => FileRequest::RemoveAll { at },
        "symlink" => FileRequest::SymbolicLink { at, target: bytes(more) },
        "readlink" => FileRequest::ReadLink { at },
        "resolve" => FileRequest::Resolve { at },
        "statfs" => FileRequest::StatFileSystem { at },
        "chmod" => {
            set(at, Links::Followed, AttributeChanges { mode: Some(u32::from_str_radix(more, 8).unwrap()), ..none })
        }
        "truncate" => set(at, Links::Followed, AttributeChanges { size: Some(more.parse().unwrap()), ..none }),
        "utimes" => set(at, Links::Followed, AttributeChanges { times: Some((1, 2)), ..none }),
        "lutimes" => set(at, Links::Meant, AttributeChanges { times: Some((1, 2)), ..none }),
        other => panic!("unknown request {other}"),
    }
}

/// A request about two paths.
fn of_two(verb: &str, from: Place, to: Place) -> FileRequest {
    match verb {
        "rename" => FileRequest::Rename { from, to, existing: Existing::Refused },
        "replace" => FileRequest::Rename { from, to, existing: Existing::Replaced },
        "hardlink" => FileRequest::HardLink { from, to },
        other => panic!("unknown request {other}"),
    }
}

/// The bytes of a path of the table.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut all = parts.next().unwrap().replace("\\n", "\n").into_bytes();
    for part in parts {
        all.push(u8::from_str_radix(&part[..2], 16).unwrap());
        all.extend(part[2..].replace("\\n", "\n").as_bytes());
    }
    all
}

fn content(file: &OwnedFd) -> Vec<u8> {
    let mut content = Vec::new();
    // What was opened to write cannot be read.
    let _ = fs::File::from(file.try_clone().unwrap()).take(SIZE).read_to_end(&mut content);
    content
}

/// The word of the table for an outcome, having made sure that it tells nothing of the outside.
fn told(outcome: &Outcome) -> String {
    let text = format!("{outcome:?}");
    assert!(!text.contains(&format!("size: {SIZE}")), "it tells the size of something outside: {text}");
    let Outcome::Answered(reply, contents) = outcome else {
        return if *outcome == Outcome::NoPath { "parse" } else { "malformed" }.to_owned();
    };
    for content in contents {
        assert!(!String::from_utf8_lossy(content).contains(MARK), "it hands out something from outside");
    }
    match reply {
        FileReply::Failed { fault } => serde_json::to_string(fault).unwrap().trim_matches('"').to_owned(),
        FileReply::Entries { items } => {
            assert!(items.iter().all(|item| item.name != b"secret"), "it lists something outside");
            "ok".to_owned()
        }
        _ => "ok".to_owned(),
    }
}

/// One line of the table; what is wrong with its outcome.
fn try_one(line: &str) -> Result<(), String> {
    let [name, set_up, request, expected] = <[&str; 4]>::try_from(line.split(" | ").collect::<Vec<_>>())
        .map_err(|parts| format!("{} parts: {line}", parts.len()))?;
    let trial = Trial::new();
    let out = trial.dir.path().to_str().unwrap();
    for statement in set_up.split("; ").filter(|statement| !statement.is_empty()) {
        trial.set_up(&statement.replace("{out}", out));
    }
    let before = trial.outside();
    let outcome = trial.attempt(&request.replace("{out}", out));
    // The one line that asks for the other root, to show that the marks are found.
    if expected == "outside" {
        return if format!("{outcome:?}").contains(&format!("size: {SIZE}")) { Ok(()) } else { Err(name.to_owned()) };
    }
    let told = told(&outcome);
    if told != expected {
        return Err(format!("{name}: {told} instead of {expected}"));
    }
    let changed = before.differences(&trial.outside());
    if changed.is_empty() { Ok(()) } else { Err(format!("{name}: touched {changed:?}")) }
}

#[test]
fn no_attack_of_the_corpus_reads_writes_lists_stats_or_changes_anything_outside() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/paths.txt")).unwrap();
    let attacks: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(attacks.len() >= 200, "{}", attacks.len());
    let wrong: Vec<String> = attacks.iter().filter_map(|line| try_one(line).err()).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), attacks.len());
}

#[test]
fn a_link_that_is_swapped_with_a_directory_in_a_loop_leads_nothing_out() {
    let trial = Trial::new();
    fs::create_dir(trial.home("s1/x")).unwrap();
    symlink("../s10", trial.home("s1/y")).unwrap();
    let before = trial.outside();
    let (x, y) = (trial.home("s1/x"), trial.home("s1/y"));
    let stop = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &x, CWD, &y, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let _stop = Stop(&stop);
        let requests = [
            "create x/new",
            "read x/secret",
            "rename index.php -> x/index.php",
            "rename x/index.php -> index.php",
            "mkdir x/d",
            "create x/d/f",
            "list x",
            "chmod x/new 777",
            "upload_into x/up",
            "hardlink x/new -> x/h",
            "unlink x/h",
            "symlink x/l -> new",
            "unlink x/l",
            "remove_all x/d",
            "unlink x/new",
        ];
        for _ in 0..400 {
            for request in requests {
                let outcome = match request.strip_prefix("upload_into ") {
                    Some(path) => publish(&trial, path),
                    None => trial.attempt(request),
                };
                match told(&outcome).as_str() {
                    "ok" => inside += 1,
                    "denied" | "busy" => refused += 1,
                    _ => {}
                }
            }
        }
    });
    // Else nothing was tried.
    assert!(inside > 100 && refused > 100, "{inside} inside, {refused} refused");
    assert_eq!(before.differences(&trial.outside()), Vec::<String>::new());
}

/// An upload whose directory may be another one by the time it is published.
fn publish(trial: &Trial, path: &str) -> Outcome {
    let at = place("s1", path.as_bytes()).unwrap();
    match trial.ask(&FileRequest::OpenUnnamed { at: at.clone(), mode: 0o644 }, &[]) {
        (Outcome::Answered(FileReply::OpenedUnnamed { .. }, _), files) => {
            trial.ask(&FileRequest::Publish { at }, &[&files[0]]).0
        }
        (other, _) => other,
    }
}

#[test]
fn a_directory_that_is_swapped_with_a_link_while_it_is_removed_takes_nothing_along() {
    let trial = Trial::new();
    let before = trial.outside();
    for _ in 0..60 {
        fs::create_dir_all(trial.home("s1/top/x/a/b")).unwrap();
        for n in 0..20 {
            fs::write(trial.home(&format!("s1/top/x/a/{n}")), "").unwrap();
        }
        symlink("../../s10", trial.home("s1/top/y")).unwrap();
        let stop = AtomicBool::new(false);
        let (x, y) = (trial.home("s1/top/x"), trial.home("s1/top/y"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // One of them is gone at some time.
                    let _ = rustix::fs::renameat_with(CWD, &x, CWD, &y, RenameFlags::EXCHANGE);
                }
            });
            let _stop = Stop(&stop);
            let outcome = trial.attempt("remove_all top");
            assert!(!matches!(outcome, Outcome::Dropped), "{outcome:?}");
        });
        assert_eq!(told(&trial.attempt("remove_all top")).replace("not_found", "ok"), "ok");
        assert!(!trial.home("s1/top").exists());
    }
    assert_eq!(before.differences(&trial.outside()), Vec::<String>::new());
}

#[test]
fn nobody_waits_for_a_pipe_that_nobody_writes_to() {
    let trial = Trial::new();
    trial.set_up("fifo s1/p");
    trial.worker.set_timeouts(Some(std::time::Duration::from_secs(10))).unwrap();
    let refused = FileReply::Failed { fault: FileFault::NotRegular };
    for _ in 0..20 {
        assert_eq!(trial.attempt("read p"), Outcome::Answered(refused.clone(), vec![]));
    }
}
