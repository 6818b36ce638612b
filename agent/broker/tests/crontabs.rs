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
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use latchkey_protocol::{
    Asked, CRONTAB_MAX_BYTES, CRONTAB_TEXT_MAX_BYTES, FrameSocket, RefusalCode, Reply, Request, seal_text,
};
use node::{Node, check_refused};
use sha2::{Digest as _, Sha256};
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

/// A node whose broker replaces crontabs where cron has them. Dropped, the hosting's is gone.
struct Replacing {
    node: Node,
}

impl Replacing {
    fn with(program: &str) -> Self {
        let node = Node::start_with(&format!("crontab_program = {program:?}"));
        node.register();
        Self { node }
    }

    /// With this in place of cron's program.
    fn of_script(script: &str) -> Self {
        let mut node = Node::prepare("");
        node.replace_php(&format!("#!/bin/sh\n{script}\n"));
        let config = fs::read_to_string(node.path("broker.toml")).unwrap();
        fs::write(node.path("broker.toml"), format!("{config}crontab_program = {:?}\n", node.path("php"))).unwrap();
        node.run_broker();
        node.register();
        Self { node }
    }

    fn path(&self) -> PathBuf {
        Path::new("/var/spool/cron/crontabs").join(&self.node.user.name)
    }

    fn was(&self) -> String {
        let there = fs::read(self.path()).unwrap_or_default();
        Sha256::digest(there).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn replace(&self, was: &str, text: &[u8]) -> Reply {
        self.replace_by(was, seal_text(text).unwrap())
    }

    fn replace_by(&self, was: &str, text: OwnedFd) -> Reply {
        let socket = self.node.connect();
        let request = Request::ReplaceCrontab { hosting: "h1".into(), was: was.into() };
        socket.send(&Asked::from(request), &[text.as_fd()]).unwrap();
        socket.receive::<Reply>().unwrap().0
    }

    /// As cron's program tells it; `None` when there is none.
    fn listed(&self) -> Option<Vec<u8>> {
        let listed = Command::new("crontab").args(["-l", "-u", &self.node.user.name]).output().unwrap();
        listed.status.success().then_some(listed.stdout)
    }
}

impl Drop for Replacing {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

const CRONS_OWN: &str = "/usr/bin/crontab";

#[test]
fn a_crontab_is_replaced_if_it_still_is_what_was_read() {
    let it = Replacing::with(CRONS_OWN);
    let none = it.was();
    assert_eq!(it.replace(&none, b""), Reply::Done);
    assert_eq!(it.listed(), None);
    assert_eq!(it.replace(&none, TEXT), Reply::Done);
    assert_eq!(it.listed().unwrap(), TEXT);
    check_refused(&it.replace(&none, b"@daily lost\n"), RefusalCode::Changed, Some("was"));
    check_refused(&it.replace("", b"@daily lost\n"), RefusalCode::Changed, Some("was"));
    assert_eq!(it.listed().unwrap(), TEXT);
    let more = [TEXT, b"@daily more\n"].concat();
    assert_eq!(it.replace(&it.was(), &more), Reply::Done);
    assert_eq!(it.listed().unwrap(), more);
    // Such as cron has made it for its user, who can go on with it.
    let facts = fs::metadata(it.path()).unwrap();
    let group = fs::metadata("/var/spool/cron/crontabs").unwrap().gid();
    assert_eq!((facts.uid(), facts.gid(), facts.mode() & 0o7777), (it.node.user.uid, group, 0o600));
    assert_eq!(it.replace(&it.was(), b""), Reply::Done);
    assert!(!it.path().exists());
}

#[test]
fn what_cron_does_not_take_is_refused_in_its_words_and_the_old_one_stays() {
    let it = Replacing::with(CRONS_OWN);
    assert_eq!(it.replace(&it.was(), TEXT), Reply::Done);
    let mut long = vec![b'#'; usize::try_from(CRONTAB_TEXT_MAX_BYTES).unwrap()];
    long.push(b'\n');
    for (text, words) in [
        (&b"61 * * * * x\n"[..], "bad minute"),
        (b"@daily x", "missing newline"),
        (&b"x\n".repeat(100_000), "bad minute"),
        (&long, "at most 261120 bytes"),
    ] {
        let reply = it.replace(&it.was(), text);
        check_refused(&reply, RefusalCode::Invalid, Some("text"));
        assert!(format!("{reply:?}").contains(words), "{reply:?}");
        assert!(format!("{reply:?}").len() < 5_000);
    }
    let open = rustix::fs::memfd_create("open", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    check_refused(&it.replace_by(&it.was(), open), RefusalCode::Invalid, Some("text"));
    let reply = it.node.ask(&Request::ReplaceCrontab { hosting: "h1".into(), was: it.was() });
    check_refused(&reply, RefusalCode::Invalid, Some("descriptors"));
    assert_eq!(it.listed().unwrap(), TEXT);
    // As long as it may be: it can be read and replaced again.
    assert_eq!(it.replace(&it.was(), &long[1..]), Reply::Done);
    assert_eq!(it.replace(&it.was(), TEXT), Reply::Done);
}

#[test]
fn of_two_changes_at_once_one_is_told_that_it_changed() {
    let it = Replacing::with(CRONS_OWN);
    let was = it.was();
    let replies = std::thread::scope(|scope| {
        let change = |text: &'static [u8]| {
            let (it, was) = (&it, &was);
            scope.spawn(move || it.replace(was, text))
        };
        [change(b"@daily one\n"), change(b"@daily two\n")].map(|change| change.join().unwrap())
    });
    let done = replies.iter().position(|reply| *reply == Reply::Done).unwrap();
    check_refused(&replies[1 - done], RefusalCode::Changed, Some("was"));
    assert_eq!(it.listed().unwrap(), [&b"@daily one\n"[..], b"@daily two\n"][done]);
}

#[test]
fn a_link_or_somebody_elses_file_is_not_replaced() {
    let it = Replacing::with(CRONS_OWN);
    let theirs = it.node.path("theirs");
    fs::write(&theirs, TEXT).unwrap();
    symlink(&theirs, it.path()).unwrap();
    check_refused(&it.replace(&it.was(), b"@daily x\n"), RefusalCode::Invalid, Some("hosting"));
    fs::remove_file(it.path()).unwrap();
    fs::write(it.path(), TEXT).unwrap();
    chown(it.path(), Some(it.node.serve.uid), None).unwrap();
    check_refused(&it.replace(&it.was(), b"@daily x\n"), RefusalCode::Invalid, Some("hosting"));
    assert_eq!((fs::read(theirs).unwrap(), fs::read(it.path()).unwrap()), (TEXT.to_vec(), TEXT.to_vec()));
}

#[test]
fn without_the_program_crontabs_are_only_read() {
    let node = Node::start();
    node.register();
    let socket = node.connect();
    let text = seal_text(b"").unwrap();
    let request = Request::ReplaceCrontab { hosting: "h1".into(), was: String::new() };
    socket.send(&Asked::from(request), &[text.as_fd()]).unwrap();
    check_refused(&socket.receive::<Reply>().unwrap().0, RefusalCode::Invalid, Some("crontab_program"));
}

#[test]
fn a_cron_that_keeps_crontabs_for_root_alone_is_not_written_to() {
    let mut node = node();
    node.stop_broker(rustix::process::Signal::TERM);
    let config = fs::read_to_string(node.path("broker.toml")).unwrap();
    fs::write(node.path("broker.toml"), format!("{config}crontab_program = {CRONS_OWN:?}\n")).unwrap();
    node.run_broker();
    let it = Replacing { node };
    let group = fs::metadata("/var/spool/cron/crontabs").unwrap().gid();
    for (group, mode) in [(0, 0o770), (group, 0o700), (group, 0o750)] {
        chown(it.node.path("crontabs"), None, Some(group)).unwrap();
        fs::set_permissions(it.node.path("crontabs"), fs::Permissions::from_mode(mode)).unwrap();
        check_refused(&it.replace(&it.was(), TEXT), RefusalCode::Invalid, Some("crontab_program"));
    }
    assert_eq!(it.listed(), None);
}

#[test]
fn however_much_the_program_says_its_beginning_is_told() {
    let it = Replacing::of_script("n=0; while [ $n -lt 2000 ]; do n=$((n+1)); echo \"bad $n\" >&2; done; exit 1");
    let Reply::Refused { message, .. } = it.replace(&it.was(), TEXT) else { panic!("it was replaced") };
    assert!(message.starts_with("bad 1; bad 2; bad 3; ") && (2_000..3_000).contains(&message.len()), "{message}");
}

#[test]
fn the_program_has_the_rights_of_the_hostings_user_and_nothing_of_ours() {
    let it = Replacing::of_script("id -u >&2; id -G >&2; env >&2; grep CapPrm /proc/self/status >&2; exit 1");
    let reply = format!("{:?}", it.replace(&it.was(), TEXT));
    let group = fs::metadata("/var/spool/cron/crontabs").unwrap().gid();
    assert!(reply.contains(&format!("{}; {group}; PWD=/; CapPrm:\\t0000000000000000", it.node.user.uid)), "{reply}");
}

#[test]
fn a_program_that_hangs_is_killed_and_the_next_change_is_made() {
    let it = Replacing::of_script("test -e \"$(dirname \"$0\")/hang\" || exit 0; exec sleep 1000");
    fs::write(it.node.path("hang"), "").unwrap();
    check_refused(&it.replace(&it.was(), TEXT), RefusalCode::Internal, None);
    assert_eq!(it.node.user.processes(), Vec::<u32>::new());
    fs::remove_file(it.node.path("hang")).unwrap();
    assert_eq!(it.replace(&it.was(), TEXT), Reply::Done);
}

/// A program that says that it runs, and a process out of its group that would go on without it.
const SLOW: &str = "echo >> \"$(dirname \"$0\")/runs\"; setsid sh -c 'trap \"\" TERM; sleep 1000' & sleep 1000";

#[test]
fn nothing_of_a_program_that_was_cut_off_goes_on() {
    let it = Replacing::of_script(SLOW);
    fs::write(it.node.path("runs"), "").unwrap();
    chown(it.node.path("runs"), Some(it.node.user.uid), None).unwrap();
    check_refused(&it.replace(&it.was(), TEXT), RefusalCode::Internal, None);
    system_user::until("all of it has ended", || it.node.user.processes().is_empty());
    // The same when nobody waits any more.
    let socket = it.node.connect();
    let request = Request::ReplaceCrontab { hosting: "h1".into(), was: it.was() };
    socket.send(&Asked::from(request), &[seal_text(TEXT).unwrap().as_fd()]).unwrap();
    system_user::until("it runs", || fs::read(it.node.path("runs")).unwrap().len() == 2);
    let stopwatch = std::time::Instant::now();
    drop(socket);
    system_user::until("all of it has ended", || it.node.user.processes().is_empty());
    assert!(stopwatch.elapsed() < std::time::Duration::from_secs(3), "{:?}", stopwatch.elapsed());
}

#[test]
fn what_nobody_waits_for_any_more_is_not_begun() {
    let it = Replacing::of_script("echo >> \"$(dirname \"$0\")/runs\"");
    fs::write(it.node.path("runs"), "").unwrap();
    chown(it.node.path("runs"), Some(it.node.user.uid), None).unwrap();
    let signal = |signal| rustix::process::kill_process(it.node.broker_pid(), signal).unwrap();
    signal(rustix::process::Signal::STOP);
    for _ in 0..8 {
        let socket = it.node.connect();
        let request = Request::ReplaceCrontab { hosting: "h1".into(), was: it.was() };
        socket.send(&Asked::from(request), &[seal_text(TEXT).unwrap().as_fd()]).unwrap();
    }
    signal(rustix::process::Signal::CONT);
    assert_eq!(it.replace(&it.was(), TEXT), Reply::Done);
    // Once by whoever waited; what came before and would have been made had its turn before that.
    assert_eq!(fs::read(it.node.path("runs")).unwrap().len(), 1);
}

#[test]
fn the_capabilities_of_the_packaged_unit_are_enough() {
    let unit = include_str!("../../../packaging/systemd/latchkey-broker.service");
    let kept = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<String> =
        kept.split(' ').map(|name| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase())).collect();
    let mut it = Replacing::with(CRONS_OWN);
    it.node.stop_broker(rustix::process::Signal::TERM);
    let node = &it.node;
    let broker = node.broker_command();
    let mut bounded = Command::new("setpriv");
    bounded.arg(format!("--bounding-set=-all,{}", kept.join(",")));
    bounded.arg(broker.get_program()).args(broker.get_args());
    let mut bounded = bounded.spawn().unwrap();
    system_user::until("the broker listens", || FrameSocket::connect(&node.path("s")).is_ok());
    assert_eq!(it.replace(&it.was(), TEXT), Reply::Done);
    check_content(node, &fs::read(it.path()).unwrap());
    let pid = rustix::process::Pid::from_raw(i32::try_from(bounded.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(bounded.wait().unwrap().success());
}
