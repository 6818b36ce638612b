//! A serve that somebody else has taken over: what it tries beyond its list is refused and logged, and the broker lives on.
//!
//! Everything is asked with serve's uid. What a mistaken serve would ask is in `registration.rs` and `php_calls.rs`.
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
    collections::BTreeSet,
    fs,
    io::IoSlice,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::{PermissionsExt as _, symlink},
            net::UnixStream,
        },
    },
    path::Path,
};

use latchkey_protocol::{
    Asked, CommandCall, ConfigFileCall, ConfigFileWish, CronRun, FRAME_MAX_BYTES, FrameSocket, HostingRegistration,
    PhpCall, PhpEnd, Purpose, RefusalCode, Reply, Request, seal_text,
};
use node::{Node, check_refused};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
    process::{Gid, Signal, Uid},
};
use system_user::SystemUser;

/// Runs something with serve's uid and nothing else.
fn as_serve<T: Send + 'static>(node: &Node, attempt: impl FnOnce() -> T + Send + 'static) -> T {
    let (uid, gid) = (Uid::from_raw(node.serve.uid), Gid::from_raw(node.serve.gid));
    // The ids are those of this thread, which ends here.
    let attempting = std::thread::spawn(move || {
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        attempt()
    });
    attempting.join().unwrap()
}

fn ask(node: &Node, request: Request) -> Reply {
    ask_with(node, request, vec![])
}

fn ask_with(node: &Node, request: Request, descriptors: Vec<OwnedFd>) -> Reply {
    let path = node.path("s");
    as_serve(node, move || {
        let socket = FrameSocket::connect(&path).unwrap();
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        socket.send(&Asked::from(request), &descriptors).unwrap();
        socket.receive::<Reply>().unwrap().0
    })
}

