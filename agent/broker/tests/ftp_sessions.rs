//! `latchkey-ftpauth` between an FTP server and serve: who is let in, where to, and how a session ends.
//!
//! serve and the FTP server are played: the one by this test at serve's socket, the other by a process of root's that asks
//! as pure-ftpd does and then stays. The real ones meet in the whole-behaviour tests.
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
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use latchkey_protocol::{FrameError, FrameListener, FrameSocket, FtpAnswered, FtpAsked, FtpDeed, FtpDid, SitePath};
use node::Node;
use rustix::process::{Pid, Signal};
use system_user::until;

/// How long what happens at once may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);

const QUESTION: &str = "account:ann.live\npassword:secret\nlocalhost:127.0.0.1\nlocalport:21\npeer:192.0.2.7\nsni_name:\nencrypted:1\nend\n";

/// A node with a registered hosting and `latchkey-ftpauth`, and this test in serve's place.
struct Ftp {
    auth: Option<Child>,
    serve: FrameListener,
    node: Node,
}

impl Ftp {
    fn start() -> Self {
        let mut node = Node::prepare("");
        // The one who answers in serve's place is this test, which is root.
        let text = fs::read_to_string(node.path("broker.toml")).unwrap();
        let section = format!(
            "\n[ftp]\nsocket = \"{0}/ask\"\nserve_socket = \"{0}/serve\"\nfolders = \"{0}/folders\"\nlog = \"{0}/log.d/log\"\nsessions = 3\n",
            node.dir.path().display()
        );
        fs::write(node.path("broker.toml"), text + &section).unwrap();
        node.run_broker();
        node.register();
        let serve = FrameListener::bind(&node.path("serve")).unwrap();
        let mut ftp = Self { auth: None, serve, node };
        ftp.run_auth();
        ftp
    }

    /// Starts it and answers what it says first.
    fn run_auth(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.node.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-ftpauth"));
        let text = fs::read_to_string(self.node.path("broker.toml")).unwrap();
        let as_root = text.replace(&format!("serve_user = \"{}\"", self.node.serve.name), "serve_user = \"root\"");
        fs::write(self.node.path("ftp.toml"), as_root).unwrap();
        self.auth = Some(command.arg("--config").arg(self.node.path("ftp.toml")).stderr(log).spawn().unwrap());
        let told = self.accept();
        assert_eq!(told.receive::<FtpAsked>().unwrap().0, FtpAsked::Started);
        told.send(&FtpAnswered::Noted, &[]).unwrap();
        until("it listens", || self.node.path("ask").exists());
    }

    fn stop_auth(&mut self, signal: Signal) {
        let mut auth = self.auth.take().unwrap();
        rustix::process::kill_process(Pid::from_child(&auth), signal).unwrap();
        auth.wait().unwrap();
    }

    /// The next connection to serve.
    fn accept(&self) -> FrameSocket {
        let connection = self.serve.accept().unwrap();
        connection.set_timeouts(Some(SOON)).unwrap();
        connection
    }

