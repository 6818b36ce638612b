//! What a session promises, asked byte by byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

mod node;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use latchkey_protocol::SitePath;
use latchkey_sftp::FileEvent;
use node::raw::{APPEND, CREATE, EXCLUSIVE, READ, Raw, TRUNCATE, WRITE, request, string};
use node::{Node, READER, WRITER, noise, wait_for};

const OK: u32 = 0;
const END: u32 = 1;
const MISSING: u32 = 2;
const DENIED: u32 = 3;
const FAILURE: u32 = 4;
const UNSUPPORTED: u32 = 8;
const UPLOAD: u32 = WRITE | CREATE | TRUNCATE;

fn path(written: &str) -> SitePath {
    SitePath::parse(written.as_bytes()).unwrap()
}

#[test]
fn an_upload_gets_its_name_when_it_is_closed_and_until_then_what_was_there_stays() {
    let node = Node::start();
    fs::write(node.site("a.php"), "old").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let upload = raw.open(b"/a.php", UPLOAD).await.handle();
        assert_eq!(raw.write(&upload, 0, b"new content").await, OK);
        assert_eq!(fs::read(node.site("a.php")).unwrap(), b"old");
        // The session itself sees what it has written.
        let stat = raw.on_path(17, b"/a.php").await;
        assert_eq!((stat.kind, &stat.rest[4..12]), (105, &11_u64.to_be_bytes()[..]));
        assert_eq!(raw.close(&upload).await, OK);
    });
    assert_eq!(fs::read(node.site("a.php")).unwrap(), b"new content");
    assert_eq!(node.events(), [FileEvent::Uploaded { path: path("a.php"), bytes: 11 }]);
}

#[test]
fn an_upload_that_is_never_closed_leaves_nothing() {
    let node = Node::start();
    fs::write(node.site("a.php"), "old").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        for name in [&b"a.php"[..], b"b.php"] {
            let upload = raw.open(name, UPLOAD).await.handle();
            assert_eq!(raw.write(&upload, 0, b"half").await, OK);
        }
    });
    wait_for("the session has ended", || node.gatekeeper.seen.lock().unwrap().left == 1);
    let names: Vec<_> = fs::read_dir(node.site("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.php"]);
    assert_eq!(fs::read(node.site("a.php")).unwrap(), b"old");
    assert_eq!(node.events(), []);
}

#[test]
fn a_session_that_is_ended_cannot_write_any_more_and_says_when_it_has_ended() {
    let node = Node::start();
    fs::write(node.site("in-place"), "0123456789").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let upload = raw.open(b"/new", UPLOAD).await.handle();
        assert_eq!(raw.write(&upload, 0, b"half").await, OK);
        let in_place = raw.open(b"/in-place", WRITE).await.handle();
        assert_eq!(raw.write(&in_place, 0, b"AB").await, OK);
        let session = node.gatekeeper.seen.lock().unwrap().sessions[0].clone();
        session.kill();
        session.kill();
        session.ended().await;
        // What is on its way is not carried out. Whether it can still be sent is the client's affair.
        let late = request(6, 9, &[&string(&in_place), &2_u64.to_be_bytes(), &string(b"CD")]);
        let _ = raw.channel.data(&late[..]).await;
        assert_eq!(raw.packet().await, None);
    });
    assert_eq!(fs::read(node.site("in-place")).unwrap(), b"AB23456789");
    assert!(!node.site("new").exists());
}

#[test]
fn a_session_is_ended_also_while_its_client_reads_nothing() {
    let node = Node::start();
    fs::write(node.site("big"), noise(1 << 20)).unwrap();
    node.runtime.block_on(async {
        let config = russh::client::Config { window_size: 1000, ..Default::default() };
        let connection = node::raw::connection_with(&node, WRITER, config).await;
        let raw = Raw::on(connection).await;
        raw.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await;
        raw.send(&request(3, 1, &[&string(b"big"), &READ.to_be_bytes(), &0_u32.to_be_bytes()])).await;
        for id in 0..64 {
            let handle = string(&1_u32.to_be_bytes());
            raw.send(&request(5, id, &[&handle, &0_u64.to_be_bytes(), &262_144_u32.to_be_bytes()])).await;
        }
        let session = node.gatekeeper.seen.lock().unwrap().sessions[0].clone();
        session.kill();
        tokio::time::timeout(std::time::Duration::from_secs(5), session.ended()).await.expect("it ends at once");
    });
}

