//! The servers of SFTP, each with a directory of its own on one file system; and what any server is here.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use latchkey_bench::node::{Api, Node};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{BIG_BYTES, FAR_BYTES, Local};
use crate::processes::{self, Running};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours.
    Latchkey,
    /// `sshd` with `internal-sftp`.
    OpenSsh,
    /// `rclone serve sftp`, which is Go's SSH as SFTPGo and Wings have it.
    Rclone,
    /// FTP over TLS.
    Vsftpd,
}

/// One server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) login: String,
    /// The directory on disk, and what clients call it.
    pub(crate) directory: PathBuf,
    pub(crate) remote: String,
    /// What it says, if it is not ours.
    pub(crate) log: Option<PathBuf>,
    /// Whose processor time is counted, with all their children.
    pub(crate) pids: Vec<u32>,
}

/// All of them. Dropping it ends those that are not ours.
pub(crate) struct Servers {
    pub(crate) ours: Server,
    pub(crate) openssh: Server,
    pub(crate) rclone: Server,
    _running: [Running; 2],
    _beside: TempDir,
}

impl Servers {
    /// Starts OpenSSH and rclone, and makes an account at ours.
    pub(crate) async fn start(node: &Node, api: &Api, local: &Local) -> Result<Self> {
        let docroot = &node.live()?.docroot;
        let beside = beside(node)?;
        let (_, login) = account(node, api, "transfers@example.org", local).await?;
        let ours = Server {
            kind: Kind::Latchkey,
            address: node.sftp.address(),
            login,
            directory: docroot.join("bench"),
            remote: "/bench".into(),
            log: None,
            pids: vec![node.pids.serve, node.pids.broker],
        };
        let (openssh, sshd) = openssh(beside.path(), local)?;
        let (rclone, serving) = rclone(beside.path(), local)?;
        let owner = owner_of(node)?;
        for server in [&ours, &openssh, &rclone] {
            server.furnish(local, owner)?;
        }
        Ok(Self { ours, openssh, rclone, _running: [sshd, serving], _beside: beside })
    }

    /// All of them, in another order each time.
    pub(crate) fn shuffled(&self) -> Result<[&Server; 3]> {
        let mut all = [&self.ours, &self.openssh, &self.rclone];
        let random = getrandom::u32().context("ask the kernel for a random number")?;
        all.rotate_left((random % 3) as usize);
        if random & 4 == 0 {
            all.swap(1, 2);
        }
        Ok(all)
    }
}

impl Server {
    /// What it is called in the table.
    pub(crate) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Latchkey => "latchkey",
            Kind::OpenSsh => "OpenSSH",
            Kind::Rclone => "rclone",
            Kind::Vsftpd => "vsftpd",
        }
    }

    /// Processor time so far, in seconds, when what ended is counted.
    pub(crate) fn processor_s(&self) -> Result<f64> {
        let end = Instant::now() + PATIENCE;
        // Children count when they have ended.
        while self.kind != Kind::Latchkey && self.has_children()? && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        processes::processor_s(&self.pids)
    }

    /// The end of its log, for whoever has to find out what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }

    fn has_children(&self) -> Result<bool> {
        let counts: Result<Vec<_>> = self.pids.iter().map(|pid| processes::children(*pid)).collect();
        Ok(counts?.iter().sum::<usize>() > 0)
    }

    /// Lays out the files that are fetched.
    pub(crate) fn furnish(&self, local: &Local, owner: (u32, u32)) -> Result<()> {
        std::fs::create_dir_all(&self.directory).context("make a directory for files")?;
        for (name, bytes) in [("big", BIG_BYTES), ("far", FAR_BYTES)] {
            let path = self.directory.join(name);
            std::fs::copy(local.path(name), &path).with_context(|| format!("copy {name}"))?;
            ensure!(std::fs::metadata(&path)?.len() == bytes, "{name} was not copied");
            own(&path, owner)?;
        }
        own(&self.directory, owner)
    }
}

/// A directory on the node's own file system; it is removed on drop.
pub(crate) fn beside(node: &Node) -> Result<TempDir> {
    let root = node.state.parent().context("the state has no parent")?;
    let mut new = tempfile::Builder::new();
    new.prefix("beside-").permissions(std::fs::Permissions::from_mode(0o755));
    new.tempdir_in(root).context("make a directory")
}

/// The user and group of the site.
pub(crate) fn owner_of(node: &Node) -> Result<(u32, u32)> {
    let owner = std::fs::metadata(&node.live()?.docroot).context("look at the site")?;
    Ok((owner.uid(), owner.gid()))
}

pub(crate) fn own(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("give away {}", path.display()))
}

