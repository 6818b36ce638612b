//! `latchkey serve` on a state directory of its own, beside the node: its certificates are borrowed, its broker is not
//! there (nothing measured here needs one).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use latchkey_bench::node::Node;
use tempfile::TempDir;

/// How long serve may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that serve is started with.
pub(crate) struct Agent {
    directory: TempDir,
    program: PathBuf,
}

/// A running serve. Dropping it kills it and waits for its end.
pub(crate) struct Running {
    child: Child,
    /// From exec to `READY=1`.
    pub(crate) took: Duration,
}

impl Agent {
    /// Writes the configuration into a new directory.
    pub(crate) fn prepare(node: &Node) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("latchkey-bench-").tempdir().context("make a directory")?;
        let program = std::env::current_exe().context("find our own program")?.with_file_name("latchkey");
        let agent = Self { directory, program };
        for name in ["state", "mail"] {
            std::fs::create_dir(agent.path(name)).with_context(|| format!("create {name}"))?;
        }
        let (certificate, key) = node.server_certificate();
        let ports = [free_port()?, free_port()?];
        std::fs::write(agent.path("latchkey.toml"), agent.configuration(ports, &certificate, &key, &node.panel.ca))
            .context("write the configuration")?;
        Ok(agent)
    }

    fn configuration(&self, [panel, gateway]: [u16; 2], certificate: &Path, key: &Path, ca: &Path) -> String {
        let identity = format!("certificate = {certificate:?}\nkey = {key:?}");
        format!(
            "state_dir = {state:?}\n[broker]\nsocket = {broker:?}\n[panel]\nlisten = \"127.0.0.1:{panel}\"\n{identity}\n\
             client_ca = {ca:?}\n[[panel.peers]]\nuri = \"urn:latchkey:panel:bench\"\nscopes = [\"panel\"]\n\
             [gateway]\nlisten = \"127.0.0.1:{gateway}\"\nurl = \"https://127.0.0.1:{gateway}\"\n{identity}\n\
             [cli]\nsocket = {cli:?}\n[redeemer]\nsocket = {redeem:?}\n\
             [mail]\nfrom = \"Latchkey <latchkey@node.example>\"\ndirectory = {mail:?}\n",
            state = self.path("state"),
            broker = self.path("broker.sock"),
            cli = self.cli_socket(),
            redeem = self.path("redeem.sock"),
            mail = self.path("mail"),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The database of the state.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("state").join("latchkey.db")
    }

    /// Where the command line is served.
    pub(crate) fn cli_socket(&self) -> PathBuf {
        self.path("cli.sock")
    }

    /// Starts serve and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Running> {
        let notify = self.path("notify.sock");
        // An error means that there is none.
        let _ = std::fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).context("bind the notify socket")?;
        socket.set_read_timeout(Some(PATIENCE)).context("set a deadline")?;
        let start = Instant::now();
        let child = Command::new(&self.program)
            .args(["serve", "--config"])
            .arg(self.path("latchkey.toml"))
            .env("NOTIFY_SOCKET", &notify)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.path("log")).context("create the log")?)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let mut running = Running { child, took: Duration::ZERO };
        let heard = socket.recv(&mut [0_u8; 64]);
        running.took = start.elapsed();
        let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
        heard.with_context(|| format!("wait until serve is ready; its log: {}", log()))?;
        Ok(running)
    }
}

impl Running {
    /// Lets serve do what it does by itself after its start.
    pub(crate) fn settle(&self) {
        std::thread::sleep(Duration::from_secs(2));
    }

    /// A figure of `/proc/<pid>/status`.
    pub(crate) fn memory_mib(&self, name: &str) -> Result<f64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("read serve's status")?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no such figure")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("expected a number of kB")?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