#[test]
fn names_of_an_upload_can_be_changed_before_it_is_closed() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let upload = raw.open(b"part", UPLOAD).await.handle();
        assert_eq!(raw.write(&upload, 0, b"one").await, OK);
        assert_eq!(raw.ask(18, 7, &[&string(b"part"), &string(b"whole")]).await.status(), OK);
        assert_eq!(raw.write(&upload, 3, b"two").await, OK);
        assert_eq!(raw.close(&upload).await, OK);
    });
    assert_eq!(fs::read(node.site("whole")).unwrap(), b"onetwo");
    assert!(!node.site("part").exists());
}

#[test]
fn an_upload_through_a_link_changes_what_the_link_leads_to() {
    let node = Node::start();
    fs::write(node.site("real"), "old").unwrap();
    fs::set_permissions(node.site("real"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real", node.site("link")).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let upload = raw.open(b"link", UPLOAD).await.handle();
        assert_eq!(raw.write(&upload, 0, b"new").await, OK);
        assert_eq!(raw.close(&upload).await, OK);
    });
    assert!(fs::symlink_metadata(node.site("link")).unwrap().is_symlink());
    assert_eq!(fs::read(node.site("real")).unwrap(), b"new");
    assert_eq!(fs::metadata(node.site("real")).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn a_new_file_and_a_directory_cannot_be_uploaded_over_each_other() {
    let node = Node::start();
    fs::create_dir(node.site("d")).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        assert_eq!(raw.open(b"d", UPLOAD).await.status(), FAILURE);
        assert_eq!(raw.open(b"missing/f", UPLOAD).await.status(), MISSING);
        let first = raw.open(b"f", UPLOAD | EXCLUSIVE).await.handle();
        assert_eq!(raw.close(&first).await, OK);
        assert_eq!(raw.open(b"f", UPLOAD | EXCLUSIVE).await.status(), FAILURE);
    });
}

#[test]
fn other_ways_of_opening_work_in_place() {
    let node = Node::start();
    fs::write(node.site("f"), "0123456789").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let resumed = raw.open(b"f", WRITE | CREATE).await.handle();
        assert_eq!(raw.write(&resumed, 8, b"XY").await, OK);
        assert_eq!(fs::read(node.site("f")).unwrap(), b"01234567XY");
        assert_eq!(raw.read(&resumed).await.status(), MISSING);
        let appended = raw.open(b"f", WRITE | APPEND).await.handle();
        assert_eq!(raw.write(&appended, 0, b"Z").await, OK);
        assert_eq!(fs::read(node.site("f")).unwrap(), b"01234567XYZ");
        let both = raw.open(b"f", READ | WRITE).await.handle();
        assert_eq!(raw.write(&both, 0, b"a").await, OK);
        assert_eq!(raw.read(&both).await.rest[4..], b"a1234567XYZ"[..]);
    });
}

#[test]
fn an_account_that_may_only_read_is_refused_each_change_and_may_read() {
    let node = Node::start();
    fs::write(node.site("f"), "content").unwrap();
    fs::create_dir(node.site("d")).unwrap();
    let before = node::inventory(&node.site(""));
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, READER).await;
        for flags in [UPLOAD, WRITE, WRITE | CREATE, APPEND, READ | WRITE, READ | CREATE, READ | TRUNCATE] {
            assert_eq!(raw.open(b"f", flags).await.status(), DENIED, "{flags}");
        }
        let mode = [4_u32.to_be_bytes(), 0o600_u32.to_be_bytes()].concat();
        let (one, two) = (string(b"f"), string(b"g"));
        for (kind, body) in [
            (9, [&one, &mode]),
            (13, [&one, &two]),
            (14, [&two, &mode]),
            (15, [&two, &one]),
            (18, [&one, &two]),
            (20, [&one, &two]),
        ] {
            assert_eq!(raw.ask(kind, 1, &[body[0], body[1]]).await.status(), DENIED, "{kind}");
        }
        for (name, body) in [
            ("posix-rename@openssh.com", [&one, &two]),
            ("hardlink@openssh.com", [&one, &two]),
            ("lsetstat@openssh.com", [&one, &mode]),
        ] {
            assert_eq!(raw.extended(name, &[body[0], body[1]]).await.status(), DENIED, "{name}");
        }
        let handle = raw.open(b"f", READ).await.handle();
        assert_eq!(raw.ask(10, 1, &[&string(&handle), &mode]).await.status(), DENIED);
        assert_eq!(raw.write(&handle, 0, b"x").await, DENIED);
        assert_eq!(raw.read(&handle).await.rest[4..], b"content"[..]);
        assert_eq!(raw.close(&handle).await, OK);
    });
    assert_eq!(node::inventory(&node.site("")), before);
    assert_eq!(node.events(), [FileEvent::Downloaded { path: path("f"), bytes: 7 }]);
}