    /// Asks as an FTP server does for one client, becomes the hosting's user, and logs each line that it is given.
    fn ask(&self, question: &str) -> Client {
        let script = format!(
            "$s = stream_socket_client('unix://{0}/ask'); fwrite($s, {question:?}); \
             echo str_replace(\"\\n\", ' ', stream_get_contents($s)), \"\\n\"; \
             $log = stream_socket_client('udg://{0}/log.d/log'); posix_setuid({1}); \
             while (($line = fgets(STDIN)) !== false && $line !== \"exit\\n\") fwrite($log, rtrim($line, \"\\n\")); \
             if ($line === false) sleep(600);",
            self.node.dir.path().display(),
            self.node.user.uid,
        );
        let mut command = Command::new("/usr/bin/php8.2");
        command.args(["-n", "-d", "extension=posix", "-r", &script]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Client { process, output }
    }

    /// A client that serve lets into this folder, and the connection that is the session.
    fn let_in(&self, path: &str) -> (Client, FrameSocket) {
        let client = self.ask(QUESTION);
        let session = self.accept();
        let (FtpAsked::SignIn(sign_in), _) = session.receive::<FtpAsked>().unwrap() else { panic!("no sign-in") };
        assert_eq!((sign_in.login.as_str(), sign_in.peer.as_str()), ("ann.live", "192.0.2.7"));
        assert_eq!(sign_in.password.0, "secret");
        session.send(&welcome(path), &[]).unwrap();
        (client, session)
    }

    fn folders(&self) -> Vec<PathBuf> {
        fs::read_dir(self.node.path("folders")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn mounts(&self) -> String {
        let all = fs::read_to_string("/proc/self/mounts").unwrap();
        let ours = format!("{}/", self.node.path("folders").display());
        all.lines().filter(|line| line.contains(&ours)).collect()
    }

    #[track_caller]
    fn check_nothing_left(&self) {
        until("the folder is gone", || self.folders().is_empty());
        assert_eq!(self.mounts(), "");
    }
}

impl Drop for Ftp {
    fn drop(&mut self) {
        if self.auth.is_some() {
            self.stop_auth(Signal::TERM);
        }
        let _ = rustix::mount::unmount(self.node.path("folders"), rustix::mount::UnmountFlags::DETACH);
    }
}

fn welcome(path: &str) -> FtpAnswered {
    FtpAnswered::Welcome { hosting: "h1".into(), path: SitePath::parse(path.as_bytes()).unwrap(), quota_bytes: None }
}

/// What pure-ftpd starts for one client.
struct Client {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Client {
    /// The answer in one line.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn check_refused(&mut self) {
        assert_eq!(self.answer(), "auth_ok:-1 end");
    }

    /// Waits until somebody has killed it.
    fn check_killed(&mut self) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let end = self.process.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&end), Some(9), "{end:?}");
    }
}

/// How a line of pure-ftpd begins that tells what somebody did.
const HEAD: &str = "<93>Nov 22 11:19:33 pure-ftpd: (ann.live@192.0.2.7) [NOTICE] ";

fn did(what: FtpDeed, path: &str) -> FtpAsked {
    FtpAsked::Did(FtpDid { what, path: SitePath::parse(path.as_bytes()).unwrap() })
}

impl Client {
    /// It is let in; its folder.
    #[track_caller]
    fn let_in_to(&mut self) -> String {
        let answer = self.answer();
        let folder = answer.split_once("dir:").and_then(|(_, rest)| rest.split_once("/./"));
        folder.unwrap_or_else(|| panic!("{answer}")).0.to_owned()
    }

