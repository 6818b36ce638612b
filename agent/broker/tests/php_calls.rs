//! PHP calls through the real broker and the real worker: who runs, how it ends, and that nothing of it stays.
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

use std::{fs, os::unix::fs::symlink};

use latchkey_protocol::{Asked, PhpCall, PhpEnd, Purpose, RefusalCode, Reply, Request};
use node::{Node, check_refused};
use rustix::process::Signal;
use system_user::until;

/// Starts processes that leave the session, ignore signals and keep the reply open, then sleeps itself.
const FORKING: &str = "#!/bin/sh\ntrap '' TERM HUP INT\nfor i in 1 2 3; do setsid sh -c \"trap '' TERM HUP; sleep 300 & sleep 300\" & done\nsleep 300\n";

/// A node whose hosting runs this program in place of PHP, and which may run others.
fn node_with_program(script: &str, config: &str) -> Node {
    let node = Node::start_with(&format!("php_paths.execute = [\"/bin\", \"/usr/bin\"]\n{config}"));
    node.replace_php(script);
    let mut registration = node.registration();
    registration.php_binary = node.path("php").to_str().unwrap().into();
    node.register_with(&registration);
    node
}

#[test]
fn a_call_runs_as_the_hostings_user_and_its_reply_comes_back() {
    let node = Node::start();
    node.register();
    let script = "<?php fwrite(fopen('php://fd/3', 'w'), posix_getuid() . ' ' . getcwd() . ' ' . stream_get_contents(STDIN)); echo 'noise';";
    fs::write(node.path("bridge.php"), script).unwrap();
    let (end, reply, log) = node.start_php(5000, "hello").end();
    let docroot = node.path("homes/h/public");
    assert_eq!(end, PhpEnd::Exited { code: 0 });
    assert_eq!(reply, format!("{} {} hello", node.user.uid, docroot.display()));
    assert_eq!(log, "noise");
}

#[test]
fn nothing_of_the_broker_is_open_in_a_call() {
    let node = node_with_program("#!/bin/sh\nls -l /proc/self/fd >&3\ncat /proc/self/environ >&3\n", "");
    let _other_connections = [node.connect(), node.connect()];
    let (_, reply, _) = node.start_php(5000, "").end();
    // 0 to 3 and the list itself.
    assert!(!reply.contains("socket:") && !reply.contains("anon_inode"), "{reply}");
    assert_eq!(reply.lines().filter(|line| line.contains(" -> ")).count(), 5, "{reply}");
    assert!(!reply.contains("NOTIFY") && !reply.contains("CARGO"), "{reply}");
}

#[test]
fn everything_of_a_call_is_gone_when_the_deadline_is_told() {
    let node = node_with_program(FORKING, "");
    let call = node.start_php(1000, "");
    until("the processes run", || node.user.processes().len() >= 7);
    let (end, ..) = call.end();
    assert_eq!(end, PhpEnd::TimedOut);
    assert_eq!(node.user.processes(), [0; 0]);
}

#[test]
fn everything_of_a_call_is_killed_when_its_connection_closes() {
    let node = node_with_program(FORKING, "");
    let call = node.start_php(60_000, "");
    until("the processes run", || node.user.processes().len() >= 7);
    drop(call);
    until("the processes are gone", || node.user.processes().is_empty());
}

#[test]
fn everything_of_a_call_is_killed_when_the_broker_is() {
    let mut node = node_with_program(FORKING, "");
    let _call = node.start_php(60_000, "");
    until("the processes run", || node.user.processes().len() >= 7);
    node.stop_broker(Signal::KILL);
    until("the processes are gone", || node.user.processes().is_empty());
}

#[test]
fn what_a_call_leaves_running_is_gone_when_its_end_is_told() {
    let node = node_with_program("#!/bin/sh\nsetsid sleep 300 &\nexit 7\n", "");
    let (end, ..) = node.start_php(5000, "").end();
    assert_eq!(end, PhpEnd::Exited { code: 7 });
    assert_eq!(node.user.processes(), [0; 0]);
}

#[test]
fn a_call_beyond_the_bounds_is_busy_and_one_after_them_runs() {
    let node = node_with_program("#!/bin/sh\nread x\n[ \"$x\" = sleep ] && sleep 300\n", "php_calls_per_hosting = 1");
    let first = node.start_php(60_000, "sleep\n");
    until("the first call runs", || node.user.processes().len() >= 2);
    check_refused(&node.start_php(5000, "\n").answer(), RefusalCode::Busy, None);
    drop(first);
    until("a call runs again", || matches!(node.start_php(5000, "\n").answer(), Reply::PhpEnded { .. }));
}

#[test]
fn calls_that_end_access_run_while_the_others_fill_their_part() {
    let node =
        node_with_program("#!/bin/sh\nread x\n[ \"$x\" = sleep ] && sleep 300\nexit 0\n", "php_calls_per_hosting = 4");
    let ordinary: Vec<_> = (0..3).map(|_| node.start_php(60_000, "sleep\n")).collect();
    until("the ordinary calls run", || node.user.processes().len() >= 6);
    check_refused(&node.start_php(5000, "\n").answer(), RefusalCode::Busy, None);
    let call = |purpose| PhpCall { hosting: "h1".into(), docroot: String::new(), deadline_ms: 5000, purpose };
    let (end, ..) = node.start_call(call(Purpose::EndsAccess), "\n").end();
    assert_eq!(end, PhpEnd::Exited { code: 0 });
    check_refused(&node.start_call(call(Purpose::Ordinary), "\n").answer(), RefusalCode::Busy, None);
    drop(ordinary);
    until("the processes are gone", || node.user.processes().is_empty());
}