#[test]
fn handles_are_bounded_and_given_back() {
    let node = Node::start();
    fs::write(node.site("f"), "x").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let limits = raw.extended("limits@openssh.com", &[]).await;
        assert_eq!(limits.kind, 201);
        assert_eq!(limits.rest[24..], 100_u64.to_be_bytes());
        let mut handles = Vec::new();
        for _ in 0..100 {
            handles.push(raw.open(b"f", READ).await.handle());
        }
        assert_eq!(raw.open(b"f", READ).await.status(), FAILURE);
        assert_eq!(raw.on_path(11, b"/").await.status(), FAILURE);
        assert_eq!(raw.close(&handles[0]).await, OK);
        assert_eq!(raw.close(&handles[0]).await, FAILURE);
        assert_eq!(raw.on_path(11, b"/").await.kind, 102);
    });
}

#[test]
fn a_file_is_read_and_written_only_if_it_was_opened_for_that() {
    let node = Node::start();
    fs::write(node.site("f"), "content").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let (read, written) = (raw.open(b"f", READ).await.handle(), raw.open(b"f", WRITE).await.handle());
        let directory = raw.on_path(11, b"/").await.handle();
        assert_eq!((raw.write(&read, 0, b"new").await, raw.write(&written, 0, b"CON").await), (MISSING, OK));
        assert_eq!(raw.read(&written).await.status(), MISSING);
        assert_eq!(raw.read(&read).await.rest[4..], *b"CONtent");
        assert_eq!((raw.write(&directory, 0, b"x").await, raw.read(&directory).await.status()), (FAILURE, FAILURE));
    });
    assert_eq!(fs::read(node.site("f")).unwrap(), b"CONtent");
}

/// Names and modes of a directory, of one READDIR each.
async fn listed(raw: &mut Raw, path: &[u8]) -> Vec<Vec<(String, u32)>> {
    let handle = string(&raw.on_path(11, path).await.handle());
    let mut all = Vec::new();
    loop {
        let reply = raw.ask(12, 1, &[&handle]).await;
        if reply.kind == 101 {
            assert_eq!(reply.status(), END);
            return all;
        }
        let mut rest = &reply.rest[4..];
        let mut some = Vec::new();
        while !rest.is_empty() {
            let mut text = || {
                let end = 4 + usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
                let text = String::from_utf8_lossy(&rest[4..end]).into_owned();
                rest = &rest[end..];
                text
            };
            let (name, line) = (text(), text());
            assert!(line.ends_with(&name), "{line}");
            // Flags, size, owners; then the mode, and times.
            some.push((name, u32::from_be_bytes(rest[20..24].try_into().unwrap()) & 0o7777));
            rest = &rest[32..];
        }
        all.push(some);
    }
}

#[test]
fn a_listing_begins_with_the_directory_and_the_one_above_and_above_the_root_is_the_root() {
    let node = Node::start();
    fs::create_dir_all(node.site("d/e")).unwrap();
    for (directory, mode) in [("", 0o700), ("d", 0o711), ("d/e", 0o751)] {
        fs::set_permissions(node.site(directory), fs::Permissions::from_mode(mode)).unwrap();
    }
    let entry = |name: &str, mode| (name.to_owned(), mode);
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        assert_eq!(listed(&mut raw, b"/").await, [[entry(".", 0o700), entry("..", 0o700), entry("d", 0o711)]]);
        assert_eq!(listed(&mut raw, b"d").await, [[entry(".", 0o711), entry("..", 0o700), entry("e", 0o751)]]);
        assert_eq!(listed(&mut raw, b"/d/e").await, [[entry(".", 0o751), entry("..", 0o711)]]);
    });
}

#[test]
fn rename_of_version_3_replaces_nothing_and_that_of_posix_does() {
    let node = Node::start();
    fs::write(node.site("a"), "a").unwrap();
    fs::write(node.site("b"), "b").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let names: [&[u8]; 2] = [&string(b"a"), &string(b"b")];
        assert_eq!(raw.ask(18, 1, &names).await.status(), FAILURE);
        assert_eq!(fs::read(node.site("b")).unwrap(), b"b");
        assert_eq!(raw.extended("posix-rename@openssh.com", &names).await.status(), OK);
        assert_eq!(fs::read(node.site("b")).unwrap(), b"a");
    });
    assert_eq!(node.events(), [FileEvent::Renamed { from: path("a"), to: path("b") }]);
}

