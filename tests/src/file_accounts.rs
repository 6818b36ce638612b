//! People with a file account and a computer of their own: OpenSSH, curl and lftp sign in with their key or password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::json;
use tempfile::TempDir;
use xtask::node::Node;
use xtask::process::Program;

use crate::shares::Share;

/// No client runs longer, whatever becomes of its server.
const LONGEST_S: &str = "120";

/// What to sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// The key.
    Key,
    /// The password.
    Password,
}

/// A login, and a computer with what belongs to it.
pub struct Account<'n> {
    node: &'n Node,
    /// What to sign in as.
    pub login: String,
    /// The password.
    pub password: String,
    folder: TempDir,
}

/// What became of an attempt to sign in, and the address it was made from.
#[derive(Debug)]
pub struct Attempt {
    /// An address of loopback that nobody else uses: who fails has to wait outside, and others need not.
    pub address: String,
    /// What the client printed, or complained of.
    pub told: Result<String, String>,
}

impl<'n> Account<'n> {
    /// A computer for a login that may not be there yet.
    #[must_use]
    #[track_caller]
    pub fn named(node: &'n Node, login: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let account = Self { node, login: login.to_owned(), password: String::new(), folder };
        account.make_key();
        let agent = node.agent().unwrap();
        let (host, port) = (agent.urls().sftp.ip(), agent.urls().sftp.port());
        let known = format!("[{host}]:{port} {}\n", agent.sftp_host_key().unwrap());
        fs::write(account.local("known_hosts"), known).unwrap();
        account
    }

