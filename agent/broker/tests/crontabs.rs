//! Crontabs through the real broker: a hosting's own and nothing else.
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
        fd::{AsFd as _, OwnedFd},
        unix::fs::{PermissionsExt as _, chown, symlink},
    },
    path::PathBuf,
    process::Command,
};

use latchkey_protocol::{Asked, CRONTAB_MAX_BYTES, FrameSocket, RefusalCode, Reply, Request};
use node::{Node, check_refused};
use system_user::SystemUser;

const TEXT: &[u8] = b"# by hand\n*/5 * * * * echo caf\xe9\n";

/// A node with a registered hosting and an empty directory of crontabs.
fn node() -> Node {
    let mut node = Node::prepare("");
    let text = fs::read_to_string(node.path("broker.toml")).unwrap();
    fs::write(node.path("broker.toml"), format!("{text}crontabs = {:?}\n", node.path("crontabs"))).unwrap();
    fs::create_dir(node.path("crontabs")).unwrap();
    // As cron has it: users get into it through the program crontab only.
    fs::set_permissions(node.path("crontabs"), fs::Permissions::from_mode(0o700)).unwrap();
    node.run_broker();
    node.register();
    node
}

fn crontab_of(node: &Node) -> PathBuf {
    node.path("crontabs").join(&node.user.name)
}

fn write_crontab(node: &Node, owner: &SystemUser, content: &[u8]) {
    fs::write(crontab_of(node), content).unwrap();
    chown(crontab_of(node), Some(owner.uid), None).unwrap();
    fs::set_permissions(crontab_of(node), fs::Permissions::from_mode(0o600)).unwrap();
}

fn ask(node: &Node, hosting: &str) -> (Reply, Vec<OwnedFd>) {
    let socket = node.connect();
    socket.send(&Asked::from(Request::ReadCrontab { hosting: hosting.into() }), &[]).unwrap();
    socket.receive().unwrap()
}

#[track_caller]
fn check_content(node: &Node, content: &[u8]) {
    let (reply, descriptors) = ask(node, "h1");
    assert_eq!((&reply, descriptors.len()), (&Reply::Crontab, 1));
    let mut file = fs::File::from(descriptors.into_iter().next().unwrap());
    assert!(rustix::io::write(&file, b"x").is_err(), "it must not be writable");
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, content);
}

#[track_caller]
fn check_not_read(node: &Node) {
    let (reply, descriptors) = ask(node, "h1");
    check_refused(&reply, RefusalCode::Invalid, Some("hosting"));
    assert!(descriptors.is_empty());
}

#[test]
fn a_hostings_crontab_is_handed_over_to_be_read_and_none_is_no_error() {
    let node = node();
    assert!(matches!(ask(&node, "h1"), (Reply::Crontab, none) if none.is_empty()));
    write_crontab(&node, &node.user, TEXT);
    check_content(&node, TEXT);
    fs::remove_file(crontab_of(&node)).unwrap();
    fs::remove_dir(node.path("crontabs")).unwrap();
    assert!(matches!(ask(&node, "h1"), (Reply::Crontab, none) if none.is_empty()));
}

#[test]
fn an_unknown_hosting_and_descriptors_beside_the_request_are_refused() {
    let node = node();
    write_crontab(&node, &node.user, TEXT);
    let (reply, _) = ask(&node, "h2");
    check_refused(&reply, RefusalCode::NotFound, Some("hosting"));
    let (reader, _writer) = std::io::pipe().unwrap();
    let socket = node.connect();
    socket.send(&Asked::from(Request::ReadCrontab { hosting: "h1".into() }), &[reader.as_fd()]).unwrap();
    check_refused(&socket.receive::<Reply>().unwrap().0, RefusalCode::Invalid, Some("descriptors"));
    check_content(&node, TEXT);
}

#[test]
fn somebody_elses_file_a_link_a_pipe_a_directory_and_one_too_long_are_refused() {
    let node = node();
    write_crontab(&node, &node.serve, TEXT);
    check_not_read(&node);
    write_crontab(&node, &node.user, &vec![b'#'; usize::try_from(CRONTAB_MAX_BYTES).unwrap() + 1]);
    check_not_read(&node);
    write_crontab(&node, &node.user, &vec![b'#'; usize::try_from(CRONTAB_MAX_BYTES).unwrap()]);
    check_content(&node, &vec![b'#'; usize::try_from(CRONTAB_MAX_BYTES).unwrap()]);
    let instead_of_it: [fn(&PathBuf); 3] = [
        |path| symlink("/etc/shadow", path).unwrap(),
        |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path| fs::create_dir(path).unwrap(),
    ];
    for make in instead_of_it {
        fs::remove_file(crontab_of(&node)).unwrap();
        make(&crontab_of(&node));
        rustix::fs::chownat(
            rustix::fs::CWD,
            crontab_of(&node),
            Some(rustix::process::Uid::from_raw(node.user.uid)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        check_not_read(&node);
    }
}

#[test]
fn a_file_that_its_own_user_may_not_read_is_not_read_for_them_by_root() {
    let node = node();
    write_crontab(&node, &node.user, TEXT);
    fs::set_permissions(crontab_of(&node), fs::Permissions::from_mode(0o000)).unwrap();
    check_refused(&ask(&node, "h1").0, RefusalCode::Internal, None);
    // The thread is root again, and so is every other.
    node.register();
    fs::set_permissions(crontab_of(&node), fs::Permissions::from_mode(0o400)).unwrap();
    check_content(&node, TEXT);
}

#[test]
fn the_capabilities_of_the_packaged_unit_are_enough() {
    let unit = include_str!("../../../packaging/systemd/latchkey-broker.service");
    let kept = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<String> =
        kept.split(' ').map(|name| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase())).collect();
    let mut node = node();
    node.stop_broker(rustix::process::Signal::TERM);
    write_crontab(&node, &node.user, TEXT);
    let broker = node.broker_command();
    let mut bounded = Command::new("setpriv");
    bounded.arg(format!("--bounding-set=-all,{}", kept.join(",")));
    bounded.arg(broker.get_program()).args(broker.get_args());
    let mut bounded = bounded.spawn().unwrap();
    system_user::until("the broker listens", || FrameSocket::connect(&node.path("s")).is_ok());
    check_content(&node, TEXT);
    let pid = rustix::process::Pid::from_raw(i32::try_from(bounded.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(bounded.wait().unwrap().success());
}
