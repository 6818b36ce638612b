//! Logs through the real broker: files beneath the operator's roots, a hosting's own and nothing else.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test fails by panicking and starts programs itself"
)]

mod node;
#[path = "../../php/tests/system_user/mod.rs"]
mod system_user;

use std::{
    fs,
    io::Read as _,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt as _, chown, symlink},
    },
    path::Path,
    process::Command,
};

use latchkey_protocol::{Asked, FrameSocket, RefusalCode, Reply, Request};
use node::{Node, check_refused};
use system_user::SystemUser;

const TEXT: &[u8] = b"127.0.0.1 GET /caf\xe9\n";

/// A node with the hosting `h1`, a root with a directory for each hosting, and one for all.
fn node() -> Node {
    let mut node = Node::prepare("");
    let text = fs::read_to_string(node.path("broker.toml")).unwrap();
    let roots = format!("log_roots = [\"{0}/logs/{{hosting}}\", \"{0}/shared\"]\n", node.dir.path().display());
    fs::write(node.path("broker.toml"), text + &roots).unwrap();
    for directory in ["logs", "logs/h1", "logs/h10", "shared", "elsewhere"] {
        fs::create_dir(node.path(directory)).unwrap();
    }
    node.run_broker();
    node.register();
    node
}

fn ask(node: &Node, hosting: &str, path: &str) -> (Reply, Vec<OwnedFd>) {
    let socket = node.connect();
    let request = Request::OpenLog { hosting: hosting.into(), path: path.into() };
    socket.send(&Asked::from(request), &[]).unwrap();
    socket.receive().unwrap()
}

/// Asks for a file of the node's directory.
fn open(node: &Node, path: &str) -> (Reply, Vec<OwnedFd>) {
    ask(node, "h1", node.path(path).to_str().unwrap())
}

#[track_caller]
fn check_read(node: &Node, path: &str) {
    let (reply, descriptors) = open(node, path);
    assert_eq!((&reply, descriptors.len()), (&Reply::Log, 1), "{path}");
    let mut file = fs::File::from(descriptors.into_iter().next().unwrap());
    assert!(rustix::io::write(&file, b"x").is_err(), "it must not be writable");
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, TEXT);
}

#[track_caller]
fn check_not_read(node: &Node, path: &str) {
    let (reply, descriptors) = open(node, path);
    check_refused(&reply, RefusalCode::Invalid, Some("path"));
    assert!(descriptors.is_empty());
}

/// Writes a file that belongs to this user.
fn write(path: &Path, owner: u32, mode: u32) {
    fs::write(path, TEXT).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chown(path, Some(owner), Some(owner)).unwrap();
}

#[test]
fn a_log_beneath_a_root_is_handed_over_to_be_read_and_none_is_no_error() {
    let node = node();
    let www_data = 33;
    for (path, owner) in [
        ("logs/h1/access.log", 0),
        ("logs/h1/error.log", www_data),
        ("logs/h1/php.log", node.user.uid),
        ("shared/site.log", www_data),
    ] {
        write(&node.path(path), owner, 0o600);
        check_read(&node, path);
    }
    fs::create_dir(node.path("logs/h1/deep")).unwrap();
    write(&node.path("logs/h1/deep/x"), 0, 0o600);
    check_read(&node, "logs/h1/deep/x");
    for path in ["logs/h1/none.log", "logs/h1/none/x.log", "logs/h1/access.log/x"] {
        assert!(matches!(open(&node, path), (Reply::Log, none) if none.is_empty()), "{path}");
    }
    fs::remove_dir_all(node.path("shared")).unwrap();
    assert!(matches!(open(&node, "shared/site.log"), (Reply::Log, none) if none.is_empty()));
}

#[test]
fn what_lies_elsewhere_or_in_the_part_of_another_hosting_is_refused() {
    let node = node();
    for path in ["elsewhere/x.log", "logs/h10/access.log", "logs/x.log", "sharedx", "broker.toml"] {
        write(&node.path(path), 0, 0o644);
        check_not_read(&node, path);
    }
    for path in
        ["logs/h1", "logs/h1/../h10/access.log", "shared/../elsewhere/x.log", "shared/./x", "shared//x", "shared/"]
    {
        check_not_read(&node, path);
    }
    let long = format!("shared/{}", "x".repeat(300));
    for path in ["", "/", "access.log", "/etc/shadow", "/dev/null", "/proc/self/environ", "\0", &long] {
        check_refused(&ask(&node, "h1", path).0, RefusalCode::Invalid, Some("path"));
    }
    check_not_read(&node, &long);
    check_not_read(&node, &format!("shared/{}", "x/".repeat(3000) + "x"));
    // The same file by the hosting whose it is.
    let registration = latchkey_protocol::HostingRegistration { hosting: "h10".into(), ..node.registration() };
    node.ask(&Request::DropHosting { hosting: "h1".into() });
    node.register_with(&registration);
    let (reply, descriptors) = ask(&node, "h10", node.path("logs/h10/access.log").to_str().unwrap());
    assert_eq!((reply, descriptors.len()), (Reply::Log, 1));
    check_refused(&open(&node, "logs/h10/access.log").0, RefusalCode::NotFound, Some("hosting"));
}