/// Sends bytes as they are; `None` when the broker closes without a word.
fn ask_bytes(node: &Node, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let path = node.path("s");
    as_serve(node, move || {
        let kind = SocketType::SEQPACKET;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::connect(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        let mut nothing = SendAncillaryBuffer::default();
        rustix::net::sendmsg(&socket, &[IoSlice::new(&bytes)], &mut nothing, SendFlags::NOSIGNAL).unwrap();
        let mut answer = vec![0; FRAME_MAX_BYTES];
        match rustix::io::read(&socket, &mut answer) {
            Ok(0) | Err(_) => None,
            Ok(length) => Some(answer[..length].to_vec()),
        }
    })
}

/// Expects a refusal with a line in the log for it.
#[track_caller]
fn check_refused_and_logged(node: &Node, request: Request, code: RefusalCode, field: Option<&str>) {
    let refusals = |node: &Node| node.log_text().matches("refused a request").count();
    let before = refusals(node);
    check_refused(&ask(node, request), code, field);
    assert_eq!(refusals(node), before + 1);
}

fn call(hosting: &str, docroot: &str) -> PhpCall {
    PhpCall { hosting: hosting.into(), docroot: docroot.into(), deadline_ms: 5000, purpose: Purpose::EndsAccess }
}

fn pipes() -> [(std::io::PipeReader, std::io::PipeWriter); 3] {
    std::array::from_fn(|_| std::io::pipe().unwrap())
}

/// The three descriptors of a call: the ends that the site gets.
fn of_call() -> Vec<OwnedFd> {
    let [(request, _), (_, reply), (_, log)] = pipes();
    vec![request.into(), reply.into(), log.into()]
}

#[test]
fn what_it_can_do_is_exactly_the_list_in_the_documents() {
    let error = serde_json::from_str::<Request>("\"no such verb\"").unwrap_err().to_string();
    let verbs: BTreeSet<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(verbs.contains("start_php"), "{error}");
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let text = fs::read_to_string(documents).unwrap();
    let (_, list) = text.split_once("### What a taken-over serve can do").unwrap();
    let rows = list.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<String> =
        rows.filter_map(|row| Some(row.strip_prefix("| `")?.split('`').next()?.to_owned())).collect();
    assert_eq!(verbs, listed);
}

#[test]
fn no_verb_works_for_a_hosting_that_is_not_registered() {
    let node = Node::start();
    for hosting in ["h1", "root", "", "../h1", "h1\0", "*"] {
        let hosting = || hosting.to_owned();
        let field = Some("hosting");
        check_refused_and_logged(&node, Request::DropHosting { hosting: hosting() }, RefusalCode::NotFound, field);
        check_refused_and_logged(&node, Request::ReadCrontab { hosting: hosting() }, RefusalCode::NotFound, field);
        let replace = Request::ReplaceCrontab { hosting: hosting(), was: String::new() };
        check_refused(&ask_with(&node, replace, vec![seal_text(b"").unwrap()]), RefusalCode::NotFound, field);
        let log = Request::OpenLog { hosting: hosting(), path: "/var/log/x".into() };
        check_refused_and_logged(&node, log, RefusalCode::NotFound, field);
        let run = CronRun { hosting: hosting(), command: "true".into(), deadline_ms: 1000 };
        check_refused_and_logged(&node, Request::RunCronEntry(run), RefusalCode::NotFound, field);
        check_refused_and_logged(&node, Request::OpenFiles { hosting: hosting() }, RefusalCode::NotFound, field);
        check_refused_and_logged(&node, Request::StopFiles { hosting: hosting() }, RefusalCode::NotFound, field);
        let reply = ask_with(&node, Request::StartPhp(call(&hosting(), "")), of_call());
        check_refused(&reply, RefusalCode::NotFound, field);
    }
    node.register();
    let reply = ask_with(&node, Request::StartPhp(call("h1", "public")), of_call());
    assert!(matches!(reply, Reply::PhpEnded { .. }), "{reply:?}");
}

#[test]
fn it_registers_no_privileged_account_and_nothing_outside_the_homes() {
    let node = Node::start();
    let system = SystemUser::with(&["--system"]);
    let home = node.make_home("system", &system);
    let register = |change: &dyn Fn(&mut HostingRegistration)| {
        let mut registration = node.registration();
        change(&mut registration);
        Request::RegisterHosting(registration)
    };
    let refused = |field, change: &dyn Fn(&mut HostingRegistration)| {
        check_refused_and_logged(&node, register(change), RefusalCode::Invalid, Some(field));
    };
    // Below min_uid, although its home is its own and where homes are.
    refused("system_user", &|r| (r.system_user, r.home) = (system.name.clone(), home.clone()));
    for user in ["root", "mysql", "nobody", &node.serve.name, "root\n", "root:x", "0"] {
        refused("system_user", &|r| user.clone_into(&mut r.system_user));
    }
    for home in ["/", "/root", "/etc", "/proc/self/root/etc", "/home/..", "\n"] {
        refused("home", &|r| home.clone_into(&mut r.home));
    }
    for php in ["/bin/sh", "/bin/sh -c id", "php8.2", "/usr/bin/php8.2\n", "/usr/bin/env"] {
        refused("php_binary", &|r| php.clone_into(&mut r.php_binary));
    }
    for ini in ["extension=/tmp/evil.so", "-d extension=x", "/etc/php.ini\nextension=/tmp/evil.so", "/etc/../tmp/x"] {
        refused("php_ini", &|r| r.php_ini = Some(ini.to_owned()));
    }
    assert!(matches!(ask(&node, register(&|_| ())), Reply::Hostings { .. }));
}

#[test]
fn an_account_in_any_privileged_group_of_the_node_is_refused_beside_one_in_none() {
    let node = Node::start();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let mut tried = 0;
    for group in [
        "adm", "backup", "crontab", "disk", "docker", "kmem", "lp", "mail", "mysql", "root", "shadow", "staff", "sudo",
        "tty", "www-data",
    ] {
        if groups.lines().any(|line| line.split(':').next() == Some(group)) {
            node.user.move_to(group);
            let request = Request::RegisterHosting(node.registration());
            check_refused_and_logged(&node, request, RefusalCode::Invalid, Some("system_user"));
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
    node.user.move_to("");
    assert!(matches!(ask(&node, Request::RegisterHosting(node.registration())), Reply::Hostings { .. }));
}

#[test]
fn no_docroot_leads_out_of_the_home() {
    let node = Node::start();
    node.register();
    fs::create_dir_all(node.path("homes/h/a/b")).unwrap();
    symlink("/etc", node.path("homes/h/a/link")).unwrap();
    symlink("../../../..", node.path("homes/h/a/up")).unwrap();
    symlink("/proc/self/root", node.path("homes/h/a/b/magic")).unwrap();
    for docroot in ["..", "/etc", "a/../..", "./a", "a/", "a//b", "a\nb"] {
        let reply = ask_with(&node, Request::StartPhp(call("h1", docroot)), of_call());
        check_refused(&reply, RefusalCode::Invalid, Some("docroot"));
    }
    for docroot in ["a/link", "a/link/ssl", "a/up", "a/b/magic/etc"] {
        let reply = ask_with(&node, Request::StartPhp(call("h1", docroot)), of_call());
        // The worker finds it, as the system user.
        check_refused(&reply, RefusalCode::Internal, None);
    }
    let reply = ask_with(&node, Request::StartPhp(call("h1", "a/b")), of_call());
    assert_eq!(reply, Reply::PhpEnded { end: PhpEnd::Exited { code: 0 } });
}

#[test]
fn frames_that_are_none_are_dropped_and_logged_and_the_next_is_answered() {
    let node = Node::start();
    let mut frames: Vec<Vec<u8>> = [
        r#"{"request":{"run":{"command":"id"}}}"#,
        r#"{"request":{"shell":"sh -c id"}}"#,
        r#"{"request":"list_hostings","request":{"drop_hosting":{"hosting":"h1"}}}"#,
        r#"{"request":{"list_hostings":null,"run":1}}"#,
        r#"{"request":{"start_php":{"hosting":"h1","docroot":"","deadline_ms":1,"purpose":"ordinary","uid":0}}}"#,
        r#"{"request":{"register_hosting":{"hosting":"h1","system_user":"x","home":"/","php_binary":"","uid":0}}}"#,
        r#"{"request":{"record_audit_head":{"seq":18446744073709551616,"hash":""}}}"#,
        "list_hostings",
        "\u{0}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    frames.push("[".repeat(FRAME_MAX_BYTES - 1).into_bytes());
    frames.push(b"\xff\xfe\xfd".to_vec());
    frames.push(vec![b' '; FRAME_MAX_BYTES + 1]);
    frames.push(vec![b'x'; 2 * FRAME_MAX_BYTES]);
    for (count, frame) in frames.into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&frame[..frame.len().min(80)]).into_owned();
        assert_eq!(ask_bytes(&node, frame), None, "{shown}");
        assert_eq!(node.log_text().matches("dropped a peer").count(), count + 1, "{shown}");
        assert!(matches!(ask(&node, Request::ListHostings), Reply::Hostings { .. }), "{shown}");
    }
}

#[test]
fn a_call_takes_three_open_streams_and_no_other_descriptors() {
    let node = Node::start();
    node.register();
    let fifo = node.path("fifo");
    rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let directory = || OwnedFd::from(fs::File::open("/").unwrap());
    let device = || OwnedFd::from(fs::File::open("/dev/zero").unwrap());
    let handle = || rustix::fs::open(&fifo, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let with = |at: usize, other: OwnedFd| {
        let mut descriptors = of_call();
        descriptors[at] = other;
        descriptors
    };
    let wrong = [
        vec![],
        of_call().into_iter().take(2).collect(),
        of_call().into_iter().chain([directory()]).collect(),
        with(0, directory()),
        with(1, directory()),
        with(2, directory()),
        with(0, device()),
        with(1, device()),
        with(0, handle()),
        with(1, handle()),
        with(1, fs::File::open(node.path("broker.toml")).unwrap().into()),
        with(0, rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap()),
    ];
    for descriptors in wrong {
        let reply = ask_with(&node, Request::StartPhp(call("h1", "public")), descriptors);
        check_refused(&reply, RefusalCode::Invalid, Some("descriptors"));
    }
    let (socket, _other) = UnixStream::pair().unwrap();
    for good in [of_call(), with(0, socket.into())] {
        let reply = ask_with(&node, Request::StartPhp(call("h1", "public")), good);
        assert!(matches!(reply, Reply::PhpEnded { .. }), "{reply:?}");
    }
    for request in [
        Request::ListHostings,
        Request::ReadCrontab { hosting: "h1".into() },
        Request::OpenLog { hosting: "h1".into(), path: "/var/log/x".into() },
        Request::OpenFiles { hosting: "h1".into() },
        Request::StopFiles { hosting: "h1".into() },
        Request::CompileAdapter { adapter: "linux".into() },
        Request::OpenRunner { adapter: "linux".into() },
        Request::StopRunner { adapter: "linux".into() },
        Request::RunCommand(CommandCall {
            adapter: "linux".into(),
            hosting: "h1".into(),
            command: "c".into(),
            arguments: vec![],
            deadline_ms: 1,
        }),
        Request::ConfigFile(ConfigFileCall {
            adapter: "linux".into(),
            hosting: "h1".into(),
            directory: "d".into(),
            deadline_ms: 1,
            wish: ConfigFileWish::List,
        }),
        Request::DescribeConfinement,
        Request::DropHosting { hosting: "h1".into() },
    ] {
        let reply = ask_with(&node, request, vec![directory()]);
        check_refused(&reply, RefusalCode::Invalid, Some("descriptors"));
    }
}

#[test]
fn no_component_is_compiled_or_run_but_one_that_root_has_installed() {
    let verbs = |adapter: &str| {
        let adapter = || adapter.to_owned();
        [Request::CompileAdapter { adapter: adapter() }, Request::OpenRunner { adapter: adapter() }]
    };
    let without = Node::start();
    for request in verbs("linux") {
        check_refused_and_logged(&without, request, RefusalCode::Invalid, Some("adapter"));
    }
    let node = Node::start_with("[adapters]\ndirectory = \"/nonexistent\"");
    for adapter in ["linux", "", "..", "../etc", "a/b", "/etc", "Linux", "linux\0"] {
        for request in verbs(adapter) {
            check_refused_and_logged(&node, request, RefusalCode::NotFound, Some("adapter"));
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_with(&format!("[adapters]\ndirectory = {:?}", directory.path()));
    let install = |adapter: &str| {
        let folder = directory.path().join(adapter);
        fs::create_dir(&folder).unwrap();
        let component = folder.join("adapter.wasm");
        fs::write(&component, "not wasm").unwrap();
        component
    };
    let by_others = install("by-others");
    fs::set_permissions(&by_others, fs::Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::chown(install("of-others"), Some(node.user.uid), None).unwrap();
    let elsewhere = install("elsewhere");
    fs::remove_file(&elsewhere).unwrap();
    symlink(&by_others, &elsewhere).unwrap();
    fs::File::options().write(true).open(install("long")).unwrap().set_len((32 << 20) + 1).unwrap();
    for adapter in ["by-others", "of-others", "long"] {
        for request in verbs(adapter) {
            check_refused_and_logged(&node, request, RefusalCode::Invalid, Some("adapter"));
        }
    }
    for request in verbs("elsewhere") {
        assert!(matches!(ask(&node, request), Reply::Refused { .. }));
    }
}

#[test]
fn the_past_of_the_audit_is_not_rewritten() {
    let node = Node::start();
    let head = |seq: u64, digit: &str| Request::RecordAuditHead { seq, hash: digit.repeat(64) };
    assert_eq!(ask(&node, head(5, "a")), Reply::Done);
    for seq in [0, 1, 4, 5] {
        check_refused_and_logged(&node, head(seq, "b"), RefusalCode::Invalid, Some("seq"));
    }
    for hash in ["", "A", "g", "0\n6 "] {
        check_refused_and_logged(&node, head(6, hash), RefusalCode::Invalid, Some("hash"));
    }
    assert_eq!(ask(&node, head(6, "c")), Reply::Done);
    let heads = node.path("state/audit-heads");
    let kept = fs::read_to_string(&heads).unwrap();
    assert_eq!(kept.lines().count(), 2, "{kept}");
    let set_back = || Request::SetAuditBack { to: 5, seq: 6, hash: "d".repeat(64) };
    check_refused_and_logged(&node, set_back(), RefusalCode::Invalid, Some("peer"));
    assert_eq!(fs::read_to_string(&heads).unwrap(), kept);
    assert_eq!(node.ask(&set_back()), Reply::Done);
    assert_eq!(fs::read_to_string(&heads).unwrap().lines().count(), 3);
    let opened = as_serve(&node, move || {
        [OFlags::RDONLY, OFlags::WRONLY].map(|how| rustix::fs::open(&heads, how, Mode::empty()).err())
    });
    assert_eq!(opened, [Some(Errno::ACCESS), Some(Errno::ACCESS)]);
}

#[test]
fn the_broker_itself_is_neither_signalled_nor_looked_into_nor_replaced() {
    let node = Node::start();
    let pid = node.broker_pid();
    let (signalled, memory, environment, socket) = as_serve(&node, {
        let path = node.path("s");
        move || {
            let of_broker = |what: &str| fs::File::open(format!("/proc/{}/{what}", pid.as_raw_nonzero())).err();
            let kind = |error: Option<std::io::Error>| error.map(|error| error.kind());
            (
                rustix::process::kill_process(pid, Signal::KILL),
                kind(of_broker("mem")),
                kind(of_broker("environ")),
                kind(fs::remove_file(path).err()),
            )
        }
    });
    assert_eq!(signalled, Err(Errno::PERM));
    let denied = Some(std::io::ErrorKind::PermissionDenied);
    assert_eq!((memory, environment, socket), (denied, denied, denied));
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    assert!(matches!(ask(&node, Request::ListHostings), Reply::Hostings { .. }));
}
