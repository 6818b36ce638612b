//! Configuration files through the real broker: of granted directories, about the hosting, and right or as they were.
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
    fs::{self, File},
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
};

use latchkey_protocol::{
    Asked, CONFIG_FILE_MAX_BYTES, CONFIG_FILES_MAX, ConfigFileCall, ConfigFileCame, ConfigFileWish, RefusalCode, Reply,
    Request, seal_text,
};
use node::{Node, check_refused};
use rustix::{
    fs::{MemfdFlags, SealFlags},
    process::Signal,
};
use system_user::until;

/// A node with a registered hosting and a directory that its operator grants to the adapter `linux`. The check takes what
/// says `good`, and waits as long as there is a file `wait`.
fn node() -> Node {
    let mut node = Node::prepare("");
    let text = fs::read_to_string(node.path("broker.toml")).unwrap();
    let operators = node.path("adapters.d");
    let adapters = node.path("adapters");
    let section = format!("[adapters]\ndirectory = {adapters:?}\noperators = {operators:?}\n");
    fs::write(node.path("broker.toml"), text + &section).unwrap();
    fs::create_dir_all(adapters.join("linux")).unwrap();
    fs::write(adapters.join("linux/adapter.wasm"), "installed").unwrap();
    for folder in [operators, node.path("conf")] {
        fs::create_dir(folder).unwrap();
    }
    let (ground, conf) = (node.dir.path().display(), conf(&node));
    let check = format!(
        "touch {ground}/checking; while [ -e {ground}/wait ]; do read -t 1 x </dev/zero; done\n\
         for file in {0}/*.conf; do [ ! -e \"$file\" ] || grep -q good \"$file\" || {{ echo \"$file is bad\" >&2; exit 1; }}; done",
        conf.display()
    );
    program(&node, "check", &check);
    program(
        &node,
        "apply",
        &format!(
            "[ ! -e {ground}/deaf ] || {{ echo deaf; exit 1; }}; cat {}/*.conf > {ground}/applied; exit 0",
            conf.display()
        ),
    );
    write_down(&node, "timeout_ms = 20000");
    node.run_broker();
    node.register();
    node
}

fn conf(node: &Node) -> PathBuf {
    node.path("conf")
}