    /// Has it log that it did something.
    #[track_caller]
    fn logs(&mut self, words: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{HEAD}{words}").unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn who_is_let_in_gets_the_ids_of_the_registry_and_the_folder_itself() {
    let ftp = Ftp::start();
    fs::write(ftp.node.path("homes/h/public/index.php"), "x").unwrap();
    let (mut client, _session) = ftp.let_in("public");
    let folder = ftp.node.path("folders").join(format!("{}-", client.process.id()));
    let answer = client.answer();
    let user = &ftp.node.user;
    let begin = format!("auth_ok:1 uid:{} gid:{} dir:{}", user.uid, user.gid, folder.display());
    assert!(answer.starts_with(&begin) && answer.ends_with("/./ end"), "{answer}");
    let bound = &ftp.folders()[0];
    assert!(bound.join("index.php").exists());
    let mounts = ftp.mounts();
    assert!(["nosuid", "nodev", "noexec"].iter().all(|flag| mounts.contains(flag)), "{mounts}");
    // Whatever becomes of the name, the session keeps the folder that was checked.
    fs::rename(ftp.node.path("homes/h/public"), ftp.node.path("homes/h/moved")).unwrap();
    symlink("/etc", ftp.node.path("homes/h/public")).unwrap();
    assert!(bound.join("index.php").exists() && !bound.join("passwd").exists());
}

#[test]
fn a_session_is_killed_when_serve_closes_it_and_serve_learns_when_it_is_over() {
    let ftp = Ftp::start();
    let (mut client, session) = ftp.let_in("public");
    assert!(client.answer().starts_with("auth_ok:1"));
    rustix::net::shutdown(&session, rustix::net::Shutdown::Write).unwrap();
    client.check_killed();
    assert_eq!(session.receive::<FtpAsked>().unwrap().0, FtpAsked::Ended);
    assert!(matches!(session.receive::<FtpAsked>(), Err(FrameError::Closed)));
    ftp.check_nothing_left();
}

#[test]
fn a_session_that_ends_by_itself_is_told_and_leaves_nothing() {
    let ftp = Ftp::start();
    let (mut client, session) = ftp.let_in("");
    assert!(client.answer().starts_with("auth_ok:1"));
    client.process.kill().unwrap();
    client.process.wait().unwrap();
    assert_eq!(session.receive::<FtpAsked>().unwrap().0, FtpAsked::Ended);
    ftp.check_nothing_left();
}

#[test]
fn what_a_session_does_is_told_over_its_own_connection_and_of_no_other_session() {
    let ftp = Ftp::start();
    let (mut ann, of_ann) = ftp.let_in("public");
    let folder_of_ann = ann.let_in_to();
    let (mut ben, of_ben) = ftp.let_in("public");
    let folder_of_ben = ben.let_in_to();
    // What one says of the other's folder is nobody's, whatever else it looks like.
    ben.logs(&format!("{folder_of_ann}//forged uploaded  (1 bytes, 1.00KB/sec)"));
    ben.logs(&format!("Deleted {folder_of_ann}//forged"));
    ben.logs(&format!("{folder_of_ben}//b) [NOTICE] Deleted {folder_of_ben}//c downloaded  (1 bytes, 1.00KB/sec)"));
    let name = format!("b) [NOTICE] Deleted {folder_of_ben}//c");
    assert_eq!(of_ben.receive::<FtpAsked>().unwrap().0, did(FtpDeed::Downloaded, &name));
    ann.logs(&format!("Deleted {folder_of_ann}//a"));
    assert_eq!(of_ann.receive::<FtpAsked>().unwrap().0, did(FtpDeed::Removed, "a"));
    assert!(!ftp.node.log_text().contains("in no audit"));
}

#[test]
fn what_came_just_before_an_end_is_told_before_it() {
    // As many as wait in a socket wherever this runs.
    const WAITING: usize = 8;
    let ftp = Ftp::start();
    let auth = Pid::from_child(ftp.auth.as_ref().unwrap());
    for _ in 0..5 {
        let (mut client, session) = ftp.let_in("public");
        let folder = client.let_in_to();
        rustix::process::kill_process(auth, Signal::STOP).unwrap();
        for number in 0..WAITING {
            client.logs(&format!("{folder}//{number} uploaded  (1 bytes, 1.00KB/sec)"));
        }
        client.process.stdin.as_mut().unwrap().write_all(b"exit\n").unwrap();
        client.process.wait().unwrap();
        rustix::process::kill_process(auth, Signal::CONT).unwrap();
        for number in 0..WAITING {
            assert_eq!(session.receive::<FtpAsked>().unwrap().0, did(FtpDeed::Uploaded, &number.to_string()));
        }
        assert_eq!(session.receive::<FtpAsked>().unwrap().0, FtpAsked::Ended);
    }
}

#[test]
fn more_than_anybody_takes_is_waited_for_and_not_lost() {
    const MANY: usize = 20_000;
    let ftp = Ftp::start();
    let (mut client, session) = ftp.let_in("public");
    let folder = client.let_in_to();
    let mut input = client.process.stdin.take().unwrap();
    let pid = ftp.auth.as_ref().unwrap().id();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..MANY {
                writeln!(input, "{HEAD}{folder}//{number} uploaded  (1 bytes, 1.00KB/sec)").unwrap();
            }
        });
        for number in 0..MANY {
            let told = session.receive::<FtpAsked>().unwrap().0;
            assert_eq!(told, did(FtpDeed::Uploaded, &number.to_string()));
        }
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let kib: u64 = most.strip_suffix(" kB").unwrap().trim().parse().unwrap();
    assert!(kib < 32 * 1024, "{most}");
}

