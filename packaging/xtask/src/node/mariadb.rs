//! A MariaDB of the node's own: one data directory, one Unix socket, no network. Unix root is its root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::ground::Ground;
use super::readiness::Readiness;
use super::supervise::Daemon;
use super::system_user::{self, SystemUser};
use crate::process::Program;

/// Small and fast: nothing of it survives the node. The same flags are needed when it is made and when it is started.
const FLAGS: [&str; 4] = [
    "--skip-name-resolve",
    "--innodb-log-file-size=4M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
    "--innodb-autoextend-increment=1",
];

/// Where it listens in a node's directory.
pub(crate) fn socket(root: &Path) -> PathBuf {
    root.join("mariadb/db.sock")
}

/// The running server.
pub(crate) struct MariaDb {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) socket: PathBuf,
}

impl MariaDb {
    /// Makes the data directory and starts the server. Does not wait until it serves.
    pub(crate) fn start(ground: &Arc<Ground>) -> Result<Self> {
        let owner = system_user::named("mysql")?;
        let home = ground.root().directory("mariadb", 0o755)?;
        owner.own(&home)?;
        let data = ground.root().directory("mariadb/data", 0o700)?;
        owner.own(&data)?;
        let socket = socket(ground.path());
        Program::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(flag("--datadir", &data))
            .args(["--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"])
            .args(FLAGS)
            .run_as(owner.identity())
            .directory(&home)
            .text()
            .context("make a MariaDB data directory")?;
        let program = Program::new("/usr/sbin/mariadbd")
            .arg("--no-defaults")
            .arg(flag("--datadir", &data))
            .arg(flag("--tmpdir", &data))
            .arg(flag("--socket", &socket))
            .arg(flag("--pid-file", &home.join("db.pid")))
            .args(FLAGS)
            .args(["--skip-networking", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0"])
            .args(["--innodb-buffer-pool-size=16M", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M"])
            .args(["--performance-schema=OFF", "--skip-log-bin"])
            .run_as(owner.identity())
            .directory(&home);
        let daemon = ground.launch("mariadb", program, Readiness::Greets(socket.clone()))?;
        Ok(Self { daemon, socket })
    }

    /// Makes the account of the agent, which signs in by the user id of serve.
    pub(crate) fn admit(&self, user: &SystemUser) -> Result<()> {
        let account = format!("'{}'@'localhost'", user.name);
        let sql = format!(
            "CREATE USER {account} IDENTIFIED VIA unix_socket; GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION"
        );
        self.run(sql).map(drop)
    }

    /// Runs SQL as root; returns the rows, columns separated by tabs. Blocks.
    pub(crate) fn run(&self, sql: impl Into<Vec<u8>>) -> Result<String> {
        self.client("mariadb").args(["--batch", "--skip-column-names", "--raw"]).input(sql).text()
    }

    /// The SQL that makes a copy of a database.
    pub(crate) fn dump(&self, database: &str) -> Result<String> {
        self.client("mariadb-dump")
            .args(["--single-transaction", "--skip-lock-tables", "--skip-comments", database])
            .text()
    }

    fn client(&self, name: &str) -> Program {
        Program::new(name).arg("--no-defaults").arg(flag("--socket", &self.socket))
    }
}

fn flag(name: &str, path: &Path) -> std::ffi::OsString {
    let mut flag = std::ffi::OsString::from(name);
    flag.push("=");
    flag.push(path);
    flag
}
