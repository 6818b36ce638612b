//! What the broker registers, remembers and answers, asked of the real program.
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
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    process::Command,
    time::Duration,
};

use latchkey_protocol::{
    Asked, FrameError, FrameListener, FrameSocket, HostingRegistration, RefusalCode, Reply, Request,
};
use node::{Node, check_refused};
use rustix::process::{Gid, Signal, Uid};
use system_user::{SystemUser, until};

/// Registers a changed registration and expects a refusal about one field, then that the unchanged one still passes.
#[track_caller]
fn check_refusal(node: &Node, field: &str, change: impl FnOnce(&mut HostingRegistration)) {
    let mut registration = node.registration();
    change(&mut registration);
    let reply = node.ask(&Request::RegisterHosting(registration));
    check_refused(&reply, RefusalCode::Invalid, Some(field));
    node.register();
}

#[test]
fn a_registered_hosting_is_answered_with_its_uid_and_survives_kill_9() {
    let mut node = Node::start();
    node.register();
    assert_eq!(node.stop_broker(Signal::KILL), None);
    node.run_broker();
    let Reply::Hostings { items } = node.ask(&Request::ListHostings) else { panic!() };
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].uid, items[0].gid, &items[0].system_user), (node.user.uid, node.user.gid, &node.user.name));
    let mode = |path: &str| fs::metadata(node.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/registry.json"), mode("state/audit-heads")), (0o700, 0o600, 0o600));
    assert_eq!(node.ask(&Request::DropHosting { hosting: "h1".into() }), Reply::Done);
    check_refused(&node.ask(&Request::DropHosting { hosting: "h1".into() }), RefusalCode::NotFound, Some("hosting"));
}

#[test]
fn root_and_service_accounts_are_refused_beside_an_ordinary_user() {
    let node = Node::start();
    for name in ["root", "daemon", "www-data", "nobody", "no-such-account", ""] {
        check_refusal(&node, "system_user", |r| r.system_user = name.into());
    }
    check_refusal(&node, "system_user", |r| r.system_user = node.serve.name.clone());
}

#[test]
fn a_user_in_a_privileged_group_is_refused_beside_the_same_user_without_it() {
    let node = Node::start();
    for group in ["sudo", "shadow", "disk", "www-data"] {
        let privileged = SystemUser::with(&["--groups", group]);
        let home = node.make_home(&privileged.name, &privileged);
        check_refusal(&node, "system_user", |r| {
            r.system_user = privileged.name.clone();
            r.home = home;
        });
    }
}

#[test]
fn a_foreign_an_outside_and_a_symlinked_home_are_refused_beside_the_own_one() {
    let node = Node::start();
    let foreign = node.make_home("foreign", &node.serve);
    fs::create_dir(node.path("homes2")).unwrap();
    symlink("h", node.path("homes/link")).unwrap();
    symlink(node.path("homes"), node.path("homes/up")).unwrap();
    fs::write(node.path("homes/file"), "").unwrap();
    let homes = node.path("homes").to_str().unwrap().to_owned();
    for home in [
        foreign,
        "/".to_owned(),
        "/root".to_owned(),
        homes.clone(),
        format!("{homes}2"),
        format!("{homes}/link"),
        format!("{homes}/up/h"),
        format!("{homes}/h/"),
        format!("{homes}/./h"),
        format!("{homes}/h/../h"),
        format!("{homes}/missing"),
        format!("{homes}/file"),
        "homes/h".to_owned(),
    ] {
        check_refusal(&node, "home", |r| r.home = home);
    }
}

#[test]
fn an_unlisted_php_and_a_bad_id_are_refused_beside_good_ones() {
    let node = Node::start();
    for binary in ["/bin/sh", "/usr/bin/php", "/usr/bin/../bin/php8.2", ""] {
        check_refusal(&node, "php_binary", |r| r.php_binary = binary.into());
    }
    for id in ["", "-h", "H1", "h_1", "../h", "h1\n", &"h".repeat(32)] {
        check_refusal(&node, "hosting", |r| r.hosting = id.into());
    }
    for ini in ["php.ini", "/etc/../php.ini", "/etc/php\0.ini"] {
        check_refusal(&node, "php_ini", |r| r.php_ini = Some(ini.into()));
    }
}

