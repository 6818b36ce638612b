//! What a files worker cannot do, each beside what it can, tried from inside its confinement; and what the kernel says of
//! the real one.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

#[path = "../../php/tests/system_user/mod.rs"]
mod system_user;

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use latchkey_files::{client::Client, mount::MountId, tree::Tree};
use latchkey_protocol::{Creation, FileAccessMode, FrameSocket, Links, OpenHow, SitePath};
use rustix::io::Errno;
use system_user::{SystemUser, until};

/// A hosting beside another whose files everybody may read and write, so that nothing but Landlock is in the way.
struct Homes {
    user: SystemUser,
    neighbour: SystemUser,
    dir: tempfile::TempDir,
}

impl Homes {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        let homes = Self { user: SystemUser::new(), neighbour: SystemUser::new(), dir };
        fs::set_permissions(homes.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (home, owner) in [("home", &homes.user), ("neighbour", &homes.neighbour)] {
            fs::create_dir(homes.dir.path().join(home)).unwrap();
            fs::write(homes.dir.path().join(home).join("file"), home).unwrap();
            for name in [home.to_owned(), format!("{home}/file")] {
                let path = homes.dir.path().join(name);
                chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        // Where the system user can execute it.
        // By another process: a child that a test beside this one has just forked would hold ours open for writing.
        let copied = Command::new("cp").arg(program()).arg(homes.dir.path().join("program")).status();
        assert!(copied.unwrap().success());
        homes
    }

    fn text(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes every attempt and expects of each what stands beside it.
    #[track_caller]
    fn check(&self, expected: &[(String, Result<(), Errno>)], more: &[&str]) {
        let mut worker = Command::new(self.text("program"))
            .args([self.user.uid.to_string(), self.user.gid.to_string(), self.text("home")])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let attempts: Vec<&str> = expected.iter().map(|(attempt, _)| attempt.as_str()).collect();
        worker.stdin.take().unwrap().write_all(attempts.join("\n").as_bytes()).unwrap();
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let outcomes: HashMap<&str, &str> = told.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
        for (attempt, outcome) in expected {
            let outcome = outcome.map_or_else(|error| error.raw_os_error().to_string(), |()| "ok".to_owned());
            assert_eq!(outcomes[attempt.as_str()], outcome, "{attempt}");
        }
    }

    /// The real worker, and serve's end of its socket.
    fn start(&self) -> (Child, FrameSocket) {
        let (near, far) = FrameSocket::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_latchkey-files"))
            .arg(format!("--broker-pid={}", std::process::id()))
            .arg(format!("--uid={}", self.user.uid))
            .arg(format!("--gid={}", self.user.gid))
            .arg(format!("--home={}", self.text("home")))
            .stdin(Stdio::from(OwnedFd::from(far)))
            .spawn()
            .unwrap();
        (child, near)
    }

    fn tree(&self, socket: FrameSocket) -> Tree {
        let mount = MountId::of(&fs::File::open(self.text("home")).unwrap()).unwrap();
        Tree::new(Client::over(socket, mount).unwrap(), SitePath::ROOT)
    }
}

/// The program that makes the attempts; cargo builds no example for a single test, so it is built here.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_latchkey-files")).parent().unwrap();
        let target = built.parent().unwrap();
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package=latchkey-files", "--example=files_attempts", "--target-dir"])
            .arg(target)
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{cargo:?}");
        target.join("debug/examples/files_attempts")
    })
}

#[track_caller]
fn files_of_the_home_only(landlock: &[&str]) {
    let homes = Homes::new();
    let of = |what: &str, file: &str| format!("{what} {}", homes.text(file));
    homes.check(
        &[
            (of("read", "home/file"), Ok(())),
            (of("write", "home/file"), Ok(())),
            (of("list", "home"), Ok(())),
            (of("make_directory", "home/made"), Ok(())),
            (format!("link_here {} {}", homes.text("home/file"), homes.text("home/linked")), Ok(())),
            (of("read", "neighbour/file"), Err(Errno::ACCESS)),
            (of("write", "neighbour/file"), Err(Errno::ACCESS)),
            (of("list", "neighbour"), Err(Errno::ACCESS)),
            (of("make_directory", "neighbour/made"), Err(Errno::ACCESS)),
            ("read /etc/passwd".to_owned(), Err(Errno::ACCESS)),
            ("read /proc/self/status".to_owned(), Err(Errno::ACCESS)),
            ("read /dev/null".to_owned(), Err(Errno::ACCESS)),
            ("list /".to_owned(), Err(Errno::ACCESS)),
            ("list /tmp".to_owned(), Err(Errno::ACCESS)),
            ("write /tmp/lk-of-a-files-worker".to_owned(), Err(Errno::ACCESS)),
        ],
        landlock,
    );
}