#[test]
fn in_a_directory_that_a_hostings_user_may_write_nothing_planted_is_opened() {
    let node = node();
    chown(node.path("logs/h1"), Some(node.user.uid), Some(node.user.gid)).unwrap();
    write(&node.path("logs/h10/access.log"), 0, 0o644);
    let planted = node.path("logs/h1/access.log");
    let instead: [fn(&Path); 6] = [
        |path| symlink("/etc/shadow", path).unwrap(),
        |path| symlink("../h10/access.log", path).unwrap(),
        |path| symlink("access.log", path).unwrap(),
        |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path| fs::create_dir(path).unwrap(),
        |path| fs::hard_link(path.with_file_name("../h10/access.log"), path).unwrap(),
    ];
    for plant in instead {
        plant(&planted);
        check_not_read(&node, "logs/h1/access.log");
        if planted.is_dir() && !planted.is_symlink() {
            fs::remove_dir(&planted).unwrap();
        } else {
            fs::remove_file(&planted).unwrap();
        }
    }
    // A folder that is a link.
    symlink("../h10", node.path("logs/h1/day")).unwrap();
    check_not_read(&node, "logs/h1/day/access.log");
    // The whole part of the hosting.
    fs::remove_dir_all(node.path("logs/h1")).unwrap();
    symlink("h10", node.path("logs/h1")).unwrap();
    check_not_read(&node, "logs/h1/access.log");
    fs::remove_file(node.path("logs/h1")).unwrap();
    fs::create_dir(node.path("logs/h1")).unwrap();
    write(&planted, node.user.uid, 0o600);
    check_read(&node, "logs/h1/access.log");
}

#[test]
fn a_file_of_another_account_is_refused_also_in_a_root_for_all() {
    let node = node();
    let other = SystemUser::new();
    for path in ["shared/site.log", "logs/h1/site.log"] {
        write(&node.path(path), other.uid, 0o644);
        check_not_read(&node, path);
        write(&node.path(path), node.user.uid, 0o644);
        check_read(&node, path);
    }
}

#[test]
fn a_log_that_its_own_owner_may_not_read_is_not_read_for_them_by_root() {
    let node = node();
    write(&node.path("shared/site.log"), node.user.uid, 0o000);
    check_refused(&open(&node, "shared/site.log").0, RefusalCode::Internal, None);
    // The thread is root again, and so is every other.
    node.register();
    write(&node.path("shared/site.log"), node.user.uid, 0o400);
    check_read(&node, "shared/site.log");
}

#[test]
fn where_no_root_is_listed_no_log_is_opened() {
    let node = Node::start();
    node.register();
    check_not_read(&node, "log");
    check_refused(&ask(&node, "h1", "/var/log/syslog").0, RefusalCode::Invalid, Some("path"));
}

#[test]
fn the_capabilities_of_the_packaged_unit_are_enough() {
    let unit = include_str!("../../../packaging/systemd/latchkey-broker.service");
    let kept = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<String> =
        kept.split(' ').map(|name| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase())).collect();
    let mut node = node();
    node.stop_broker(rustix::process::Signal::TERM);
    let broker = node.broker_command();
    let mut bounded = Command::new("setpriv");
    bounded.arg(format!("--bounding-set=-all,{}", kept.join(",")));
    let mut bounded = bounded.arg(broker.get_program()).args(broker.get_args()).spawn().unwrap();
    system_user::until("the broker listens", || FrameSocket::connect(&node.path("s")).is_ok());
    // As Debian's nginx has them.
    write(&node.path("shared/site.log"), 33, 0o640);
    check_read(&node, "shared/site.log");
    write(&node.path("logs/h1/php.log"), node.user.uid, 0o600);
    check_read(&node, "logs/h1/php.log");
    let pid = rustix::process::Pid::from_raw(i32::try_from(bounded.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(bounded.wait().unwrap().success());
}
