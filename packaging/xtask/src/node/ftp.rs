//! pure-ftpd with the configuration that is shipped, and `latchkey-ftpauth`, which answers it.
//!
//! Debian's package is unpacked, not installed: FTP servers exclude each other, and the machine may have one.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::agent::Paths;
use super::ground::Ground;
use super::pki::Certificate;
use super::ports::Ports;
use super::readiness::Readiness;
use super::release;
use super::supervise::Daemon;
use crate::build::workspace;
use crate::process::Program;

/// How many ports the node's FTP server has for transfers.
const PASSIVE_PORTS: u16 = 256;

/// Gives pure-ftpd a `/dev` of its own in which `log` is the socket of `latchkey-ftpauth`, as its unit does: `$1` is where
/// to make it, `$2` the socket, the rest the program. What is bound for sessions later it sees all the same.
const VIEW: &str = "\
    dev=$1/dev; log=$2; shift 2
    mount -t tmpfs -o mode=755 tmpfs \"$dev\"
    for name in null zero random urandom; do touch \"$dev/$name\"; mount --bind \"/dev/$name\" \"$dev/$name\"; done
    mkdir \"$dev/shm\"; mount --rbind /dev/shm \"$dev/shm\"
    ln -s \"$log\" \"$dev/log\"
    mount --move \"$dev\" /dev
    exec \"$@\"";

/// Both daemons, running.
pub(crate) struct Ftp {
    pub(crate) auth: Arc<Daemon>,
    pub(crate) server: Arc<Daemon>,
}

impl Ftp {
    /// Starts both and waits until they serve. serve has to answer already. Blocks, for some seconds where the package
    /// has to be downloaded first.
    pub(crate) fn start(
        ground: &Arc<Ground>,
        paths: &Paths,
        address: SocketAddr,
        certificate: &Certificate,
        ports: &Ports,
    ) -> Result<Self> {
        let program = server_program()?;
        let home = ground.root().directory("ftp", 0o700)?;
        ground.root().directory("ftp/dev", 0o755)?;
        let configuration = home.join("pure-ftpd.conf");
        fs::write(&configuration, configure(&home, paths, address, ports)?).context("write pure-ftpd.conf")?;
        write_certificate_with_key(&paths.ftp_certificate, certificate)?;
        let auth = Program::new(paths.programs.join("latchkey-ftpauth")).arg("--config").arg(&paths.broker_config);
        let notify = ground.path().join("run/ftpauth-notify.sock");
        let readiness = Readiness::notified_at(&notify)?;
        let auth = ground.launch("ftpauth", auth.env("NOTIFY_SOCKET", notify).directory(ground.path()), readiness)?;
        auth.wait_ready()?;
        let view = ["--mount", "--propagation", "slave", "/bin/sh", "-euc", VIEW, "view"];
        let server = Program::new("/usr/bin/unshare").args(view).arg(&home).arg(&paths.ftp_log).arg(program);
        let server = server.arg(&configuration).directory(&home);
        let server = ground.launch("pure-ftpd", server, Readiness::GreetsAt(address))?;
        server.wait_ready()?;
        Ok(Self { auth, server })
    }
}

/// The program pure-ftpd, which is downloaded once.
///
/// # Errors
/// When it cannot be.
pub fn server_program() -> Result<PathBuf> {
    Ok(release::unpacked("pure-ftpd", "bookworm", &["pure-ftpd"])?.join("usr/sbin/pure-ftpd"))
}

/// The shipped configuration, with what is different on this node.
fn configure(home: &Path, paths: &Paths, address: SocketAddr, ports: &Ports) -> Result<String> {
    let shipped = workspace().join("packaging/pure-ftpd/pure-ftpd.conf");
    let mut text = fs::read_to_string(&shipped).with_context(|| format!("read {}", shipped.display()))?;
    let first = ports.take_row(PASSIVE_PORTS)?;
    for (key, value) in [
        ("Bind", format!("{},{}", address.ip(), address.port())),
        ("PassivePortRange", format!("{first} {}", first + PASSIVE_PORTS - 1)),
        ("CertFile", paths.ftp_certificate.display().to_string()),
        ("ExtAuth", paths.ftp_ask_socket.display().to_string()),
        ("PIDFile", home.join("pure-ftpd.pid").display().to_string()),
        // Everybody is at one address here.
        ("MaxClientsPerIP", "200".to_owned()),
    ] {
        text = with_setting(&text, key, &value)?;
    }
    Ok(text)
}

/// The text with another value for a key that it has once.
fn with_setting(text: &str, key: &str, value: &str) -> Result<String> {
    let is_it = |line: &&str| line.split_ascii_whitespace().next() == Some(key);
    ensure!(text.lines().filter(is_it).count() == 1, "pure-ftpd.conf has to have {key} once");
    let line = |line: &str| if is_it(&line) { format!("{key} {value}\n") } else { format!("{line}\n") };
    Ok(text.lines().map(line).collect())
}

/// Writes certificate and key into one file, as pure-ftpd wants them, which is root's alone.
fn write_certificate_with_key(path: &Path, certificate: &Certificate) -> Result<()> {
    let mut both = fs::read_to_string(&certificate.key).context("read the key of the FTP server")?;
    both += &fs::read_to_string(&certificate.certificate).context("read the certificate of the FTP server")?;
    fs::write(path, both).context("write the certificate and key of the FTP server")?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).context("set the mode of the FTP server's key")
}