#[test]
fn the_files_of_the_home_are_reached_and_no_others() {
    files_of_the_home_only(&[]);
}

#[test]
fn a_kernel_with_an_older_landlock_keeps_other_homes_closed_too() {
    files_of_the_home_only(&["2"]);
}

#[test]
fn no_system_call_is_made_but_those_that_files_take() {
    let homes = Homes::new();
    let refused = [
        "execve",
        "execveat",
        "clone",
        "clone3",
        "ptrace",
        "process_vm_readv",
        "pidfd_open",
        "io_uring_setup",
        "bpf",
        "unshare",
        "mount",
        "chroot",
        "mknodat",
        "fchownat",
        "setxattr",
        "open_by_handle_at",
        "socketpair",
        "connect",
        "prctl",
        "setrlimit",
        "keyctl",
    ];
    let mut expected: Vec<_> = refused.iter().map(|name| (format!("call {name}"), Err(Errno::PERM))).collect();
    expected.push(("become".to_owned(), Err(Errno::PERM)));
    expected.push(("signal 0".to_owned(), Err(Errno::PERM)));
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
        expected.push((format!("socket {family}"), Err(Errno::PERM)));
    }
    expected.push((format!("read {}", homes.text("home/file")), Ok(())));
    homes.check(&expected, &[]);
}

#[test]
fn a_file_grows_up_to_the_limit_and_too_large_a_one_is_an_error_and_not_the_end() {
    let homes = Homes::new();
    let grow = |size: u64| format!("grow {} {size}", homes.text("home/file"));
    let most = latchkey_files::confinement::FILE_MAX_BYTES;
    homes.check(&[(grow(most), Ok(())), (grow(most + 1), Err(Errno::FBIG)), (grow(0), Ok(()))], &[]);
}

#[tokio::test]
async fn the_worker_has_no_rights_left_and_does_what_it_is_for() {
    let homes = Homes::new();
    let (mut child, socket) = homes.start();
    let tree = homes.tree(socket);
    let path = SitePath::parse(b"new").unwrap();
    let how = OpenHow { access: FileAccessMode::Write, append: false, creation: Creation::New, mode: 0o666 };
    let file = tree.open(&path, how).await.unwrap();
    file.file().write_all(b"x").unwrap();
    let found = fs::metadata(homes.text("home/new")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (homes.user.uid, homes.user.gid, 0o644));
    let (upload, _) = tree.open_unnamed(&path, 0o666).await.unwrap();
    tree.publish(&upload, &path).await.unwrap();
    assert_eq!(tree.stat(&path, Links::Meant).await.unwrap().size, 0);
    let everything = SitePath::parse(b"d").unwrap();
    tree.make_directory(&everything, 0o777).await.unwrap();
    tree.remove_all(&everything).await.unwrap();

    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapInh:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str(), line("Groups:").as_str()), ("1", "2", ""));
    for task in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    }
    drop(tree);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_worker_whose_home_is_another_users_does_not_start() {
    let homes = Homes::new();
    chown(homes.text("home"), Some(homes.neighbour.uid), None).unwrap();
    let (mut child, socket) = homes.start();
    let tree = homes.tree(socket);
    assert!(!child.wait().unwrap().success());
    tree.client().gone().await;
}

#[test]
fn what_is_no_request_ends_the_worker() {
    let homes = Homes::new();
    let (mut child, socket) = homes.start();
    socket.send_bytes(b"{\"number\":1,\"request\":\"shell\"}", &[]).unwrap();
    assert!(!child.wait().unwrap().success());
    until("it has no processes", || homes.user.processes().is_empty());
}
