//! Cron entries through the real broker: run as cron would, as nobody but the hosting's user, and gone as a whole.
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
    io::Read as _,
    time::{Duration, Instant},
};

use latchkey_protocol::{
    Asked, CRON_COMMAND_MAX_BYTES, CRON_RUN_DEADLINE_MAX_MS, CommandEnd, CronRun, FrameSocket, RefusalCode, Reply,
    Request,
};
use node::{Node, check_refused};
use rustix::net::Shutdown;

/// With the switch by which serve may say what cron runs.
fn node() -> Node {
    let node = Node::start_with("crontab_program = \"/usr/bin/crontab\"");
    node.register();
    node
}

fn run(command: &str, deadline_ms: u32) -> Request {
    Request::RunCronEntry(CronRun { hosting: "h1".into(), command: command.into(), deadline_ms })
}

fn begin(node: &Node, command: &str, deadline_ms: u32) -> FrameSocket {
    let socket = node.connect();
    socket.send(&Asked::from(run(command, deadline_ms)), &[]).unwrap();
    socket
}

/// How it ended, and what it wrote to both outputs.
#[track_caller]
fn ended(socket: &FrameSocket) -> (CommandEnd, String, String) {
    let (reply, descriptors) = socket.receive::<Reply>().unwrap();
    let Reply::CommandEnded { end, stdout_bytes } = reply else { panic!("{reply:?}") };
    let mut text = String::new();
    File::from(descriptors.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
    let stderr = text.split_off(usize::try_from(stdout_bytes).unwrap());
    (end, text, stderr)
}

/// How many processes of the hosting's user have this in their command line.
fn running(node: &Node, marker: &str) -> usize {
    let of_user = format!("Uid:\t{}\t", node.user.uid);
    let is_one = |path: &std::path::Path| {
        fs::read_to_string(path.join("status")).is_ok_and(|status| status.contains(&of_user))
            && fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.contains(marker))
    };
    fs::read_dir("/proc").unwrap().filter(|entry| is_one(&entry.as_ref().unwrap().path())).count()
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_runs_as_cron_would_with_nobodys_rights_but_the_users() {
    let node = node();
    let command = "id -u; id -G; pwd; env | sort; cat; echo to stderr >&2; exit 7";
    let (end, stdout, stderr) = ended(&begin(&node, command, 20_000));
    assert_eq!((end, stderr.as_str()), (CommandEnd::Exited { code: 7 }, "to stderr\n"));
    let (user, home) = (&node.user, node.registration().home);
    let expected = format!(
        "{}\n{}\n{home}\nHOME={home}\nLOGNAME={name}\nPATH=/usr/bin:/bin\nPWD={home}\nSHELL=/bin/sh\nUSER={name}\n",
        user.uid,
        user.gid,
        name = user.name
    );
    let without_shells_own = |text: &str| {
        let own = |line: &&str| !line.starts_with("OLDPWD=") && !line.starts_with("_=");
        text.lines().filter(own).map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(without_shells_own(&stdout), expected);
    let (end, stdout, _) = ended(&begin(&node, "grep -E '^(NoNewPrivs|CapEff):' /proc/self/status", 20_000));
    assert_eq!(end, CommandEnd::Exited { code: 0 });
    assert!(stdout.contains("CapEff:\t0000000000000000"), "{stdout}");
    // Quotes and all else reach the shell as they stand.
    let (_, stdout, _) = ended(&begin(&node, r#"printf '%s|' "a b" '$x' "$(echo c)" %F \\"#, 20_000));
    assert_eq!(stdout, "a b|$x|c|%F|\\|");
}

#[test]
fn where_crontabs_are_only_read_nothing_runs() {
    let node = Node::start();
    node.register();
    check_refused(&node.ask(&run("true", 1000)), RefusalCode::Invalid, Some("crontab_program"));
}

#[test]
fn what_no_line_of_a_crontab_could_say_is_refused() {
    let node = node();
    for command in ["", "a\nb", "a\0b", "a\rb", &"x".repeat(CRON_COMMAND_MAX_BYTES + 1)] {
        check_refused(&node.ask(&run(command, 1000)), RefusalCode::Invalid, Some("command"));
    }
    for deadline_ms in [0, CRON_RUN_DEADLINE_MAX_MS + 1] {
        check_refused(&node.ask(&run("true", deadline_ms)), RefusalCode::Invalid, Some("deadline_ms"));
    }
    let longest = format!("true {}", "x".repeat(CRON_COMMAND_MAX_BYTES - 5));
    assert_eq!(ended(&begin(&node, &longest, CRON_RUN_DEADLINE_MAX_MS)).0, CommandEnd::Exited { code: 0 });
}

#[test]
fn all_of_it_is_gone_when_serve_hangs_up() {
    let node = node();
    // Also what has left its process group and its session.
    let socket =
        begin(&node, "setsid sleep 7331 & setsid sh -c 'trap \"\" TERM HUP; sleep 7331' & sleep 7331", 600_000);
    wait_for("it runs", || running(&node, "7331") >= 4);
    rustix::net::shutdown(&socket, Shutdown::Write).unwrap();
    // The broker's word, or its silence, comes after the end.
    let _ = socket.receive::<Reply>();
    wait_for("it is gone", || running(&node, "7331") == 0);
}

#[test]
fn its_time_and_what_it_writes_have_an_end_and_what_came_before_is_told() {
    let node = node();
    let (end, stdout, _) = ended(&begin(&node, "echo begun; sleep 7332", 700));
    assert_eq!((end, stdout.as_str()), (CommandEnd::TimedOut, "begun\n"));
    let (end, stdout, _) = ended(&begin(&node, "yes", 20_000));
    assert_eq!(end, CommandEnd::TooMuch);
    assert!(stdout.starts_with("y\ny\n") && stdout.len() < 300_000, "{}", stdout.len());
    assert_eq!(running(&node, "7332"), 0);
}

#[test]
fn a_hosting_has_so_many_at_a_time() {
    let node = node();
    let four: Vec<FrameSocket> = (0..4).map(|_| begin(&node, "sleep 7333", 600_000)).collect();
    wait_for("four run", || running(&node, "sleep\u{0}7333") == 4);
    check_refused(&node.ask(&run("true", 1000)), RefusalCode::Busy, None);
    drop(four);
    wait_for("there is room again", || matches!(node.ask(&run("true", 5000)), Reply::CommandEnded { .. }));
}