#[test]
fn what_confines_a_call_is_told() {
    let node = Node::start();
    let Reply::Confinement(told) = node.ask(&Request::DescribeConfinement) else { panic!() };
    assert!(told.seccomp && told.landlock_abi.is_some(), "{told:?}");
}

#[test]
fn a_second_frame_on_the_connection_ends_the_call() {
    let node = node_with_program(FORKING, "");
    let call = node.start_php(60_000, "");
    until("the processes run", || node.user.processes().len() >= 7);
    call.socket.send(&Asked::from(Request::ListHostings), &[]).unwrap();
    until("the processes are gone", || node.user.processes().is_empty());
}

#[test]
fn a_call_of_no_hosting_with_a_bad_docroot_deadline_or_descriptor_is_refused_beside_a_good_one() {
    let node = Node::start();
    check_refused(&node.start_php(5000, "").answer(), RefusalCode::NotFound, Some("hosting"));
    node.register();
    for docroot in ["..", "public/../..", "/etc", "public/"] {
        check_refused(&node.start_php_in(docroot, 5000, "").answer(), RefusalCode::Invalid, Some("docroot"));
    }
    for deadline in [0, 600_001] {
        check_refused(&node.start_php(deadline, "").answer(), RefusalCode::Invalid, Some("deadline_ms"));
    }
    let directory = fs::File::open("/").unwrap();
    let directory = std::os::fd::AsFd::as_fd(&directory);
    let socket = node.connect();
    let purpose = latchkey_protocol::Purpose::Ordinary;
    let call = latchkey_protocol::PhpCall { hosting: "h1".into(), docroot: String::new(), deadline_ms: 1000, purpose };
    socket.send(&Asked::from(Request::StartPhp(call)), &[directory, directory, directory]).unwrap();
    check_refused(&socket.receive::<Reply>().unwrap().0, RefusalCode::Invalid, Some("descriptors"));
    assert_eq!(node.start_php_in("", 5000, "x").end().0, PhpEnd::Exited { code: 0 });
}

#[test]
fn a_docroot_that_leads_out_of_the_home_is_not_entered() {
    let node = Node::start();
    node.register();
    symlink("/etc", node.path("homes/h/out")).unwrap();
    symlink("public", node.path("homes/h/in")).unwrap();
    let mut call = node.start_php_in("out", 5000, "");
    check_refused(&call.answer(), RefusalCode::Internal, None);
    assert!(call.read_log().contains("cannot enter the docroot"));
    assert_eq!(node.start_php_in("in", 5000, "").end().0, PhpEnd::Exited { code: 0 });
}

#[test]
fn a_user_who_became_privileged_or_whose_home_was_given_away_gets_no_call() {
    let node = Node::start();
    node.register();
    let home = node.path("homes/h");
    std::os::unix::fs::chown(&home, Some(node.serve.uid), None).unwrap();
    check_refused(&node.start_php(5000, "").answer(), RefusalCode::Internal, None);
    std::os::unix::fs::chown(&home, Some(node.user.uid), None).unwrap();
    assert_eq!(node.start_php(5000, "").end().0, PhpEnd::Exited { code: 0 });
    node.user.join("sudo");
    check_refused(&node.start_php(5000, "").answer(), RefusalCode::Invalid, Some("system_user"));
}

#[test]
fn compiled_scripts_are_kept_only_where_the_configuration_says() {
    let cache = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
    let node = Node::start_with(&format!("php_cache = \"{}/c\"", cache.path().display()));
    node.register();
    assert_eq!(node.start_php(5000, "").end().0, PhpEnd::Exited { code: 0 });
    assert!(cache.path().join("c").join(node.user.uid.to_string()).is_dir());
}

#[test]
fn a_compiled_bridge_that_the_site_put_in_place_of_ours_is_not_believed_where_it_matters() {
    let cache = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
    let node = Node::start_with(&format!("php_cache = \"{}/c\"", cache.path().display()));
    node.register();
    let bridge = node.path("bridge.php");
    // The moment is part of what PHP compares; younger files it does not keep at all.
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let write = |said: &str| {
        fs::write(&bridge, format!("<?php fwrite(fopen('php://fd/3', 'w'), '{said}');")).unwrap();
        fs::File::options().write(true).open(&bridge).unwrap().set_modified(old).unwrap();
    };
    let said = |purpose| {
        let call = PhpCall { hosting: "h1".into(), docroot: String::new(), deadline_ms: 5000, purpose };
        let (end, reply, log) = node.start_call(call, "").end();
        assert_eq!(end, PhpEnd::Exited { code: 0 }, "{log}");
        reply
    };
    write("nothing was left");
    assert_eq!(said(Purpose::Ordinary), "nothing was left");
    write("an administrator");
    // The trap works: what was compiled before is what runs.
    assert_eq!(said(Purpose::Ordinary), "nothing was left");
    assert_eq!(said(Purpose::Examines), "an administrator");
    assert_eq!(said(Purpose::EndsAccess), "an administrator");
}