fn program(node: &Node, name: &str, script: &str) {
    fs::write(node.path(name), format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(node.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn write_down(node: &Node, more: &str) {
    let [conf, check, apply] = [conf(node), node.path("check"), node.path("apply")];
    let text = format!(
        "[grants.config-files.sites]\ndirectory = {conf:?}\nfiles = \"{{hosting}}_*.conf\"\ncheck = [{check:?}]\n\
         apply = [{apply:?}]\n{more}\n"
    );
    let file = node.path("adapters.d/linux.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
}

fn call(wish: ConfigFileWish) -> ConfigFileCall {
    ConfigFileCall {
        adapter: "linux".into(),
        hosting: "h1".into(),
        directory: "sites".into(),
        deadline_ms: 20_000,
        wish,
    }
}

fn in_memory(content: &[u8], seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(c"test", flags).unwrap());
    file.write_all(content).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

fn sealed(content: &[u8]) -> OwnedFd {
    seal_text(content).unwrap()
}

fn ask_with(node: &Node, call: ConfigFileCall, content: Option<OwnedFd>) -> (Reply, Option<String>) {
    let socket = node.connect();
    let beside: Vec<BorrowedFd<'_>> = content.iter().map(|fd| fd.as_fd()).collect();
    socket.send(&Asked::from(Request::ConfigFile(call)), &beside).unwrap();
    let (reply, descriptors) = socket.receive().unwrap();
    let mut text = String::new();
    let read = descriptors.into_iter().next().map(|file| File::from(file).read_to_string(&mut text).unwrap());
    (reply, read.map(|_| text))
}

fn ask(node: &Node, wish: ConfigFileWish) -> ConfigFileCame {
    let (reply, _) = ask_with(node, call(wish), None);
    let Reply::ConfigFile(came) = reply else { panic!("{reply:?}") };
    came
}

fn to_write(name: &str, version: Option<&str>) -> ConfigFileWish {
    ConfigFileWish::Write { name: name.into(), version: version.map(str::to_owned) }
}

fn write(node: &Node, name: &str, version: Option<&str>, content: &str) -> ConfigFileCame {
    let (reply, _) = ask_with(node, call(to_write(name, version)), Some(sealed(content.as_bytes())));
    let Reply::ConfigFile(came) = reply else { panic!("{reply:?}") };
    came
}

fn remove(node: &Node, name: &str, version: &str) -> ConfigFileCame {
    ask(node, ConfigFileWish::Remove { name: name.into(), version: version.into() })
}

/// What a file is, and its version.
#[track_caller]
fn read(node: &Node, name: &str) -> (String, String) {
    let (reply, content) = ask_with(node, call(ConfigFileWish::Read { name: name.into() }), None);
    let Reply::ConfigFile(ConfigFileCame::Content { version }) = reply else { panic!("{reply:?}") };
    (content.unwrap(), version)
}

#[track_caller]
fn is_refused(node: &Node, (call, content): (ConfigFileCall, Option<OwnedFd>), code: RefusalCode, field: Option<&str>) {
    let (reply, _) = ask_with(node, call, content);
    check_refused(&reply, code, field);
}

/// All that is in the directory.
fn entries(node: &Node) -> Vec<String> {
    let entries = fs::read_dir(conf(node)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn is_rejected(came: ConfigFileCame, words: &str) {
    let ConfigFileCame::Rejected { said } = came else { panic!("{came:?}") };
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_file_is_made_read_replaced_and_removed_and_takes_effect() {
    let node = node();
    let applied = || fs::read_to_string(node.path("applied")).unwrap();
    assert_eq!(ask(&node, ConfigFileWish::List), ConfigFileCame::Names(vec![]));
    assert_eq!(ask(&node, ConfigFileWish::Read { name: "h1_a.conf".into() }), ConfigFileCame::NotThere);
    assert_eq!(write(&node, "h1_a.conf", None, "good 1"), ConfigFileCame::Done);
    let (content, one) = read(&node, "h1_a.conf");
    assert_eq!((content.as_str(), applied().as_str()), ("good 1", "good 1"));
    assert_eq!(fs::metadata(conf(&node).join("h1_a.conf")).unwrap().permissions().mode() & 0o777, 0o644);
    // Repeated, and with what it was before.
    assert_eq!(write(&node, "h1_a.conf", None, "good 2"), ConfigFileCame::Changed);
    assert_eq!(write(&node, "h1_a.conf", Some(&one), "good 2"), ConfigFileCame::Done);
    assert_eq!(write(&node, "h1_a.conf", Some(&one), "good 3"), ConfigFileCame::Changed);
    assert_eq!(remove(&node, "h1_a.conf", &one), ConfigFileCame::Changed);
    assert_eq!(applied(), "good 2");
    fs::write(conf(&node).join("h2_a.conf"), "good").unwrap();
    fs::write(conf(&node).join("h1_x"), "good").unwrap();
    assert_eq!(ask(&node, ConfigFileWish::List), ConfigFileCame::Names(vec!["h1_a.conf".into()]));
    let (_, two) = read(&node, "h1_a.conf");
    assert_eq!(remove(&node, "h1_a.conf", &two), ConfigFileCame::Done);
    assert_eq!(remove(&node, "h1_a.conf", &two), ConfigFileCame::NotThere);
    assert_eq!((applied().as_str(), entries(&node)), ("good", vec!["h1_x".to_owned(), "h2_a.conf".to_owned()]));
}

#[test]
fn what_the_check_or_the_program_says_no_to_is_put_back() {
    let node = node();
    is_rejected(write(&node, "h1_a.conf", None, "bad"), "h1_a.conf is bad");
    assert_eq!(entries(&node), Vec::<String>::new());
    assert_eq!(write(&node, "h1_a.conf", None, "good"), ConfigFileCame::Done);
    let (_, version) = read(&node, "h1_a.conf");
    is_rejected(write(&node, "h1_a.conf", Some(&version), "bad"), "exit code 1");
    assert_eq!((read(&node, "h1_a.conf").0.as_str(), entries(&node)), ("good", vec!["h1_a.conf".to_owned()]));
    fs::write(node.path("deaf"), "").unwrap();
    is_rejected(write(&node, "h1_a.conf", Some(&version), "good 2"), "deaf");
    is_rejected(remove(&node, "h1_a.conf", &version), "deaf");
    assert_eq!((read(&node, "h1_a.conf").0.as_str(), entries(&node)), ("good", vec!["h1_a.conf".to_owned()]));
    fs::remove_file(node.path("deaf")).unwrap();
    // One that does not end in time has not said yes.
    fs::write(node.path("wait"), "").unwrap();
    write_down(&node, "timeout_ms = 300");
    is_rejected(write(&node, "h1_a.conf", Some(&version), "good 2"), "its time was over");
    write_down(&node, "timeout_ms = 20000");
    let short = ConfigFileCall { deadline_ms: 300, ..call(to_write("h1_a.conf", Some(&version))) };
    let (reply, _) = ask_with(&node, short, Some(sealed(b"good 2")));
    assert!(matches!(reply, Reply::ConfigFile(ConfigFileCame::Rejected { .. })), "{reply:?}");
    assert_eq!((read(&node, "h1_a.conf").0.as_str(), entries(&node)), ("good", vec!["h1_a.conf".to_owned()]));
}

#[test]
fn the_program_takes_up_again_what_was_put_back() {
    let node = node();
    let (conf, runs) = (conf(&node), node.path("runs"));
    // It has taken up what is there before it says no, or never ends.
    let script = format!(
        "cat {0}/*.conf >> {1}; echo >> {1}; ! grep -q never {0}/*.conf || exec tail -f /dev/null; ! grep -q no {0}/*.conf",
        conf.display(),
        runs.display()
    );
    program(&node, "apply", &script);
    let taken_up = || fs::read_to_string(&runs).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(write(&node, "h1_a.conf", None, "good 1"), ConfigFileCame::Done);
    let (_, version) = read(&node, "h1_a.conf");
    is_rejected(write(&node, "h1_a.conf", Some(&version), "good no"), "apply: exit code 1");
    assert_eq!(taken_up(), ["good 1", "good no", "good 1"]);
    // What the check said no to was never taken up.
    is_rejected(write(&node, "h1_a.conf", Some(&version), "bad"), "check: exit code 1");
    assert_eq!(taken_up().len(), 3);
    let hangs_up = node.connect();
    let asked = Asked::from(Request::ConfigFile(call(to_write("h1_a.conf", Some(&version)))));
    hangs_up.send(&asked, &[sealed(b"good never").as_fd()]).unwrap();
    until("it is taken up", || taken_up().last().is_some_and(|last| last == "good never"));
    drop(hangs_up);
    until("it is put back and taken up", || taken_up()[3..] == ["good never", "good 1"]);
    assert_eq!((read(&node, "h1_a.conf").0.as_str(), entries(&node)), ("good 1", vec!["h1_a.conf".to_owned()]));
}

#[test]
fn no_name_of_another_hosting_or_outside_of_the_directory_is_read_or_written() {
    let node = node();
    fs::write(conf(&node).join("h2_a.conf"), "good").unwrap();
    fs::write(node.path("h1_a.conf"), "outside").unwrap();
    for name in ["", "h2_a.conf", "h1-2_a.conf", "../h1_a.conf", "h1_../h1_a.conf", "h1_a", ".h1_a.conf", "h1_a\n.conf"]
    {
        let read = call(ConfigFileWish::Read { name: name.into() });
        is_refused(&node, (read, None), RefusalCode::Invalid, Some("name"));
        is_refused(&node, (call(to_write(name, None)), Some(sealed(b"good"))), RefusalCode::Invalid, Some("name"));
        let remove = call(ConfigFileWish::Remove { name: name.into(), version: "0".into() });
        is_refused(&node, (remove, None), RefusalCode::Invalid, Some("name"));
    }
    // A link that somebody made there leads nowhere.
    symlink("/etc/passwd", conf(&node).join("h1_link.conf")).unwrap();
    let read = call(ConfigFileWish::Read { name: "h1_link.conf".into() });
    is_refused(&node, (read, None), RefusalCode::Busy, None);
    is_refused(&node, (call(to_write("h1_link.conf", None)), Some(sealed(b"good"))), RefusalCode::Busy, None);
    assert!(fs::symlink_metadata(conf(&node).join("h1_link.conf")).unwrap().is_symlink());
    assert_eq!(entries(&node), ["h1_link.conf", "h2_a.conf"]);
}

#[test]
fn only_what_the_operator_wrote_down_and_root_alone_can_change_is_used() {
    let node = node();
    let list = || call(ConfigFileWish::List);
    let absent = |change: &dyn Fn(&mut ConfigFileCall), field| {
        let mut call = list();
        change(&mut call);
        is_refused(&node, (call, None), RefusalCode::NotFound, Some(field));
    };
    absent(&|call| call.directory = "other".into(), "directory");
    absent(&|call| call.directory = "/etc".into(), "directory");
    absent(&|call| call.adapter = "../linux".into(), "adapter");
    absent(&|call| call.hosting = "h2".into(), "hosting");
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let write = || (call(to_write("h1_a.conf", None)), Some(sealed(b"good")));
    for (path, right) in [
        (conf(&node), 0o755),
        (node.path("adapters.d/linux.toml"), 0o640),
        (node.path("check"), 0o755),
        (node.path("apply"), 0o755),
    ] {
        set_mode(&path, right | 0o020);
        is_refused(&node, write(), RefusalCode::Invalid, Some("directory"));
        set_mode(&path, right);
        chown(&path, Some(node.user.uid), None).unwrap();
        is_refused(&node, write(), RefusalCode::Invalid, Some("directory"));
        chown(&path, Some(0), None).unwrap();
    }
    assert_eq!(entries(&node), Vec::<String>::new());
    let (reply, _) = ask_with(&node, write().0, write().1);
    assert_eq!(reply, Reply::ConfigFile(ConfigFileCame::Done));
}

#[test]
fn content_is_a_sealed_file_in_memory_of_a_bounded_length() {
    let node = node();
    let file = || OwnedFd::from(File::open("/etc/passwd").unwrap());
    let long = vec![b'x'; CONFIG_FILE_MAX_BYTES + 1];
    for content in [file(), in_memory(b"good", SealFlags::empty()), in_memory(b"good", SealFlags::WRITE), sealed(&long)]
    {
        is_refused(&node, (call(to_write("h1_a.conf", None)), Some(content)), RefusalCode::Invalid, Some("content"));
    }
    is_refused(&node, (call(to_write("h1_a.conf", None)), None), RefusalCode::Invalid, Some("descriptors"));
    is_refused(&node, (call(ConfigFileWish::List), Some(file())), RefusalCode::Invalid, Some("descriptors"));
    let mut most = b"good ".to_vec();
    most.resize(CONFIG_FILE_MAX_BYTES, b'x');
    assert_eq!(write(&node, "h1_a.conf", None, std::str::from_utf8(&most).unwrap()), ConfigFileCame::Done);
    assert_eq!(read(&node, "h1_a.conf").0.len(), CONFIG_FILE_MAX_BYTES);
}

#[test]
fn a_change_that_serve_hung_up_on_or_the_broker_died_in_is_taken_back() {
    let mut node = node();
    assert_eq!(write(&node, "h1_a.conf", None, "good 1"), ConfigFileCame::Done);
    let (_, version) = read(&node, "h1_a.conf");
    let file = conf(&node).join("h1_a.conf");
    let is = |content: &str| fs::read_to_string(&file).is_ok_and(|is| is == content);
    let begin = |node: &Node| {
        fs::write(node.path("wait"), "").unwrap();
        let _none_before = fs::remove_file(node.path("checking"));
        let socket = node.connect();
        let content = sealed(b"good 2");
        let asked = Asked::from(Request::ConfigFile(call(to_write("h1_a.conf", Some(&version)))));
        socket.send(&asked, &[content.as_fd()]).unwrap();
        until("it is being checked", || node.path("checking").exists());
        assert!(is("good 2"));
        socket
    };
    let hung_up = begin(&node);
    // Meanwhile nobody else changes anything there, and waits for it as long as there is time.
    let impatient = ConfigFileCall { deadline_ms: 100, ..call(ConfigFileWish::List) };
    is_refused(&node, (impatient, None), RefusalCode::Busy, None);
    let patient = node.connect();
    patient.send(&Asked::from(Request::ConfigFile(call(ConfigFileWish::List))), &[]).unwrap();
    drop(hung_up);
    let (listed, _): (Reply, _) = patient.receive().unwrap();
    assert_eq!(listed, Reply::ConfigFile(ConfigFileCame::Names(vec!["h1_a.conf".into()])));
    until("it is put back", || is("good 1") && entries(&node) == ["h1_a.conf"]);
    fs::remove_file(node.path("wait")).unwrap();
    let cut_off = begin(&node);
    node.stop_broker(Signal::KILL);
    drop(cut_off);
    assert!(is("good 2") && entries(&node).len() > 1);
    fs::remove_file(node.path("wait")).unwrap();
    fs::remove_file(node.path("applied")).unwrap();
    node.run_broker();
    until("it is put back", || is("good 1") && entries(&node) == ["h1_a.conf"]);
    until("it takes effect", || fs::read_to_string(node.path("applied")).is_ok_and(|applied| applied == "good 1"));
}

#[test]
fn a_hosting_has_so_many_files_and_what_was_there_keeps_its_mode_and_group() {
    let node = node();
    for number in 1..CONFIG_FILES_MAX {
        fs::write(conf(&node).join(format!("h1_{number}.conf")), "good").unwrap();
    }
    assert!(matches!(write(&node, "h1_last.conf", None, "good"), ConfigFileCame::Done));
    let (reply, _) = ask_with(&node, call(to_write("h1_more.conf", None)), Some(sealed(b"good")));
    check_refused(&reply, RefusalCode::Invalid, Some("directory"));
    assert!(!conf(&node).join("h1_more.conf").exists());
    let file = conf(&node).join("h1_1.conf");
    chown(&file, None, Some(node.user.gid)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let (_, version) = read(&node, "h1_1.conf");
    assert!(matches!(write(&node, "h1_1.conf", Some(&version), "good, too"), ConfigFileCame::Done));
    let facts = fs::metadata(&file).unwrap();
    assert_eq!((facts.mode() & 0o777, facts.uid(), facts.gid()), (0o640, 0, node.user.gid));
}

#[test]
fn an_adapter_that_is_not_installed_has_no_files() {
    let node = node();
    assert!(matches!(ask(&node, ConfigFileWish::List), ConfigFileCame::Names(names) if names.is_empty()));
    fs::remove_file(node.path("adapters/linux/adapter.wasm")).unwrap();
    let (reply, _) = ask_with(&node, call(ConfigFileWish::List), None);
    check_refused(&reply, RefusalCode::NotFound, Some("adapter"));
}
