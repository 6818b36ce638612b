//! FTP over TLS: pure-ftpd as `packaging/pure-ftpd` configures it and `latchkey-ftpauth` lets in, with vsftpd beside it.
//! The client is curl; both servers agree with it on TLS 1.3 and the same cipher.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use latchkey_bench::node::{Api, Node};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{BIG_BYTES, Local, ended_well};
use crate::processes::Running;
use crate::rounds::{Beside, rounds};
use crate::servers::{Kind, Server, account, beside, free_port, libraries, own, owner_of, wait_for};
use crate::transfers::{new_name, remove_sent};

const PERSON: &str = "ftps@example.org";
const FTPS: Beside = Beside { protocol: "ftps", others: &["vsftpd"] };

/// Both servers. Dropping it ends the one that is not ours.
struct Servers {
    ours: Server,
    vsftpd: Server,
    _running: Running,
    _beside: TempDir,
}

/// One file at a time, cached, in both directions.
pub(crate) async fn measure(node: &Node, api: &Api, local: &Local) -> Result<()> {
    let servers = Servers::start(node, api, local).await?;
    let gets = rounds(|| servers.shuffled(), |server| get(server, local))?;
    gets.print(&FTPS, "get", BIG_BYTES);
    let puts = rounds(|| servers.shuffled(), |server| put(server, local))?;
    puts.print(&FTPS, "put", BIG_BYTES);
    Ok(())
}

fn get(server: &Server, local: &Local) -> Result<f64> {
    timed_curl(server, local, "big", &["--output", "/dev/null"])
}

fn put(server: &Server, local: &Local) -> Result<f64> {
    let name = new_name()?;
    let took = timed_curl(server, local, &name, &["--upload-file", &local.path("big").display().to_string()])?;
    remove_sent(server, &name, BIG_BYTES)?;
    Ok(took)
}

/// Runs curl to its end: how long it took, in seconds.
fn timed_curl(server: &Server, local: &Local, name: &str, more: &[&str]) -> Result<f64> {
    let begin = Instant::now();
    let child = Command::new("/usr/bin/curl")
        // It is not the certificate that is measured.
        .args(["--silent", "--show-error", "--insecure", "--ssl-reqd", "--netrc-file"])
        .arg(passwords(local, server))
        .args(more)
        .arg(format!("ftp://{}/{}/{name}", server.address, server.remote))
        .stdin(Stdio::null())
        .spawn()
        .context("start curl")?;
    ended_well(child)?;
    Ok(begin.elapsed().as_secs_f64())
}

fn passwords(local: &Local, server: &Server) -> PathBuf {
    local.path(&format!("netrc-{}", server.name()))
}

impl Servers {
    async fn start(node: &Node, api: &Api, local: &Local) -> Result<Self> {
        let beside = beside(node)?;
        let owner = owner_of(node)?;
        let ours = ours(node, api, local).await?;
        let (vsftpd, running) = vsftpd(node, beside.path(), &user_name(owner.0)?)?;
        write_password(local, &vsftpd, "none")?;
        for server in [&ours, &vsftpd] {
            server.furnish(local, owner)?;
        }
        // vsftpd shows nobody a folder that he may write to as the root of everything.
        own(&beside.path().join("by-vsftpd"), (0, 0))?;
        Ok(Self { ours, vsftpd, _running: running, _beside: beside })
    }

    fn shuffled(&self) -> Result<[&Server; 2]> {
        let mut both = [&self.ours, &self.vsftpd];
        if getrandom::u32().context("ask the kernel for a random number")? & 1 == 0 {
            both.swap(0, 1);
        }
        Ok(both)
    }
}

async fn ours(node: &Node, api: &Api, local: &Local) -> Result<Server> {
    let (share, login) = account(node, api, PERSON, local).await?;
    let reply = api.call(PERSON, "POST", &format!("{share}/password"), &json!({})).await?;
    let password = reply.get("password").and_then(Value::as_str).context("the reply has no password")?;
    let server = Server {
        kind: Kind::Latchkey,
        address: node.ftp.address(),
        login,
        directory: node.live()?.docroot.join("bench"),
        remote: "bench".into(),
        log: None,
        pids: vec![node.pids.serve, node.pids.broker, node.pids.ftpauth, node.pids.pure_ftpd],
    };
    write_password(local, &server, password)?;
    Ok(server)
}

/// Debian's, unpacked where `LATCHKEY_VSFTPD` says. It knows nobody by name: everybody is the owner of the site.
fn vsftpd(node: &Node, beside: &Path, user: &str) -> Result<(Server, Running)> {
    let unpacked = PathBuf::from(std::env::var_os("LATCHKEY_VSFTPD").context("LATCHKEY_VSFTPD names no vsftpd")?);
    let (home, root) = (beside.join("vsftpd"), beside.join("by-vsftpd"));
    for directory in [&home, &home.join("empty"), &root] {
        std::fs::create_dir(directory).context("make a directory")?;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    }
    let port = free_port()?;
    let (certificate, key) = node.server_certificate();
    let configuration = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nlocal_enable=NO\n\
         anonymous_enable=YES\nno_anon_password=YES\nanon_root={root}\nftp_username={user}\nnopriv_user={user}\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nsecure_chroot_dir={empty}\n\
         ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n\
         require_ssl_reuse=NO\nssl_ciphers=HIGH\nrsa_cert_file={certificate}\nrsa_private_key_file={key}\n\
         xferlog_enable=NO\nseccomp_sandbox=NO\n",
        root = root.display(),
        empty = home.join("empty").display(),
        certificate = certificate.display(),
        key = key.display(),
    );
    std::fs::write(home.join("vsftpd.conf"), configuration)?;
    let child = Command::new(unpacked.join("usr/sbin/vsftpd"))
        .arg(home.join("vsftpd.conf"))
        .env("LD_LIBRARY_PATH", libraries(&unpacked))
        .stderr(File::create(home.join("log"))?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("start vsftpd")?;
    let running = Running(child);
    let server = Server {
        kind: Kind::Vsftpd,
        address: (Ipv4Addr::LOCALHOST, port).into(),
        login: "ftp".into(),
        directory: root.join("files"),
        remote: "files".into(),
        log: Some(home.join("log")),
        pids: vec![running.0.id()],
    };
    wait_for(&server)?;
    Ok((server, running))
}

fn write_password(local: &Local, server: &Server, password: &str) -> Result<()> {
    let line = format!("machine {} login {} password {password}\n", server.address.ip(), server.login);
    std::fs::write(passwords(local, server), line).context("write a password for curl")
}

fn user_name(uid: u32) -> Result<String> {
    let users = std::fs::read_to_string("/etc/passwd").context("read the users")?;
    let of_uid = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
    let line = users.lines().find(of_uid).with_context(|| format!("the user {uid} has no name"))?;
    Ok(line.split(':').next().unwrap_or_default().to_owned())
}
