//! What a process of a call cannot do, each beside what it can, tried from inside the real confinement.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

mod system_user;

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{PermissionsExt as _, chown, symlink},
            net,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use rustix::io::Errno;
use system_user::SystemUser;

/// A hosting, and the node around it as far as the attempts concern it.
struct Attempts {
    user: SystemUser,
    neighbour: SystemUser,
    dir: tempfile::TempDir,
}

impl Attempts {
    fn new() -> Attempts {
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        let made = Attempts { user: SystemUser::new(), neighbour: SystemUser::new(), dir };
        fs::set_permissions(made.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (home, owner) in [("home", &made.user), ("neighbour", &made.neighbour)] {
            fs::create_dir(made.path(home)).unwrap();
            // Readable and writable for everybody, so that nothing but Landlock is in the way.
            fs::write(made.path(home).join("file"), home).unwrap();
            for path in [made.path(home), made.path(home).join("file")] {
                chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        fs::create_dir(made.path("lib")).unwrap();
        fs::write(made.path("lib/bridge.php"), "<?php").unwrap();
        // Beside the rest, so that nothing of a call lies in the node's /tmp.
        fs::copy(program(), made.path("program")).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// How each attempt ended; `more` are further options of the worker.
    fn outcomes(&self, attempts: &[String], more: &[&str]) -> HashMap<String, String> {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_latchkey-php"))
            .args([
                format!("--broker-pid={}", std::process::id()),
                format!("--uid={}", self.user.uid),
                format!("--gid={}", self.user.gid),
                format!("--home={}", self.text("home")),
                "--docroot=".to_owned(),
                "--deadline-ms=20000".to_owned(),
                format!("--php={}", self.text("program")),
                format!("--bridge={}", self.text("lib/bridge.php")),
            ])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        worker.stdin.take().unwrap().write_all(attempts.join("\n").as_bytes()).unwrap();
        let output = worker.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        told.lines().map(|line| line.rsplit_once(' ').unwrap()).map(|(a, o)| (a.to_owned(), o.to_owned())).collect()
    }

    /// Makes every attempt and expects of each what stands beside it.
    #[track_caller]
    fn check(&self, expected: &[(String, Outcome)], more: &[&str]) {
        let attempts: Vec<String> = expected.iter().map(|(attempt, _)| attempt.clone()).collect();
        let outcomes = self.outcomes(&attempts, more);
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(attempt, outcome)| outcomes[attempt] != outcome.told())
            .map(|(attempt, outcome)| format!("{attempt}: {} instead of {}", outcomes[attempt], outcome.told()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// What is expected of an attempt.
#[derive(Clone, Copy)]
enum Outcome {
    Done,
    Refused(Errno),
}

use Outcome::{Done, Refused};

impl Outcome {
    fn told(self) -> String {
        match self {
            Done => "ok".to_owned(),
            Refused(error) => error.raw_os_error().to_string(),
        }
    }
}

fn named(attempts: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
    attempts.iter().map(|(attempt, outcome)| ((*attempt).to_owned(), *outcome)).collect()
}

/// The program that makes the attempts; cargo builds no example for a single test, so it is built here.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_latchkey-php")).parent().unwrap();
        let target = built.parent().unwrap();
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package=latchkey-php", "--example=attempts", "--target-dir"])
            .arg(target)
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{cargo:?}");
        target.join("debug/examples/attempts")
    })
}

#[test]
fn files_of_the_home_and_of_php_are_reached_and_no_other_home() {
    let node = Attempts::new();
    symlink(node.path("neighbour"), node.path("home/link")).unwrap();
    let of = |home: &str, file: &str| format!("{} {}", home, node.text(file));
    let expected = [
        (of("read", "home/file"), Done),
        (of("write", "home/file"), Done),
        (of("make_directory", "home/made"), Done),
        (of("list", "home"), Done),
        (of("read", "neighbour/file"), Refused(Errno::ACCESS)),
        (of("read", "home/link/file"), Refused(Errno::ACCESS)),
        (of("write", "neighbour/file"), Refused(Errno::ACCESS)),
        (of("make_directory", "neighbour/made"), Refused(Errno::ACCESS)),
        (of("list", "neighbour"), Refused(Errno::ACCESS)),
        (of("read", "lib/bridge.php"), Done),
        (of("write", "lib/bridge.php"), Refused(Errno::ACCESS)),
    ];
    node.check(&expected, &[]);
    node.check(
        &named(&[
            ("read /etc/passwd", Done),
            ("read /usr/bin/env", Done),
            ("read /proc/self/status", Done),
            ("read /dev/urandom", Done),
            ("write /dev/null", Done),
            ("write /tmp/file", Done),
            ("read /etc/shadow", Refused(Errno::ACCESS)),
            ("list /", Refused(Errno::ACCESS)),
            ("list /home", Refused(Errno::ACCESS)),
            ("list /root", Refused(Errno::ACCESS)),
            ("list /var/lib", Refused(Errno::ACCESS)),
            ("list /run", Refused(Errno::ACCESS)),
            ("list /dev", Refused(Errno::ACCESS)),
            ("list /sys/kernel", Refused(Errno::ACCESS)),
            ("write /var/tmp/file", Refused(Errno::ACCESS)),
        ]),
        &[],
    );
}

#[test]
fn the_tmp_of_a_call_is_its_own() {
    let node = Attempts::new();
    let nodes = tempfile::NamedTempFile::with_prefix_in("lk", "/tmp").unwrap();
    fs::set_permissions(nodes.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let name = format!("/tmp/lk-of-a-call-{}", node.user.name);
    let expected =
        [(format!("write {name}"), Done), (format!("read {}", nodes.path().display()), Refused(Errno::NOENT))];
    node.check(&expected, &[]);
    assert!(!Path::new(&name).exists());
}

#[test]
fn what_the_operator_adds_is_reached_and_no_more() {
    let node = Attempts::new();
    let file = node.text("neighbour/file");
    let read = format!("--read={}", node.text("neighbour"));
    node.check(&[(format!("read {file}"), Done), (format!("write {file}"), Refused(Errno::ACCESS))], &[&read]);
    let write = format!("--write={}", node.text("neighbour"));
    node.check(&[(format!("read {file}"), Done), (format!("write {file}"), Done)], &[&write]);
    node.check(&named(&[("execute /bin/sh", Refused(Errno::ACCESS))]), &[&read]);
    node.check(&named(&[("execute /bin/true", Done)]), &["--execute=/bin"]);
}

#[test]
fn a_call_executes_its_php_and_nothing_else() {
    let node = Attempts::new();
    let brought = node.text("home/brought");
    fs::copy("/bin/true", &brought).unwrap();
    chown(&brought, Some(node.user.uid), Some(node.user.gid)).unwrap();
    let expected = [
        (format!("execute {}", node.text("program")), Done),
        (format!("execute {brought}"), Refused(Errno::ACCESS)),
        ("execute /bin/sh".to_owned(), Refused(Errno::ACCESS)),
        ("execute /usr/bin/env".to_owned(), Refused(Errno::ACCESS)),
    ];
    node.check(&expected, &[]);
}

#[test]
fn databases_and_the_network_are_reached_and_no_packets_ports_or_foreign_sockets() {
    let node = Attempts::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = node.path("database.sock");
    let _database = net::UnixListener::bind(&database).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o777)).unwrap();
    let name = format!("latchkey-test-{}", node.user.name);
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = net::UnixListener::bind_addr(&address).unwrap();
    let expected = [
        (format!("connect_tcp {}", tcp.local_addr().unwrap()), Done),
        (format!("connect_unix {}", database.display()), Done),
        (format!("connect_abstract {name}"), Refused(Errno::PERM)),
    ];
    node.check(&expected, &[]);
    let socket = |family: i32, kind: i32| format!("socket {family} {kind}");
    let kinds = [
        (socket(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC), Done),
        (socket(libc::AF_INET, libc::SOCK_DGRAM), Done),
        (socket(libc::AF_INET, libc::SOCK_RAW), Refused(Errno::PERM)),
        (socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_NONBLOCK), Refused(Errno::PERM)),
        (socket(libc::AF_PACKET, libc::SOCK_DGRAM), Refused(Errno::PERM)),
        (socket(libc::AF_NETLINK, libc::SOCK_DGRAM), Refused(Errno::PERM)),
        (socket(libc::AF_VSOCK, libc::SOCK_STREAM), Refused(Errno::PERM)),
        (socket(libc::AF_ALG, libc::SOCK_SEQPACKET), Refused(Errno::PERM)),
        ("listen_tcp".to_owned(), Refused(Errno::ACCESS)),
        // Names are found without the socket of the C library's that is refused.
        ("resolve localhost".to_owned(), Done),
    ];
    node.check(&kinds, &[]);
}

#[test]
fn nothing_outside_the_call_is_signalled_traced_or_become() {
    let node = Attempts::new();
    let expected = [
        ("signal 1".to_owned(), Done),
        // A process of the node has no number here.
        (format!("signal {}", std::process::id()), Refused(Errno::SRCH)),
        (format!("read /proc/{}/status", std::process::id()), Refused(Errno::NOENT)),
        ("become".to_owned(), Refused(Errno::PERM)),
        ("call ptrace".to_owned(), Refused(Errno::PERM)),
        ("call process_vm_readv".to_owned(), Refused(Errno::PERM)),
        ("call pidfd_getfd".to_owned(), Refused(Errno::PERM)),
        ("call kcmp".to_owned(), Refused(Errno::PERM)),
    ];
    node.check(&expected, &[]);
}

#[test]
fn system_calls_that_no_site_needs_are_refused_beside_those_that_php_makes() {
    let node = Attempts::new();
    node.check(
        &named(&[
            ("start_thread", Done),
            ("clone 0", Done),
            ("call ask_personality", Done),
            ("call keyctl", Refused(Errno::PERM)),
            ("call add_key", Refused(Errno::PERM)),
            ("call io_uring_setup", Refused(Errno::PERM)),
            ("call userfaultfd", Refused(Errno::PERM)),
            ("call perf_event_open", Refused(Errno::PERM)),
            ("call bpf", Refused(Errno::PERM)),
            ("call unshare", Refused(Errno::PERM)),
            ("call setns", Refused(Errno::PERM)),
            ("call mount", Refused(Errno::PERM)),
            ("call chroot", Refused(Errno::PERM)),
            ("call name_to_handle_at", Refused(Errno::PERM)),
            ("call personality", Refused(Errno::PERM)),
            ("call init_module", Refused(Errno::PERM)),
            ("call kexec_load", Refused(Errno::PERM)),
            ("type_into_terminal", Refused(Errno::PERM)),
            // The C library goes on with clone, whose flags a filter can see.
            ("call clone3", Refused(Errno::NOSYS)),
        ]),
        &[],
    );
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNET, libc::CLONE_NEWNS, libc::CLONE_NEWPID] {
        node.check(&[(format!("clone {flag}"), Refused(Errno::PERM))], &[]);
    }
    #[cfg(target_arch = "x86_64")]
    node.check(&named(&[("call_x32", Refused(Errno::PERM))]), &[]);
}

#[test]
fn a_kernel_with_an_older_landlock_keeps_other_homes_closed_too() {
    let node = Attempts::new();
    let expected = [
        (format!("read {}", node.text("home/file")), Done),
        (format!("read {}", node.text("neighbour/file")), Refused(Errno::ACCESS)),
        ("execute /bin/sh".to_owned(), Refused(Errno::ACCESS)),
        // What Debian 12's kernel lacks.
        ("listen_tcp".to_owned(), Done),
    ];
    node.check(&expected, &["--landlock-at-most=2"]);
}

#[test]
fn the_watcher_of_a_call_keeps_no_right_but_to_kill() {
    let node = Attempts::new();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_latchkey-php"))
        .args([
            format!("--broker-pid={}", std::process::id()),
            format!("--uid={}", node.user.uid),
            format!("--gid={}", node.user.gid),
            format!("--home={}", node.text("home")),
            "--docroot=".to_owned(),
            "--deadline-ms=20000".to_owned(),
            format!("--php={}", node.text("program")),
            format!("--bridge={}", node.text("lib/bridge.php")),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = || fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let line = |key: &str| {
        let status = status();
        status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
    };
    // Its request is still open, so PHP waits, and the watcher for it.
    system_user::until("the watcher is confined", || line("Seccomp:") == "2");
    assert_eq!(line("CapEff:"), "0000000000000020");
    assert_eq!(line("CapPrm:"), "0000000000000020");
    assert_eq!((line("CapBnd:").as_str(), line("CapInh:").as_str()), ("0000000000000000", "0000000000000000"));
    assert_eq!(line("NoNewPrivs:"), "1");
    drop(worker.stdin.take());
    assert_eq!(worker.wait().unwrap().code(), Some(0));
}

#[test]
fn what_the_kernel_has_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey-php")).arg("--confinement").output().unwrap();
    let told: latchkey_protocol::Confinement = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told.seccomp);
    assert!(told.landlock_abi.is_some_and(|abi| (1..=7).contains(&abi)), "{told:?}");
}