#[test]
fn a_system_user_and_a_home_belong_to_one_hosting_only() {
    let node = Node::start();
    node.register();
    let again = HostingRegistration { hosting: "h2".into(), ..node.registration() };
    check_refused(&node.ask(&Request::RegisterHosting(again)), RefusalCode::Invalid, Some("system_user"));
    // The same home, given to another user meanwhile, and one inside it.
    let other = SystemUser::new();
    let home = node.path("homes/h");
    let mut second =
        HostingRegistration { hosting: "h2".into(), system_user: other.name.clone(), ..node.registration() };
    std::os::unix::fs::chown(&home, Some(other.uid), None).unwrap();
    check_refused(&node.ask(&Request::RegisterHosting(second.clone())), RefusalCode::Invalid, Some("home"));
    second.home = node.make_home("h/inner", &other);
    check_refused(&node.ask(&Request::RegisterHosting(second.clone())), RefusalCode::Invalid, Some("home"));
    second.home = node.make_home("other", &other);
    node.register_with(&second);
}

#[test]
fn a_damaged_registry_keeps_the_broker_from_starting_and_says_so() {
    let node = Node::prepare("");
    fs::create_dir(node.path("state")).unwrap();
    fs::write(node.path("state/registry.json"), "{\"version\":1,\"host").unwrap();
    let output = node.broker_command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is damaged"), "{output:?}");
    fs::remove_file(node.path("state/registry.json")).unwrap();
    let mut node = node;
    node.run_broker();
    node.register();
}

#[test]
fn only_serve_and_root_are_answered() {
    let node = Node::start();
    let socket = node.path("s");
    let found = fs::metadata(&socket).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.uid(), found.gid()), (0o660, 0, node.serve.gid));
    // As if the file's mode had been opened by mistake.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let ask_as = |uid: u32, gid: u32| {
        let path = socket.clone();
        let asking = std::thread::spawn(move || {
            // Only of this thread, which ends here.
            rustix::thread::set_thread_res_gid(Gid::from_raw(gid), Gid::from_raw(gid), Gid::from_raw(gid)).unwrap();
            rustix::thread::set_thread_res_uid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid)).unwrap();
            let socket = FrameSocket::connect(&path)?;
            socket.send(&Asked::from(Request::ListHostings), &[])?;
            socket.receive::<Reply>().map(|(reply, _)| reply)
        });
        asking.join().unwrap()
    };
    assert!(matches!(ask_as(node.user.uid, node.user.gid), Err(FrameError::Closed)));
    assert!(matches!(ask_as(node.serve.uid, node.serve.gid), Ok(Reply::Hostings { .. })));
    assert!(node.log_text().contains("dropped a peer that is not serve"));
}

#[test]
fn a_malformed_frame_drops_the_peer_and_nobody_else() {
    let node = Node::start();
    let socket = node.connect();
    socket.send(&"run a shell", &[]).unwrap();
    assert!(matches!(socket.receive::<Reply>(), Err(FrameError::Closed)));
    let socket = node.connect();
    socket.send(&serde_json::json!({"request": {"drop_hosting": {"hosting": "h1", "force": true}}}), &[]).unwrap();
    assert!(matches!(socket.receive::<Reply>(), Err(FrameError::Closed)));
    node.register();
}

#[test]
fn descriptors_that_a_request_does_not_take_are_refused() {
    let node = Node::start();
    let socket = node.connect();
    let file = fs::File::open("/etc/passwd").unwrap();
    socket.send(&Asked::from(Request::ListHostings), &[std::os::fd::AsFd::as_fd(&file)]).unwrap();
    check_refused(&socket.receive::<Reply>().unwrap().0, RefusalCode::Invalid, Some("descriptors"));
}

