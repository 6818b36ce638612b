//! A node for one test: a real broker with its own directories, and a hosting's system user and home.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{PermissionsExt as _, chown},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use latchkey_protocol::{
    Asked, FrameSocket, HostingRegistration, PhpCall, PhpEnd, Purpose, RefusalCode, Reply, Request,
};
use rustix::process::{Pid, Signal};

use crate::system_user::{SystemUser, until};

/// The node. Field order is drop order.
pub(crate) struct Node {
    broker: Option<Child>,
    pub(crate) user: SystemUser,
    pub(crate) serve: SystemUser,
    pub(crate) dir: tempfile::TempDir,
}

impl Node {
    pub(crate) fn start() -> Node {
        Node::start_with("")
    }

    /// Starts a node with more lines of configuration.
    pub(crate) fn start_with(config: &str) -> Node {
        let mut node = Node::prepare(config);
        node.run_broker();
        node
    }

    /// A node whose broker does not run yet.
    pub(crate) fn prepare(config: &str) -> Node {
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let node = Node { broker: None, user: SystemUser::new(), serve: SystemUser::new(), dir };
        fs::create_dir(node.path("homes")).unwrap();
        node.make_home("h", &node.user);
        fs::write(node.path("bridge.php"), "<?php fwrite(fopen('php://fd/3', 'w'), stream_get_contents(STDIN));")
            .unwrap();
        let text = format!(
            "socket = \"{0}/s\"\nstate_dir = \"{0}/state\"\nserve_user = \"{1}\"\nmin_uid = 1000\nhome_roots = [\"{0}/homes\"]\n\
             php_worker = \"{2}/latchkey-php\"\nfiles_worker = \"{2}/latchkey-files\"\nbridge = \"{0}/bridge.php\"\nphp_binaries = [\"/usr/bin/php8.2\", \"{0}/php\"]\n{config}\n",
            node.dir.path().display(),
            node.serve.name,
            workers().display(),
        );
        fs::write(node.path("broker.toml"), text).unwrap();
        node
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A home of that name that belongs to the user, with a docroot in it.
    pub(crate) fn make_home(&self, name: &str, owner: &SystemUser) -> String {
        let home = self.path("homes").join(name);
        for path in [home.clone(), home.join("public")] {
            fs::create_dir(&path).unwrap();
            chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
        }
        home.to_str().unwrap().to_owned()
    }

    /// Puts a program in place of PHP that the broker's configuration lists.
    pub(crate) fn replace_php(&self, script: &str) {
        fs::write(self.path("php"), script).unwrap();
        fs::set_permissions(self.path("php"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn broker_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-broker"));
        command.arg("--config").arg(self.path("broker.toml"));
        command
    }

    pub(crate) fn run_broker(&mut self) {
        self.broker = Some(self.broker_command().stderr(self.log()).spawn().unwrap());
        until("the broker listens", || FrameSocket::connect(&self.path("s")).is_ok());
    }

    fn log(&self) -> Stdio {
        fs::File::options().create(true).append(true).open(self.path("log")).unwrap().into()
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Ends the broker by a signal and returns its exit code, if it has one.
    pub(crate) fn stop_broker(&mut self, signal: Signal) -> Option<i32> {
        let mut broker = self.broker.take().unwrap();
        rustix::process::kill_process(Pid::from_raw(i32::try_from(broker.id()).unwrap()).unwrap(), signal).unwrap();
        broker.wait().unwrap().code()
    }

    pub(crate) fn broker_pid(&self) -> Pid {
        Pid::from_raw(self.broker.as_ref().unwrap().id().cast_signed()).unwrap()
    }

    pub(crate) fn connect(&self) -> FrameSocket {
        FrameSocket::connect(&self.path("s")).unwrap()
    }

    pub(crate) fn ask(&self, request: &Request) -> Reply {
        let socket = self.connect();
        socket.send(&Asked::from(request.clone()), &[]).unwrap();
        socket.receive::<Reply>().unwrap().0
    }

    pub(crate) fn registration(&self) -> HostingRegistration {
        HostingRegistration {
            hosting: "h1".into(),
            system_user: self.user.name.clone(),
            home: self.path("homes/h").to_str().unwrap().into(),
            php_binary: "/usr/bin/php8.2".into(),
            php_ini: None,
        }
    }

    pub(crate) fn register(&self) {
        self.register_with(&self.registration());
    }

    #[track_caller]
    pub(crate) fn register_with(&self, registration: &HostingRegistration) {
        let reply = self.ask(&Request::RegisterHosting(registration.clone()));
        assert!(matches!(&reply, Reply::Hostings { items } if items.len() == 1), "{reply:?}");
    }

    /// Starts a call and returns the connection it hangs on.
    pub(crate) fn start_php(&self, deadline_ms: u32, request: &str) -> RunningCall {
        self.start_php_in("public", deadline_ms, request)
    }

    pub(crate) fn start_php_in(&self, docroot: &str, deadline_ms: u32, request: &str) -> RunningCall {
        let purpose = Purpose::Ordinary;
        self.start_call(PhpCall { hosting: "h1".into(), docroot: docroot.into(), deadline_ms, purpose }, request)
    }

    pub(crate) fn start_call(&self, call: PhpCall, request: &str) -> RunningCall {
        let (request_out, mut request_in) = std::io::pipe().unwrap();
        let (reply_out, reply_in) = std::io::pipe().unwrap();
        let (log_out, log_in) = std::io::pipe().unwrap();
        let socket = self.connect();
        socket
            .send(&Asked::from(Request::StartPhp(call)), &[request_out.as_fd(), reply_in.as_fd(), log_in.as_fd()])
            .unwrap();
        request_in.write_all(request.as_bytes()).unwrap();
        RunningCall { socket, reply: reply_out, log: log_out }
    }
}

/// A call that has been asked for.
pub(crate) struct RunningCall {
    pub(crate) socket: FrameSocket,
    reply: std::io::PipeReader,
    log: std::io::PipeReader,
}

impl RunningCall {
    /// Waits for the broker's answer.
    pub(crate) fn answer(&self) -> Reply {
        self.socket.receive::<Reply>().unwrap().0
    }

    /// The answer, which has to be an end, and what was written as reply and log.
    #[track_caller]
    pub(crate) fn end(mut self) -> (PhpEnd, String, String) {
        let answer = self.answer();
        let Reply::PhpEnded { end } = answer else { panic!("{answer:?}: {}", self.read_log()) };
        let mut reply = String::new();
        self.reply.read_to_string(&mut reply).unwrap();
        (end, reply, self.read_log())
    }

    pub(crate) fn read_log(&mut self) -> String {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.broker.is_some() {
            self.stop_broker(Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", self.log_text());
        }
    }
}

#[track_caller]
pub(crate) fn check_refused(reply: &Reply, code: RefusalCode, field: Option<&str>) {
    match reply {
        Reply::Refused { code: c, field: f, message } => {
            assert_eq!((*c, f.as_deref()), (code, field), "{message}");
            assert!(!message.is_empty());
        }
        other => panic!("expected a refusal about {field:?}, got {other:?}"),
    }
}

/// The workers lie beside the broker; built here, because cargo builds only the own package's programs for a test.
fn workers() -> &'static Path {
    static WORKERS: OnceLock<PathBuf> = OnceLock::new();
    WORKERS.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_latchkey-broker")).parent().unwrap();
        let target = built.parent().unwrap();
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package=latchkey-php", "--package=latchkey-files", "--target-dir"])
            .arg(target)
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{cargo:?}");
        target.join("debug")
    })
}