#[test]
fn data_is_copied_on_the_server_but_not_onto_itself() {
    let node = Node::start();
    let content = noise(10_000_000);
    fs::write(node.site("from"), &content).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let from = string(&raw.open(b"from", READ).await.handle());
        let target = raw.open(b"to", UPLOAD).await.handle();
        let (to, zero) = (string(&target), 0_u64.to_be_bytes());
        let copy: [&[u8]; 5] = [&from, &5_u64.to_be_bytes(), &zero, &to, &zero];
        assert_eq!(raw.extended("copy-data", &copy).await.status(), OK);
        assert_eq!(raw.close(&target).await, OK);
        let itself = string(&raw.open(b"from", READ | WRITE).await.handle());
        let copy: [&[u8]; 5] = [&from, &zero, &zero, &itself, &zero];
        assert_eq!(raw.extended("copy-data", &copy).await.status(), FAILURE);
        let synchronised: [&[u8]; 1] = [&itself];
        assert_eq!(raw.extended("fsync@openssh.com", &synchronised).await.status(), OK);
    });
    assert_eq!(fs::read(node.site("to")).unwrap(), content[5..]);
}

#[test]
fn reads_return_what_was_asked_for_up_to_the_end() {
    let node = Node::start();
    let content = noise(300_000);
    fs::write(node.site("f"), &content).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let handle = string(&raw.open(b"f", READ).await.handle());
        let mut read = async |offset: u64, length: u32| {
            raw.ask(5, 1, &[&handle, &offset.to_be_bytes(), &length.to_be_bytes()]).await
        };
        assert_eq!(read(1, 300_000).await.rest[4..], content[1..262_136]);
        assert_eq!(read(299_990, 100).await.rest[4..], content[299_990..]);
        for (offset, length) in [(300_000, 1), (u64::MAX, 10), (1 << 62, 10)] {
            assert_eq!(read(offset, length).await.status(), END, "{offset}");
        }
    });
}

#[test]
fn links_are_made_as_openssh_makes_them_and_paths_resolved() {
    let node = Node::start();
    fs::create_dir(node.site("d")).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        assert_eq!(raw.ask(20, 1, &[&string(b"d"), &string(b"link")]).await.status(), OK);
        let name = |reply: &node::raw::Reply| {
            let length = usize::try_from(u32::from_be_bytes(reply.rest[4..8].try_into().unwrap())).unwrap();
            String::from_utf8_lossy(&reply.rest[8..8 + length]).into_owned()
        };
        assert_eq!(name(&raw.on_path(19, b"link").await), "d");
        for (written, is) in [(&b"."[..], "/"), (b"..", "/"), (b"/link/new", "/d/new"), (b"/d/../d/", "/d")] {
            assert_eq!(name(&raw.on_path(16, written).await), is);
        }
        assert_eq!(raw.on_path(16, b"/no/where").await.status(), MISSING);
        assert_eq!(name(&raw.extended("expand-path@openssh.com", &[&string(b"~/d")]).await), "/d");
        assert_eq!(raw.extended("expand-path@openssh.com", &[&string(b"~root")]).await.status(), MISSING);
        assert_eq!(raw.extended("unheard@of", &[]).await.status(), UNSUPPORTED);
        assert_eq!(raw.ask(99, 1, &[]).await.status(), UNSUPPORTED);
        assert_eq!(raw.on_path(17, b"a\0b").await.status(), FAILURE);
    });
    assert_eq!(fs::read_link(node.site("link")).unwrap().to_str(), Some("d"));
}

#[test]
fn owners_stay_and_setting_them_to_what_they_are_is_done() {
    let node = Node::start();
    fs::write(node.site("f"), "").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, WRITER).await;
        let owners = |uid: u32| [2_u32.to_be_bytes(), uid.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        assert_eq!(raw.ask(9, 1, &[&string(b"f"), &owners(0)]).await.status(), OK);
        assert_eq!(raw.ask(9, 1, &[&string(b"f"), &owners(1)]).await.status(), DENIED);
    });
}

#[test]
fn a_session_may_be_refused_after_a_good_sign_in() {
    let node = Node::start();
    node.gatekeeper.seen.lock().unwrap().refuses = true;
    let refused = node::complaint(&node.sftp(WRITER, &[], "pwd\n"));
    assert!(refused.contains("this account has ended"), "{refused}");
}