    /// The account of a share, with its key and a password made.
    #[must_use]
    #[track_caller]
    pub fn of(node: &'n Node, share: &Share<'_>) -> Self {
        let login = share.shown()["file_account"]["login"].as_str().unwrap().to_owned();
        let mut account = Self::named(node, &login);
        account.register_key(share);
        account.password = new_password(share);
        account
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self }
    }

    /// Has the share's account take the key of this computer, and no other.
    #[track_caller]
    pub fn register_key(&self, share: &Share<'_>) -> serde_json::Value {
        let keys = json!({ "keys": [self.public_key()] });
        share.person().put(&format!("{}/keys", share.path()), &keys).done()["ended"].clone()
    }

    /// A new key in place of the old one; the account does not know it yet.
    #[track_caller]
    pub fn make_key(&self) {
        drop(fs::remove_file(self.local("key")));
        let keygen = Program::new("/usr/bin/ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]);
        keygen.arg(self.local("key")).text().unwrap();
    }

    /// The public half of the key.
    #[must_use]
    #[track_caller]
    pub fn public_key(&self) -> String {
        fs::read_to_string(self.local("key.pub")).unwrap().trim_end().to_owned()
    }

    /// A file of the computer.
    #[must_use]
    pub fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a file of the computer that is all zeros and takes no room; its path.
    #[must_use]
    #[track_caller]
    pub fn large(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.local(name);
        fs::File::create(&path).unwrap().set_len(bytes).unwrap();
        path
    }

    /// Runs commands of OpenSSH's `sftp`, signed in with the key, at full speed. Blocks.
    ///
    /// # Errors
    /// When it is not let in or a command fails; what it says.
    pub fn sftp(&self, commands: &str) -> Result<String, String> {
        told(&self.sftp_with(With::Key, &[], commands))
    }

    /// The same, not started yet, with arguments of `sftp`.
    #[must_use]
    pub fn sftp_with(&self, with: With, arguments: &[&str], commands: &str) -> Program {
        let program = self.openssh("/usr/bin/sftp", with).args(["-b", "-"]).args(arguments.iter().copied());
        program.arg(self.at_node()).input(commands)
    }

    /// OpenSSH's `ssh` with nothing but the SFTP subsystem at the other end.
    pub(crate) fn subsystem(&self) -> Program {
        self.openssh("/usr/bin/ssh", With::Key).arg("-s").arg(self.at_node()).arg("sftp")
    }

    /// Tries to sign in by SFTP from an address of its own.
    #[must_use]
    #[track_caller]
    pub fn tries_sftp(&self, with: With) -> Attempt {
        let address = own_address();
        let from = format!("-oBindAddress={address}");
        Attempt { told: told(&self.sftp_with(with, &[&from], "pwd\n")), address }
    }

    /// Tries to sign in by FTP from an address of its own.
    #[must_use]
    #[track_caller]
    pub fn tries_ftp(&self) -> Attempt {
        let address = own_address();
        Attempt { told: told(&self.curl("").args(["--interface", &address])), address }
    }

    /// curl by FTP over TLS at a path of the account, with its password; not started yet.
    #[must_use]
    pub fn curl(&self, path: &str) -> Program {
        self.curl_in_the_clear(path).args(["--ssl-reqd"])
    }

    /// The same without a word of TLS.
    #[must_use]
    pub fn curl_in_the_clear(&self, path: &str) -> Program {
        let agent = self.node.agent().unwrap();
        Program::new("/usr/bin/curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", LONGEST_S, "--config", "-"])
            .arg("--cacert")
            .arg(agent.ca())
            .arg(format!("ftp://{}/{path}", agent.urls().ftp))
            .input(format!("user = \"{}:{}\"\n", self.login, self.password))
    }

    /// Runs commands of `lftp` by FTP over TLS, with its password, in the computer's folder. Blocks.
    ///
    /// # Errors
    /// When one fails; what it says.
    pub fn lftp(&self, commands: &str) -> Result<String, String> {
        let agent = self.node.agent().unwrap();
        let script = format!(
            "set cmd:fail-exit yes; set net:max-retries 1; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; \
             set ssl:ca-file {}; open -u {},{} ftp://{}; {commands}",
            agent.ca().display(),
            self.login,
            self.password,
            agent.urls().ftp,
        );
        fs::write(self.local("script.lftp"), script).unwrap();
        let lftp = Program::new("/usr/bin/timeout").args([LONGEST_S, "lftp", "--norc", "-f", "script.lftp"]);
        told(&lftp.env("HOME", self.folder.path()).directory(self.folder.path()))
    }

    fn at_node(&self) -> String {
        format!("{}@{}", self.login, self.node.agent().unwrap().urls().sftp.ip())
    }

    fn openssh(&self, program: &str, with: With) -> Program {
        let known = format!("UserKnownHostsFile={}", self.local("known_hosts").display());
        let key = format!("IdentityFile={}", self.local("key").display());
        let port = format!("Port={}", self.node.agent().unwrap().urls().sftp.port());
        let methods = match with {
            With::Key => "PreferredAuthentications=publickey",
            With::Password => "PreferredAuthentications=password",
        };
        let options =
            [&known, &key, &port, methods, "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "LogLevel=ERROR"];
        let program = Program::new("/usr/bin/timeout").args([LONGEST_S, program, "-F", "/dev/null"]);
        let program = options.iter().fold(program, |program, option| program.arg("-o").arg(*option));
        // The first word about it counts, and `sftp -b` says that there is nobody to ask.
        let program = program.args(["-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1"]);
        let program = program.env("SSH_ASKPASS", self.ask_pass()).env("SSH_ASKPASS_REQUIRE", "force");
        program.env("LATCHKEY_TEST_PASSWORD", &self.password).directory(self.folder.path())
    }

    /// A program that OpenSSH asks for the password.
    fn ask_pass(&self) -> PathBuf {
        let path = self.local("ask-pass");
        if !path.exists() {
            fs::write(&path, "#!/bin/sh\nprintf '%s\\n' \"$LATCHKEY_TEST_PASSWORD\"\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        path
    }
}

/// A new password for the account of a share.
#[must_use]
#[track_caller]
pub fn new_password(share: &Share<'_>) -> String {
    let made = share.person().post(&format!("{}/password", share.path()), &json!({})).done();
    made["password"].as_str().unwrap().to_owned()
}

impl Attempt {
    /// It worked; what the client printed.
    #[track_caller]
    pub fn is_in(&self) -> &str {
        self.told.as_ref().unwrap_or_else(|error| panic!("expected to be let in: {error}"))
    }

    /// It was refused, by the server and not by chance.
    #[track_caller]
    pub fn is_refused(&self) {
        let error = self.told.as_ref().expect_err("expected a refusal");
        // OpenSSH says the one, curl the other.
        assert!(error.contains("Permission denied") || error.contains("Access denied"), "{error}");
    }
}

/// A client that runs beside the test.
pub struct Transfer(JoinHandle<Result<String, String>>);

impl Transfer {
    /// Starts it.
    #[must_use]
    pub fn begin(program: Program) -> Self {
        Self(thread::spawn(move || told(&program)))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed; what it said.
    #[track_caller]
    pub fn end(self) -> Result<String, String> {
        self.0.join().unwrap()
    }
}

/// Runs a client to its end.
///
/// # Errors
/// When it fails; what it said.
pub fn told(program: &Program) -> Result<String, String> {
    program.text().map_err(|error| format!("{error:#}"))
}

fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("127.77.{high}.{low}")
}

/// A file as text for commands of clients.
#[must_use]
pub fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
