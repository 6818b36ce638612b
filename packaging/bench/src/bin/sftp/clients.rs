//! The clients, and the files that they send: OpenSSH's `sftp` and rclone, started as a user starts them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::servers::Server;

/// The file of the fast rounds.
pub(crate) const BIG_BYTES: u64 = 1 << 30;
/// The file of the rounds over a long way.
pub(crate) const FAR_BYTES: u64 = 64 << 20;

/// What a client has: its key and its files, in memory.
pub(crate) struct Local {
    directory: TempDir,
}

impl Local {
    /// Makes a key and the files.
    pub(crate) fn make() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("latchkey-bench-").tempdir_in("/dev/shm")?;
        let local = Self { directory };
        local.make_key(&local.path("key"))?;
        for (name, bytes) in [("big", BIG_BYTES), ("far", FAR_BYTES)] {
            fill(&local.path(name), bytes)?;
        }
        Ok(local)
    }

    /// A path of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The public half of the key, a line.
    pub(crate) fn public_key(&self) -> Result<String> {
        let line = std::fs::read_to_string(self.path("key.pub")).context("read the public key")?;
        Ok(line.trim_end().to_owned())
    }

    /// Makes an Ed25519 key.
    pub(crate) fn make_key(&self, path: &Path) -> Result<()> {
        let made = Command::new("/usr/bin/ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"])
            .arg(path)
            .status()
            .context("start ssh-keygen")?;
        ensure!(made.success(), "ssh-keygen ended with {made}");
        Ok(())
    }

    /// `sftp` on a connection to `address`, which reads `commands`.
    pub(crate) fn sftp(
        &self,
        server: &Server,
        address: SocketAddr,
        cipher: &str,
        more: &[&str],
        commands: &str,
    ) -> Result<Child> {
        let mut child = Command::new("/usr/bin/sftp")
            .args([
                "-q",
                "-F",
                "none",
                "-b",
                "-",
                "-P",
                &address.port().to_string(),
                "-o",
                &format!("Ciphers={cipher}"),
            ])
            .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-i"])
            .arg(self.path("key"))
            .args(more)
            .arg(format!("{}@{}", server.login, address.ip()))
            .env("HOME", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("start sftp")?;
        let mut input = child.stdin.take().context("sftp has no input")?;
        input.write_all(commands.as_bytes()).context("tell sftp what to do")?;
        Ok(child)
    }

    /// Runs `sftp` to its end: how long it took, in seconds.
    pub(crate) fn timed_sftp(&self, server: &Server, cipher: &str, commands: &str) -> Result<f64> {
        let begin = Instant::now();
        ended_well(self.sftp(server, server.address, cipher, &[], commands)?)?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Runs `rclone copy` with 8 transfers: how long it took, in seconds. `REMOTE:` stands for the server.
    pub(crate) fn timed_rclone(&self, server: &Server, from: &str, to: &str) -> Result<f64> {
        let remote = format!(
            ":sftp,host={},port={},user={},key_file={},shell_type=none,disable_hashcheck=true:",
            server.address.ip(),
            server.address.port(),
            server.login,
            self.path("key").display(),
        );
        let begin = Instant::now();
        let child = Command::new("/usr/bin/rclone")
            .args(["--config", "/dev/null", "copy", "--transfers", "8"])
            .args([from.replace("REMOTE:", &remote), to.replace("REMOTE:", &remote)])
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .spawn()
            .context("start rclone")?;
        ended_well(child)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// Waits for a client, which has to succeed.
pub(crate) fn ended_well(mut client: Child) -> Result<()> {
    let ended = client.wait().context("wait for a client")?;
    ensure!(ended.success(), "a client ended with {ended}");
    Ok(())
}

/// A file that no file system makes small.
fn fill(path: &Path, bytes: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).context("create a file")?);
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..bytes / 8 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_le_bytes())?;
    }
    file.flush().context("write a file")
}