#[test]
fn a_session_whose_log_does_not_come_is_named_and_the_socket_is_roots_alone() {
    let ftp = Ftp::start();
    let (mut client, session) = ftp.let_in("public");
    client.check_let_in();
    rustix::net::shutdown(&session, rustix::net::Shutdown::Write).unwrap();
    assert_eq!(session.receive::<FtpAsked>().unwrap().0, FtpAsked::Ended);
    assert!(ftp.node.log_text().contains("in no audit"), "{}", ftp.node.log_text());
    for path in ["log.d", "log.d/log"] {
        let mode = fs::metadata(ftp.node.path(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path}");
    }
}

#[test]
fn whom_serve_refuses_is_not_let_in() {
    let ftp = Ftp::start();
    let mut client = ftp.ask(QUESTION);
    let session = ftp.accept();
    session.receive::<FtpAsked>().unwrap();
    session.send(&FtpAnswered::Refused, &[]).unwrap();
    client.check_refused();
    ftp.check_nothing_left();
}

#[test]
fn whom_serve_takes_its_word_back_from_is_not_let_in() {
    let ftp = Ftp::start();
    let mut client = ftp.ask(QUESTION);
    let session = ftp.accept();
    session.receive::<FtpAsked>().unwrap();
    session.send(&welcome("public"), &[]).unwrap();
    drop(session);
    // Refused, or let in and killed at once.
    let answer = client.answer();
    if answer != "auth_ok:-1 end" {
        client.check_killed();
    }
    ftp.check_nothing_left();
}

#[test]
fn a_client_without_tls_is_refused_and_its_password_goes_nowhere() {
    let ftp = Ftp::start();
    ftp.ask(&QUESTION.replace("encrypted:1", "encrypted:0")).check_refused();
    ftp.serve_is_not_asked();
    let log = ftp.node.log_text();
    assert!(log.contains("TLS") && !log.contains("secret"), "{log}");
}

#[test]
fn a_folder_behind_a_link_of_somebody_else_or_missing_is_refused() {
    let ftp = Ftp::start();
    let home = ftp.node.path("homes/h");
    symlink("public", home.join("link")).unwrap();
    symlink("/etc", home.join("etc")).unwrap();
    fs::create_dir(home.join("roots")).unwrap();
    fs::create_dir(home.join("closed")).unwrap();
    chown(home.join("closed"), Some(ftp.node.user.uid), None).unwrap();
    fs::create_dir(home.join("closed/inner")).unwrap();
    chown(home.join("closed/inner"), Some(ftp.node.user.uid), None).unwrap();
    fs::set_permissions(home.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(home.join("public/file"), "").unwrap();
    for path in ["link", "etc", "link/x", "roots", "closed/inner", "missing", "public/file"] {
        let (mut client, session) = ftp.let_in(path);
        assert_eq!(client.answer(), "auth_ok:-1 end", "{path}");
        assert!(matches!(session.receive::<FtpAsked>(), Err(FrameError::Closed)), "{path}");
        ftp.check_nothing_left();
    }
    ftp.let_in("public").0.check_let_in();
}

#[test]
fn the_ftp_server_is_told_of_a_quota_and_otherwise_of_none() {
    let ftp = Ftp::start();
    assert!(!ftp.let_in("public").0.answer().contains("quota"));
    let mut client = ftp.ask(QUESTION);
    let session = ftp.accept();
    session.receive::<FtpAsked>().unwrap();
    let FtpAnswered::Welcome { hosting, path, .. } = welcome("public") else { panic!("no welcome") };
    session.send(&FtpAnswered::Welcome { hosting, path, quota_bytes: Some(10 << 20) }, &[]).unwrap();
    let answer = client.answer();
    assert!(answer.ends_with("/./ user_quota_size:10485760 end"), "{answer}");
}

#[test]
fn a_hosting_that_is_not_registered_is_refused() {
    let ftp = Ftp::start();
    let mut client = ftp.ask(QUESTION);
    let session = ftp.accept();
    session.receive::<FtpAsked>().unwrap();
    session
        .send(&FtpAnswered::Welcome { hosting: "other".into(), path: SitePath::ROOT, quota_bytes: None }, &[])
        .unwrap();
    client.check_refused();
}

#[test]
fn who_answers_in_serves_place_is_not_asked() {
    let mut ftp = Ftp::start();
    ftp.stop_auth(Signal::TERM);
    // Now serve's user is another one than ours.
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-ftpauth"));
    let log = fs::File::options().create(true).append(true).open(ftp.node.path("log")).unwrap();
    ftp.auth = Some(command.arg("--config").arg(ftp.node.path("broker.toml")).stderr(log).spawn().unwrap());
    let told = ftp.accept();
    assert!(matches!(told.receive::<FtpAsked>(), Err(FrameError::Closed)));
    until("it listens", || ftp.node.path("ask").exists());
    let mut client = ftp.ask(QUESTION);
    let session = ftp.accept();
    assert!(matches!(session.receive::<FtpAsked>(), Err(FrameError::Closed)));
    client.check_refused();
}

#[test]
fn beyond_the_number_of_sessions_nobody_is_let_in() {
    let ftp = Ftp::start();
    let mut open: Vec<_> = (0..3).map(|_| ftp.let_in("public")).collect();
    for (client, _) in &mut open {
        client.check_let_in();
    }
    assert_eq!(ftp.ask(QUESTION).answer(), "");
    drop(open.pop());
    until("there is a place again", || ftp.folders().len() == 2);
    ftp.let_in("public").0.check_let_in();
}

#[test]
fn sessions_end_with_it_however_it_ends() {
    let mut ftp = Ftp::start();
    for signal in [Signal::KILL, Signal::TERM] {
        let (mut client, session) = ftp.let_in("public");
        assert!(client.answer().starts_with("auth_ok:1"));
        ftp.stop_auth(signal);
        if signal == Signal::KILL {
            // Nobody sees to it at this moment, and serve has no proof of an end.
            assert!(matches!(session.receive::<FtpAsked>(), Err(FrameError::Closed)));
            assert_eq!(ftp.folders().len(), 1);
        }
        ftp.run_auth();
        client.check_killed();
        ftp.check_nothing_left();
    }
}

#[test]
fn a_user_of_the_node_cannot_ask() {
    let ftp = Ftp::start();
    let mode = fs::metadata(ftp.node.path("ask")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Also not where somebody opened it up.
    fs::set_permissions(ftp.node.path("ask"), fs::Permissions::from_mode(0o666)).unwrap();
    let script = format!(
        "posix_setuid({}); $s = stream_socket_client('unix://{}'); fwrite($s, {QUESTION:?}); echo stream_get_contents($s);",
        ftp.node.user.uid,
        ftp.node.path("ask").display()
    );
    let output = Command::new("/usr/bin/php8.2").args(["-r", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "auth_ok:-1\nend\n", "{output:?}");
    ftp.serve_is_not_asked();
}

impl Client {
    #[track_caller]
    fn check_let_in(&mut self) {
        let answer = self.answer();
        assert!(answer.starts_with("auth_ok:1"), "{answer}");
    }
}

impl Ftp {
    /// The next connection of serve's socket is not there yet.
    fn serve_is_not_asked(&self) {
        let mut waiting = [rustix::event::PollFd::new(&self.serve, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut waiting, Some(&now)).unwrap(), 0);
    }
}