#[test]
fn a_connection_beyond_the_bound_is_told_that_the_broker_is_busy() {
    let node = Node::start_with("connections = 2");
    let _first = node.connect();
    let _second = node.connect();
    let third = node.connect();
    check_refused(&third.receive::<Reply>().unwrap().0, RefusalCode::Busy, None);
    drop((_first, _second));
    until("a connection is free again", || {
        let socket = node.connect();
        socket.send(&Asked::from(Request::ListHostings), &[]).is_ok()
            && matches!(socket.receive::<Reply>(), Ok((Reply::Hostings { .. }, _)))
    });
}

#[test]
fn audit_heads_grow_and_survive_kill_9() {
    let mut node = Node::start();
    let record = |node: &Node, seq: u64, hash: &str| node.ask(&Request::RecordAuditHead { seq, hash: hash.into() });
    let hash = "0123456789abcdef".repeat(4);
    assert_eq!(record(&node, 3, &hash), Reply::Done);
    assert_eq!(record(&node, 3, &hash), Reply::Done, "repeating the newest is safe");
    check_refused(&record(&node, 3, &"f".repeat(64)), RefusalCode::Invalid, Some("seq"));
    check_refused(&record(&node, 4, "xyz"), RefusalCode::Invalid, Some("hash"));
    node.stop_broker(Signal::KILL);
    node.run_broker();
    check_refused(&record(&node, 2, &hash), RefusalCode::Invalid, Some("seq"));
    assert_eq!(record(&node, 4, &hash), Reply::Done);
    assert_eq!(fs::read_to_string(node.path("state/audit-heads")).unwrap(), format!("3 {hash}\n4 {hash}\n"));
}

#[test]
fn a_line_of_the_log_names_the_request_and_what_is_no_id_is_refused() {
    let node = Node::start_with("log = \"json\"");
    let ask = |id: &str| {
        let socket = node.connect();
        let request = Request::DropHosting { hosting: "none".into() };
        socket.send(&Asked { request_id: Some(id.into()), request }, &[]).unwrap();
        socket.receive::<Reply>().unwrap().0
    };
    check_refused(&ask("r-17"), RefusalCode::NotFound, Some("hosting"));
    for bad in ["", "R", "a b", "a\n", &"a".repeat(65)] {
        check_refused(&ask(bad), RefusalCode::Invalid, Some("request_id"));
    }
    let log = node.log_text();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = lines.iter().find(|line| line["reason"] == "no hosting with this id is registered");
    assert_eq!(refused.unwrap()["request_id"], "r-17", "{log}");
}

#[test]
fn sigterm_stops_the_broker_cleanly_and_a_second_one_is_refused_the_socket() {
    let mut node = Node::start();
    let second = node.broker_command().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another broker"), "{second:?}");
    assert_eq!(node.stop_broker(Signal::TERM), Some(0));
    assert!(!node.path("s").exists());
}

#[test]
fn a_socket_that_was_handed_over_is_used() {
    let node = Node::prepare("");
    let listener = FrameListener::bind(&node.path("s")).unwrap();
    let copy = std::os::fd::AsFd::as_fd(&listener).try_clone_to_owned().unwrap();
    let mut broker = Command::new("/bin/sh")
        .args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 </dev/null", "sh"])
        .arg(env!("CARGO_BIN_EXE_latchkey-broker"))
        .arg("--config")
        .arg(node.path("broker.toml"))
        .stdin(std::process::Stdio::from(copy))
        .spawn()
        .unwrap();
    let socket = node.connect();
    socket.set_timeouts(Some(Duration::from_secs(10))).unwrap();
    socket.send(&Asked::from(Request::ListHostings), &[]).unwrap();
    assert!(matches!(socket.receive::<Reply>().unwrap().0, Reply::Hostings { .. }));
    broker.kill().unwrap();
    broker.wait().unwrap();
}

#[test]
fn readiness_is_told_to_the_service_manager() {
    let node = Node::prepare("log = \"json\"");
    let manager = std::os::unix::net::UnixDatagram::bind(node.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut broker = node
        .broker_command()
        .env("NOTIFY_SOCKET", node.path("notify"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut message = [0; 32];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1");
    broker.kill().unwrap();
    let output = broker.wait_with_output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.lines().all(|line| line.starts_with("{\"level\":")), "{line}");
}
