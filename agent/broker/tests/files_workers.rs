//! Files workers, from serve's request to their end.
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

use std::{fs, os::fd::OwnedFd, os::unix::fs::chown};

use latchkey_protocol::{
    Asked, FileAnswered, FileAsked, FileFault, FileReply, FileRequest, FrameError, FrameSocket, Links, Place,
    RefusalCode, Reply, Request, SitePath,
};
use node::{Node, check_refused};
use system_user::until;

/// Asks for a worker of `h1`; its socket, or the refusal.
fn open(node: &Node) -> Result<FrameSocket, Reply> {
    let socket = node.connect();
    socket.send(&Asked::from(Request::OpenFiles { hosting: "h1".into() }), &[]).unwrap();
    match socket.receive::<Reply>().unwrap() {
        (Reply::Files { mount }, descriptors) => {
            assert!(mount > 0);
            let [worker] = <[OwnedFd; 1]>::try_from(descriptors).unwrap();
            Ok(worker.into())
        }
        (other, _) => Err(other),
    }
}

/// What it answers about a path, or why it does not.
fn stat(worker: &FrameSocket, path: &str) -> Result<FileReply, FrameError> {
    let at = Place { root: SitePath::ROOT, path: SitePath::parse(path.as_bytes()).unwrap() };
    worker.send(&FileAsked { number: 7, request: FileRequest::Stat { at, links: Links::Meant } }, &[])?;
    worker.receive::<FileAnswered>().map(|(answered, _)| answered.reply)
}

#[test]
fn a_worker_is_the_hostings_user_and_ends_with_its_socket() {
    let node = Node::start();
    node.register();
    fs::write(node.path("homes/h/public/index.php"), "12345").unwrap();
    let worker = open(&node).unwrap();
    assert!(matches!(stat(&worker, "public/index.php"), Ok(FileReply::Attributes(found)) if found.size == 5));
    assert!(matches!(stat(&worker, "none"), Ok(FileReply::Failed { fault: FileFault::NotFound })));
    assert_eq!(node.user.processes().len(), 1);
    drop(worker);
    until("the worker has ended", || node.user.processes().is_empty());
    until("the broker has said so", || node.log_text().contains("a files worker ended"));
}

#[test]
fn workers_are_bounded_for_one_hosting_and_a_place_is_free_again_when_one_has_ended() {
    let node = Node::start_with("files_workers_per_hosting = 2");
    node.register();
    let (first, _second) = (open(&node).unwrap(), open(&node).unwrap());
    check_refused(&open(&node).unwrap_err(), RefusalCode::Busy, None);
    drop(first);
    until("there is a place", || open(&node).is_ok());
}

#[test]
fn workers_are_bounded_for_all_hostings_together() {
    let node = Node::start_with("files_workers = 1");
    node.register();
    let first = open(&node).unwrap();
    check_refused(&open(&node).unwrap_err(), RefusalCode::Busy, None);
    drop(first);
    until("there is a place", || open(&node).is_ok());
}

#[test]
fn stopped_workers_are_gone_when_the_broker_says_so() {
    let node = Node::start();
    node.register();
    let workers = [open(&node).unwrap(), open(&node).unwrap()];
    for worker in &workers {
        assert!(stat(worker, "public").is_ok());
    }
    assert_eq!(node.ask(&Request::StopFiles { hosting: "h1".into() }), Reply::Done);
    assert!(node.user.processes().is_empty());
    for worker in &workers {
        assert!(matches!(stat(worker, "public"), Err(FrameError::Closed)));
    }
    // There being none is as good.
    assert_eq!(node.ask(&Request::StopFiles { hosting: "h1".into() }), Reply::Done);
    assert!(stat(&open(&node).unwrap(), "public").is_ok());
}

#[test]
fn a_hosting_that_is_forgotten_or_registered_anew_has_no_workers_left() {
    let node = Node::start();
    node.register();
    let worker = open(&node).unwrap();
    assert!(stat(&worker, "public").is_ok());
    node.register();
    assert!(node.user.processes().is_empty());
    let _worker = open(&node).unwrap();
    assert_eq!(node.ask(&Request::DropHosting { hosting: "h1".into() }), Reply::Done);
    assert!(node.user.processes().is_empty());
    for request in [Request::OpenFiles { hosting: "h1".into() }, Request::StopFiles { hosting: "h1".into() }] {
        check_refused(&node.ask(&request), RefusalCode::NotFound, Some("hosting"));
    }
}

#[test]
fn an_account_that_came_into_a_privileged_group_has_no_workers_any_more() {
    let node = Node::start();
    node.register();
    assert!(open(&node).is_ok());
    node.user.join("adm");
    check_refused(&open(&node).unwrap_err(), RefusalCode::Invalid, Some("system_user"));
}

#[test]
fn a_home_that_is_somebody_elses_by_now_has_no_worker() {
    let node = Node::start();
    node.register();
    chown(node.path("homes/h"), Some(node.serve.uid), None).unwrap();
    let worker = open(&node).unwrap();
    assert!(matches!(stat(&worker, "public"), Err(FrameError::Closed)));
    assert!(node.log_text().contains("is not owned by the system user"), "{}", node.log_text());
}

#[test]
fn workers_end_with_the_broker() {
    let mut node = Node::start();
    node.register();
    let worker = open(&node).unwrap();
    assert!(stat(&worker, "public").is_ok());
    node.stop_broker(rustix::process::Signal::KILL);
    until("the worker has ended", || node.user.processes().is_empty());
}