/// A share with files, accepted, with the key: its path and its login.
pub(crate) async fn account(node: &Node, api: &Api, person: &str, local: &Local) -> Result<(String, String)> {
    let id = api.share_with(node, person, json!({"role": "developer"})).await?;
    let path = format!("/v1/instances/{}/shares/{id}", node.live()?.id);
    let reply = api.call(person, "PUT", &format!("{path}/keys"), &json!({"keys": [local.public_key()?]})).await?;
    let login = reply.pointer("/share/file_account/login").and_then(Value::as_str);
    Ok((path, login.with_context(|| format!("the share has no file account: {reply}"))?.to_owned()))
}

/// Debian's, unpacked where `LATCHKEY_OPENSSH` says, in a mount namespace of its own: it insists on a user and a directory
/// that only its package makes.
fn openssh(beside: &Path, local: &Local) -> Result<(Server, Running)> {
    let unpacked = PathBuf::from(std::env::var_os("LATCHKEY_OPENSSH").context("LATCHKEY_OPENSSH names no OpenSSH")?);
    let home = beside.join("sshd");
    std::fs::create_dir(&home).context("make a directory")?;
    let path = |name: &str| home.join(name).display().to_string();
    // The whole directory: the machine's users come and go meanwhile, and a mount on a file ends when that is replaced.
    std::fs::create_dir(home.join("etc")).context("make a directory")?;
    for (name, content) in [
        ("passwd", "root:x:0:0::/root:/bin/sh\nsshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n"),
        ("shadow", "root:*:20000::::::\n"),
        ("group", "root:x:0:\nnogroup:x:65534:\n"),
    ] {
        std::fs::write(home.join("etc").join(name), content).context("write the users")?;
    }
    std::fs::write(home.join("keys"), local.public_key()?)?;
    std::fs::set_permissions(home.join("keys"), std::fs::Permissions::from_mode(0o600))?;
    local.make_key(&home.join("host_key"))?;
    let port = free_port()?;
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\nMaxStartups 200\n\
         Ciphers aes128-gcm@openssh.com,chacha20-poly1305@openssh.com\nSubsystem sftp internal-sftp\n",
        path("host_key"),
        path("keys"),
    );
    std::fs::write(home.join("sshd_config"), configuration)?;
    let script = "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && mount --bind \"$1\" /etc && \
                  exec \"$2\" -D -e -f \"$3\"";
    let child = Command::new("/usr/bin/unshare")
        .args(["--mount", "/bin/sh", "-c", script, "sshd"])
        .args([path("etc"), unpacked.join("usr/sbin/sshd").display().to_string(), path("sshd_config")])
        .env("LD_LIBRARY_PATH", libraries(&unpacked))
        .stderr(File::create(home.join("log"))?)
        .stdin(Stdio::null())
        .spawn()
        .context("start sshd")?;
    let running = Running(child);
    let server = Server {
        kind: Kind::OpenSsh,
        address: (Ipv4Addr::LOCALHOST, port).into(),
        login: "root".into(),
        directory: beside.join("by-sshd"),
        remote: beside.join("by-sshd").display().to_string(),
        log: Some(home.join("log")),
        pids: vec![running.0.id()],
    };
    wait_for(&server)?;
    Ok((server, running))
}

fn rclone(beside: &Path, local: &Local) -> Result<(Server, Running)> {
    let home = beside.join("rclone");
    let directory = beside.join("by-rclone");
    for path in [&home, &directory] {
        std::fs::create_dir(path).context("make a directory")?;
    }
    std::fs::write(home.join("keys"), local.public_key()?)?;
    local.make_key(&home.join("host_key"))?;
    let port = free_port()?;
    let child = Command::new("/usr/bin/rclone")
        .args(["--config", "/dev/null", "serve", "sftp"])
        .arg(&directory)
        .args(["--addr", &format!("127.0.0.1:{port}"), "--user", "bench", "--key"])
        .arg(home.join("host_key"))
        .arg("--authorized-keys")
        .arg(home.join("keys"))
        .env("HOME", &home)
        .stderr(File::create(home.join("log"))?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("start rclone")?;
    let running = Running(child);
    let server = Server {
        kind: Kind::Rclone,
        address: (Ipv4Addr::LOCALHOST, port).into(),
        login: "bench".into(),
        directory,
        remote: String::new(),
        log: Some(home.join("log")),
        pids: vec![running.0.id()],
    };
    wait_for(&server)?;
    Ok((server, running))
}

pub(crate) fn wait_for(server: &Server) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(server.address).is_err() {
        if Instant::now() > end {
            bail!("{} does not serve: {}", server.name(), server.last_words());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(crate) fn libraries(unpacked: &Path) -> String {
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let beneath = |directory: &str| unpacked.join(directory).join(&machine).display().to_string();
    [beneath("usr/lib"), beneath("lib")].join(":")
}

pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
