//! A server with some accounts on a folder, for one test, and the real clients that try it.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod raw;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchkey_files::client::Client;
use latchkey_files::tree::Tree;
use latchkey_files::worker::in_this_process;
use latchkey_protocol::SitePath;
use latchkey_sftp::{
    Access, Entrance, FileEvent, Gatekeeper, HostKey, Limits, Peer, PublicKey, Quota, Refused, Server, SessionHandle,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The account that may do everything.
pub(crate) const WRITER: &str = "writer";
/// The account that may have [`QUOTA_BYTES`] in the folder.
pub(crate) const LIMITED: &str = "limited";
pub(crate) const QUOTA_BYTES: usize = 1 << 20;
/// The account that may only read.
pub(crate) const READER: &str = "reader";
pub(crate) const PASSWORD: &str = "correct-horse";

/// A server, and what its gatekeeper saw.
pub(crate) struct Node {
    pub(crate) runtime: Runtime,
    pub(crate) address: SocketAddr,
    pub(crate) gatekeeper: Arc<Accounts>,
    pub(crate) fingerprint: String,
    folder: TempDir,
}

/// Knows the accounts.
pub(crate) struct Accounts {
    client: Client,
    quota: Arc<Quota>,
    pub(crate) key: PublicKey,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) events: Vec<FileEvent>,
    pub(crate) sessions: Vec<SessionHandle>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) refuses: bool,
    pub(crate) left: usize,
}

/// Counts when it is dropped.
pub(crate) struct Entry(Arc<Mutex<Seen>>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.lock().unwrap().left += 1;
    }
}

impl Gatekeeper for Accounts {
    type SignedIn = String;
    type Entry = Entry;

    async fn knows_key(&self, login: &str, key: &PublicKey, _: &Peer) -> bool {
        access(login).is_some() && key.key_data() == self.key.key_data()
    }

    async fn by_key(&self, login: &str, key: &PublicKey, peer: &Peer) -> Option<String> {
        self.seen.lock().unwrap().peers.push(peer.clone());
        access(login).filter(|_| key.key_data() == self.key.key_data()).map(|_| login.to_owned())
    }

    async fn by_password(&self, login: &str, password: &str, _: &Peer) -> Option<String> {
        access(login).filter(|_| password == PASSWORD).map(|_| login.to_owned())
    }

    async fn enter(&self, login: String, session: SessionHandle) -> Result<Entrance<Entry>, Refused> {
        let mut seen = self.seen.lock().unwrap();
        if seen.refuses {
            return Err(Refused { reason: "this account has ended" });
        }
        let access = access(&login).ok_or(Refused { reason: "there is no such account" })?;
        let quota = (login == LIMITED).then(|| Arc::clone(&self.quota));
        seen.sessions.push(session);
        let tree = Tree::new(self.client.clone(), SitePath::parse(b"site").unwrap());
        Ok(Entrance { tree, access, quota, entry: Entry(Arc::clone(&self.seen)) })
    }

    fn noted(&self, _: &Entry, event: FileEvent) {
        self.seen.lock().unwrap().events.push(event);
    }
}

fn access(login: &str) -> Option<Access> {
    match login {
        WRITER | LIMITED => Some(Access::ReadWrite),
        READER => Some(Access::ReadOnly),
        _ => None,
    }
}

/// Limits under which no test has to wait.
pub(crate) fn patient() -> Limits {
    let short = Duration::from_millis(20);
    Limits { penalty: Duration::ZERO, rejection_time: short, refused_key_time: short, ..Limits::default() }
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::with(patient())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("home/site")).unwrap();
        fs::create_dir_all(folder.path().join("local")).unwrap();
        let key = HostKey::generate().unwrap();
        let user_key = HostKey::generate().unwrap();
        let key_file = folder.path().join("key");
        fs::write(&key_file, user_key.to_secret_text().unwrap()).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
        let (address, gatekeeper) = runtime.block_on(async {
            let client = in_this_process(&folder.path().join("home")).unwrap();
            let quota = Arc::new(Quota::of_mib(NonZeroU32::MIN));
            let key_of_user = PublicKey::from_openssh(&user_key.public_line()).unwrap();
            let gatekeeper = Arc::new(Accounts { client, quota, key: key_of_user, seen: Arc::default() });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = Server::new(Arc::clone(&gatekeeper), &key, limits);
            tokio::spawn(async move { server.serve(listener).await });
            (address, gatekeeper)
        });
        let known = format!("[127.0.0.1]:{} {}\n", address.port(), key.public_line());
        fs::write(folder.path().join("known_hosts"), known).unwrap();
        Self { runtime, address, gatekeeper, fingerprint: key.fingerprint(), folder }
    }

    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// A path of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of what the accounts see.
    pub(crate) fn site(&self, name: &str) -> PathBuf {
        self.path("home/site").join(name)
    }

    /// Of the client's side.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.path("local").join(name)
    }

    pub(crate) fn events(&self) -> Vec<FileEvent> {
        self.gatekeeper.seen.lock().unwrap().events.clone()
    }

    /// The options by which OpenSSH's programs find their way.
    pub(crate) fn openssh_options(&self) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        let identity = format!("IdentityFile={}", self.path("key").display());
        let port = format!("Port={}", self.port());
        let options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none"];
        let mut all = vec!["-F".to_owned(), "none".to_owned()];
        for option in options.map(str::to_owned).into_iter().chain([known, identity, port]) {
            all.extend(["-o".to_owned(), option]);
        }
        all
    }

    /// OpenSSH's `sftp` with a batch of commands, run in the client's folder.
    pub(crate) fn sftp(&self, login: &str, arguments: &[&str], batch: &str) -> Output {
        let file = self.path("batch");
        fs::write(&file, batch).unwrap();
        let mut command = self.command("sftp");
        command.args(self.openssh_options()).args(arguments).arg("-b").arg(file);
        run(command.arg(format!("{login}@127.0.0.1")))
    }

    /// A program in the client's folder, with next to nothing in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("local")).env("LC_ALL", "C.UTF-8");
        command.current_dir(self.path("local"));
        command
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}

/// What a program said, when it succeeded.
#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// What a program complained of, when it failed.
#[track_caller]
pub(crate) fn complaint(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "it did not fail\n{out}\n{err}");
    format!("{out}{err}")
}

/// Waits for a condition, up to a deadline.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Everything beneath a folder: path, mode, time of last change, and content or target.
pub(crate) fn inventory(folder: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    let mut to_do = vec![folder.to_owned()];
    while let Some(folder_now) = to_do.pop() {
        for entry in fs::read_dir(folder_now).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                to_do.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let modified = if metadata.is_file() { metadata.mtime() } else { 0 };
            found.push((path.strip_prefix(folder).unwrap().to_owned(), metadata.mode(), modified, content));
        }
    }
    found.sort();
    found
}
