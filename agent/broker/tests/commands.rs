//! Commands of the operator's through the real broker: what is written down runs, as it is written down, and nothing else.
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
        fd::AsFd as _,
        unix::{
            fs::{PermissionsExt as _, chown, symlink},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

use latchkey_protocol::{
    Asked, COMMAND_STDERR_MAX_BYTES, COMMAND_STDOUT_MAX_BYTES, CommandArgument, CommandCall, CommandEnd, CommandSecret,
    FrameSocket, RefusalCode, Reply, Request,
};
use node::{Node, check_refused};
use system_user::until;

/// A node with a registered hosting, whose operator has files about adapters.
fn node() -> Node {
    node_with("")
}

fn node_with(more: &str) -> Node {
    let mut node = Node::prepare("");
    let text = fs::read_to_string(node.path("broker.toml")).unwrap();
    let operators = node.path("adapters.d");
    fs::create_dir(&operators).unwrap();
    let adapters = node.path("adapters");
    fs::create_dir_all(adapters.join("linux")).unwrap();
    fs::write(adapters.join("linux/adapter.wasm"), "installed").unwrap();
    let section = format!("[adapters]\ndirectory = {adapters:?}\noperators = {operators:?}\n{more}\n");
    fs::write(node.path("broker.toml"), text + &section).unwrap();
    node.run_broker();
    node.register();
    node
}

/// Writes a program and the operator's file about the adapter `linux`, whose command `c` it is.
fn write_down(node: &Node, script: &str, more: &str) -> PathBuf {
    let program = write_program(node, "program", script);
    let text =
        format!("[grants.commands.c]\nargv = [{program:?}, \"fixed arg\", \"{{hosting}}\", \"{{a}}\"]\n{more}\n");
    write_file(node, &format!("{text}arguments.a = \"name\"\n"));
    program
}

fn write_program(node: &Node, name: &str, script: &str) -> PathBuf {
    let program = node.path(name);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    set_mode(&program, 0o755);
    program
}

fn write_file(node: &Node, text: &str) {
    fs::write(node.path("adapters.d/linux.toml"), text).unwrap();
    set_mode(&node.path("adapters.d/linux.toml"), 0o640);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn text(value: &str) -> CommandArgument {
    CommandArgument::Text(value.into())
}

fn call(arguments: Vec<(&str, CommandArgument)>) -> CommandCall {
    CommandCall {
        adapter: "linux".into(),
        hosting: "h1".into(),
        command: "c".into(),
        arguments: arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        deadline_ms: 20_000,
    }
}

fn ask(node: &Node, call: CommandCall) -> (Reply, Option<String>) {
    let socket = node.connect();
    socket.send(&Asked::from(Request::RunCommand(call)), &[]).unwrap();
    let (reply, descriptors) = socket.receive().unwrap();
    let mut written = String::new();
    let file = descriptors.into_iter().next().map(fs::File::from);
    let read = file.map(|mut file| {
        assert!(rustix::io::write(file.as_fd(), b"x").is_err(), "nobody changes it any more");
        file.read_to_string(&mut written).unwrap();
    });
    (reply, read.map(|()| written))
}

/// Runs the command with `a = "x"` and expects it to end by itself. Its exit code, output and error output.
#[track_caller]
fn runs(node: &Node) -> (u8, String, String) {
    let (reply, written) = ask(node, call(vec![("a", text("x"))]));
    let Reply::CommandEnded { end: CommandEnd::Exited { code }, stdout_bytes } = reply else { panic!("{reply:?}") };
    let written = written.unwrap();
    let (stdout, stderr) = written.split_at(usize::try_from(stdout_bytes).unwrap());
    (code, stdout.to_owned(), stderr.to_owned())
}

#[track_caller]
fn is_refused(node: &Node, call: CommandCall, code: RefusalCode, field: &str, words: &str) {
    let (reply, written) = ask(node, call);
    check_refused(&reply, code, Some(field));
    let Reply::Refused { message, .. } = reply else { panic!("checked") };
    assert!(message.contains(words) && written.is_none(), "{message}");
}

/// Whether a process has this in its command line.
fn is_running(words: &str) -> bool {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    processes.into_iter().any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
}

/// A number of seconds to sleep that no other test has: by it its process is found.
fn sleeping(node: &Node, seconds: u32) -> String {
    format!("sleep {seconds}.{}", node.user.uid)
}

#[test]
fn a_command_gets_its_arguments_exactly_and_secrets_on_its_input_alone() {
    let node = node();
    let script = "printf '%s|' \"$#\" \"$@\"; pwd; env | sort; cat; tr '\\0' '|' < /proc/$$/cmdline >&2; exit 7";
    let program = write_down(&node, script, "user = \"root\"\nstdin = [\"token\", \"password\"]");
    let secret = |value: &str| CommandArgument::Secret(CommandSecret(value.into()));
    let arguments = vec![("password", secret("p w;$(id)")), ("a", text("x.y_z-9")), ("token", secret("t0ken"))];
    let (reply, written) = ask(&node, call(arguments));
    let Reply::CommandEnded { end, stdout_bytes } = reply else { panic!("{reply:?}") };
    let written = written.unwrap();
    let (stdout, stderr) = written.split_at(usize::try_from(stdout_bytes).unwrap());
    assert_eq!(end, CommandEnd::Exited { code: 7 });
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(stdout, format!("3|fixed arg|h1|x.y_z-9|/\nLANG=C\n{path}\nPWD=/\nt0ken\np w;$(id)\n"));
    assert_eq!(stderr, format!("/bin/sh|{}|fixed arg|h1|x.y_z-9|", program.display()));
    assert!(!node.log_text().contains("t0ken") && node.log_text().contains("a command ended"));
}

#[test]
fn a_command_is_its_hostings_user_unless_it_is_written_down_as_roots() {
    let node = node();
    let script = "id -u; id -g; id -G; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status";
    write_down(&node, script, "");
    let (uid, gid) = (node.user.uid, node.user.gid);
    let rights = "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n";
    assert_eq!(runs(&node).1, format!("{uid}\n{gid}\n{gid}\n{rights}"));
    write_down(&node, script, "user = \"root\"");
    let (_, said, _) = runs(&node);
    assert!(said.starts_with("0\n0\n") && said.ends_with("NoNewPrivs:\t1\n"), "{said}");
    // An account that is not what was registered any more.
    write_down(&node, script, "");
    node.user.join("sudo");
    is_refused(&node, call(vec![("a", text("x"))]), RefusalCode::Invalid, "system_user", "privileged group");
}

#[test]
fn an_argument_outside_of_its_kind_is_refused_by_its_name_and_nothing_is_started() {
    let node = node();
    let started = node.path("started");
    write_down(&node, &format!("touch {}", started.display()), "user = \"root\"");
    for value in ["", "-x", "--", "a b", "a/b", "../x", "a\n", "$(id)", "a\0b", "ä"] {
        is_refused(&node, call(vec![("a", text(value))]), RefusalCode::Invalid, "arguments", "a: expected 1 to 64");
    }
    let secret = CommandArgument::Secret(CommandSecret("x".into()));
    is_refused(&node, call(vec![("a", secret)]), RefusalCode::Invalid, "arguments", "a: expected text");
    is_refused(&node, call(vec![]), RefusalCode::Invalid, "arguments", "a: expected a value");
    let more = call(vec![("a", text("x")), ("hosting", text("h2"))]);
    is_refused(&node, more, RefusalCode::Invalid, "arguments", "hosting: expected no argument of this name");
    assert!(!started.exists());
    assert_eq!((runs(&node).0, started.exists()), (0, true));
}

#[test]
fn only_what_the_operator_wrote_down_can_be_run() {
    let node = node();
    let with = |change: &dyn Fn(&mut CommandCall)| {
        let mut call = call(vec![("a", text("x"))]);
        change(&mut call);
        call
    };
    is_refused(&node, with(&|_| ()), RefusalCode::NotFound, "command", "linux.toml has no command \"c\"");
    let program = write_down(&node, "", "");
    for name in ["", "C", "program", "/bin/sh", "c\0"] {
        let call = with(&|call| name.clone_into(&mut call.command));
        is_refused(&node, call, RefusalCode::NotFound, "command", "has no command");
    }
    for name in ["", "..", "../adapters.d/linux", "/etc/passwd"] {
        let call = with(&|call| name.clone_into(&mut call.adapter));
        is_refused(&node, call, RefusalCode::NotFound, "adapter", "no adapter");
    }
    let others = with(&|call| call.hosting = "h2".into());
    is_refused(&node, others, RefusalCode::NotFound, "hosting", "no hosting");
    for deadline_ms in [0, 60_001, u32::MAX] {
        let call = with(&|call| call.deadline_ms = deadline_ms);
        is_refused(&node, call, RefusalCode::Invalid, "deadline_ms", "expected 1 to 60000");
    }
    assert_eq!(runs(&node).0, 0);
    // Withdrawn, and mistaken: the next call sees it.
    write_file(&node, "[grants]\nstate = true\n");
    is_refused(&node, with(&|_| ()), RefusalCode::NotFound, "command", "has no command");
    write_file(&node, &format!("[grants.commands.c]\nargv = [{program:?}]\nshell = true\n"));
    is_refused(&node, with(&|_| ()), RefusalCode::Invalid, "command", "grants.commands.c: unknown field `shell`");
    write_file(&node, "[grants.commands.c");
    is_refused(&node, with(&|_| ()), RefusalCode::Invalid, "command", "linux.toml is not valid");
    // A mistake in another one is not this one's.
    write_file(&node, &format!("[grants.commands.d]\n[grants.commands.c]\nargv = [{program:?}]\n"));
    assert!(matches!(ask(&node, call(vec![])).0, Reply::CommandEnded { .. }));
}

#[test]
fn a_file_or_a_program_that_others_could_change_is_refused() {
    let node = node();
    let program = write_down(&node, "", "");
    let file = node.path("adapters.d/linux.toml");
    let refused = |named: &Path| {
        let words = format!("{} has to", named.display());
        is_refused(&node, call(vec![("a", text("x"))]), RefusalCode::Invalid, "command", &words);
    };
    for (path, mode) in [(&file, 0o640), (&program, 0o755)] {
        for wrong in [0o666, 0o775] {
            set_mode(path, wrong);
            refused(path);
        }
        set_mode(path, mode);
        chown(path, Some(node.user.uid), None).unwrap();
        refused(path);
        chown(path, Some(0), None).unwrap();
        assert_eq!(runs(&node).0, 0);
    }
    for folder in [node.path("adapters.d"), node.dir.path().to_owned()] {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        set_mode(&folder, 0o777);
        refused(&folder);
        set_mode(&folder, mode);
    }
    assert_eq!(runs(&node).0, 0);
    fs::rename(&program, node.path("elsewhere")).unwrap();
    symlink(node.path("elsewhere"), &program).unwrap();
    refused(&program);
    fs::remove_file(&program).unwrap();
    is_refused(&node, call(vec![("a", text("x"))]), RefusalCode::Invalid, "command", "there is no");
    fs::write(&program, "no program").unwrap();
    set_mode(&program, 0o644);
    is_refused(&node, call(vec![("a", text("x"))]), RefusalCode::Invalid, "command", "cannot start");
}

#[test]
fn when_its_time_is_over_all_of_its_group_is_gone() {
    let node = node();
    let sleep = sleeping(&node, 100);
    let script = format!("trap '' TERM INT HUP; {sleep} & (trap '' TERM; {sleep}) & wait");
    write_down(&node, &script, "timeout_ms = 700");
    let ended = |call| match ask(&node, call) {
        (Reply::CommandEnded { end, .. }, None) => end,
        other => panic!("{other:?}"),
    };
    assert_eq!(ended(call(vec![("a", text("x"))])), CommandEnd::TimedOut);
    until("all are gone", || !is_running(&sleep));
    // serve's time counts as well.
    write_down(&node, &script, "timeout_ms = 60000");
    let shorter = CommandCall { deadline_ms: 700, ..call(vec![("a", text("x"))]) };
    assert_eq!(ended(shorter), CommandEnd::TimedOut);
    until("all are gone", || !is_running(&sleep));
}

#[test]
fn what_a_command_leaves_in_its_group_ends_with_it_and_holds_nothing_up() {
    let node = node();
    let sleep = sleeping(&node, 101);
    write_down(&node, &format!("{sleep} & echo done"), "");
    assert_eq!(runs(&node), (0, "done\n".to_owned(), String::new()));
    until("it is gone", || !is_running(&sleep));
}

#[test]
fn a_command_that_writes_too_much_is_ended_and_one_that_writes_the_most_is_not() {
    let node = node();
    let sleep = sleeping(&node, 102);
    for (to, most) in [("1", COMMAND_STDOUT_MAX_BYTES), ("2", COMMAND_STDERR_MAX_BYTES)] {
        let write = |count: usize| format!("head -c {count} /dev/zero | tr '\\0' x >&{to}");
        write_down(&node, &write(most), "");
        let (code, stdout, stderr) = runs(&node);
        assert_eq!((code, stdout.len() + stderr.len()), (0, most));
        write_down(&node, &format!("{}; {sleep}", write(most + 1)), "");
        let (reply, written) = ask(&node, call(vec![("a", text("x"))]));
        assert!(
            matches!(reply, Reply::CommandEnded { end: CommandEnd::TooMuch, .. }) && written.is_none(),
            "{reply:?}"
        );
        until("it is gone", || !is_running(&sleep));
    }
}

#[test]
fn a_command_ends_when_serve_hangs_up_and_so_many_run_at_a_time() {
    let node = node_with("commands = 2\ncommands_per_hosting = 1");
    let sleep = sleeping(&node, 103);
    write_down(&node, &sleep, "timeout_ms = 60000");
    let begin = |node: &Node| {
        let socket: FrameSocket = node.connect();
        socket.send(&Asked::from(Request::RunCommand(call(vec![("a", text("x"))]))), &[]).unwrap();
        until("it runs", || is_running(&sleep));
        socket
    };
    let first = begin(&node);
    let (reply, _) = ask(&node, call(vec![("a", text("x"))]));
    check_refused(&reply, RefusalCode::Busy, None);
    drop(first);
    until("it is gone", || !is_running(&sleep));
    until("its place is free", || {
        write_down(&node, "", "");
        matches!(ask(&node, call(vec![("a", text("x"))])).0, Reply::CommandEnded { .. })
    });
}

#[test]
fn a_command_that_a_signal_ends_says_so() {
    let node = node();
    write_down(&node, "kill -9 $$", "");
    let (reply, written) = ask(&node, call(vec![("a", text("x"))]));
    let signalled = CommandEnd::Signalled { signal: 9 };
    assert_eq!((reply, written), (Reply::CommandEnded { end: signalled, stdout_bytes: 0 }, Some(String::new())));
}

#[test]
fn what_leaves_the_group_of_a_hostings_command_ends_with_it() {
    let node = node();
    let left = format!("{}7", std::process::id());
    write_down(
        &node,
        &format!("setsid sleep {left} >/dev/null 2>&1 </dev/null &\nsleep 0.2; pgrep -f 'sleep {left}'"),
        "",
    );
    let (code, stdout, _) = runs(&node);
    assert_eq!((code, stdout.lines().count()), (0, 1), "it ran beside the command: {stdout}");
    until("it is gone", || !is_there(&left));
}

fn is_there(words: &str) -> bool {
    let of = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let all = fs::read_dir("/proc").unwrap().map(Result::unwrap).filter_map(of);
    let wanted = format!("sleep\0{words}\0");
    all.into_iter().any(|line| line == wanted.as_bytes())
}

#[test]
fn a_user_who_stops_all_that_is_theirs_holds_nobody_up() {
    let node = node();
    write_down(&node, "echo done", "timeout_ms = 300");
    // Ends by itself, and with the test's node: it cannot stop what is root's.
    let stopping =
        "$SIG{ALRM} = sub { exit }; alarm 30; while (1) { kill 'STOP', -1; select undef, undef, undef, 0.0005 }";
    let mut perl = Command::new("/usr/bin/perl");
    let mut stopper = perl.args(["-e", stopping]).uid(node.user.uid).gid(node.user.gid).spawn().unwrap();
    let ends: Vec<bool> = (0..40)
        .map(|_| match ask(&node, call(vec![("a", text("x"))])).0 {
            Reply::CommandEnded { end, .. } => end == CommandEnd::TimedOut,
            reply => panic!("{reply:?}"),
        })
        .collect();
    stopper.kill().unwrap();
    stopper.wait().unwrap();
    assert!(ends.contains(&true), "nothing was stopped: the test shows nothing");
    let (code, stdout, _) = runs(&node);
    assert_eq!((code, stdout.as_str()), (0, "done\n"));
}
