//! phpMyAdmin behind the agent: Debian's files, a PHP pool as a user of its own, and the server block that is shipped.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ground::Ground;
use super::nginx::Nginx;
use super::php_fpm::PhpFpm;
use super::ports::Ports;
use super::system_user::{Purpose, SystemUser};
use crate::build::workspace;
use crate::clock::Deadline;
use crate::process::Program;

/// Where Debian has it.
const DEBIANS: &str = "/usr/share/phpmyadmin";
const DEBIANS_CONFIG: &str = "/etc/phpmyadmin/config.inc.php";

/// phpMyAdmin before it is started.
#[derive(Clone, Debug)]
pub(crate) struct Phpmyadmin {
    port: u16,
    /// Whom its pool runs as.
    pub(crate) user: SystemUser,
    /// Where it asks the agent.
    pub(crate) socket: PathBuf,
}

impl Phpmyadmin {
    /// Chooses a port and adds its user.
    pub(crate) fn prepare(ground: &Ground, ports: &Ports) -> Result<Self> {
        let user = ground.add_user(Purpose::Phpmyadmin)?;
        Ok(Self { port: ports.take(None)?, user, socket: ground.path().join("run/latchkey/phpmyadmin.sock") })
    }

    /// Its origin, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the agent's configuration says of it.
    pub(crate) fn section(&self) -> String {
        let (socket, user) = (self.socket.display(), &self.user.name);
        format!("\n[phpmyadmin]\nurl = \"{}\"\nsocket = \"{socket}\"\nuser = \"{user}\"\n", self.url())
    }

    /// Copies its files and adds its pool and server block. Blocks until it accepts.
    pub(crate) fn start(&self, ground: &Ground, php: &PhpFpm, web: &Nginx, database: &Path) -> Result<()> {
        let ours = ground.path().join("lib/phpmyadmin");
        Program::new("cp").arg("-r").arg(workspace().join("packaging/phpmyadmin")).arg(&ours).text()?;
        Program::new("chmod").arg("-R").arg("u=rwX,go=rX").arg(&ours).text()?;
        let tree = self.copy_tree(ground, &ours)?;
        let pool = ground.path().join("php/phpmyadmin.sock");
        fs::write(ground.path().join(php.version.daemon()).join("pools/phpmyadmin.conf"), self.pool(ground, &pool)?)
            .context("write the pool of phpMyAdmin")?;
        php.daemon.signal(rustix::process::Signal::USR2)?;
        let here = |path: &Path| path.display().to_string();
        let locations = filled(
            "nginx/phpmyadmin.conf",
            &[
                ("/usr/lib/latchkey/phpmyadmin", &here(&ours)),
                ("/run/latchkey/phpmyadmin.sock", &here(&self.socket)),
                ("/run/php/phpmyadmin.sock", &here(&pool)),
                (DEBIANS, &here(&tree)),
                ("/run/mysqld/mysqld.sock", &here(database)),
                ("fastcgi_params", &here(&ground.path().join("nginx/fastcgi_params"))),
            ],
        )?;
        let block = format!(
            "server {{\n  listen 127.0.0.1:{};\n  server_name 127.0.0.1;\n  access_log {}/access-phpmyadmin.log;\n{locations}}}\n",
            self.port,
            ground.path().join("log").display()
        );
        fs::write(ground.path().join("nginx/sites/phpmyadmin.conf"), block).context("write its server block")?;
        web.daemon.signal(rustix::process::Signal::HUP)?;
        let accepts = || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                && std::os::unix::net::UnixStream::connect(&pool).is_ok()
        };
        ensure!(Deadline::after(Duration::from_secs(10)).wait_until(accepts), "phpMyAdmin does not accept");
        Ok(())
    }

    /// Debian's files name their configuration by its absolute path: a copy names its own.
    fn copy_tree(&self, ground: &Ground, ours: &Path) -> Result<PathBuf> {
        let tree = ground.path().join("phpmyadmin");
        let scratch = ground.root().directory("phpmyadmin-tmp", 0o700)?;
        self.user.own(&scratch)?;
        Program::new("cp").arg("-rL").arg(DEBIANS).arg(&tree).text().context("copy phpMyAdmin")?;
        let vendor = tree.join("libraries/vendor_config.php");
        let text = fs::read_to_string(&vendor).with_context(|| format!("read {}", vendor.display()))?;
        let changed = text
            .lines()
            .map(|line| match line.trim_start() {
                one if one.starts_with("'configFile' =>") => {
                    format!("'configFile' => '{}/config.inc.php',", tree.display())
                }
                one if one.starts_with("'tempDir' =>") => format!("'tempDir' => '{}/',", scratch.display()),
                _ => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n");
        ensure!(changed != text, "vendor_config.php of phpMyAdmin is not what it was");
        fs::write(&vendor, changed).context("write vendor_config.php")?;
        // Debian's configuration as it is, with a `conf.d` of this node. What only the web server may read stays unread.
        let configuration = fs::read_to_string(DEBIANS_CONFIG).with_context(|| format!("read {DEBIANS_CONFIG}"))?;
        let parts = tree.join("conf.d");
        let changed = configuration.replace("/etc/phpmyadmin/conf.d", &parts.display().to_string());
        ensure!(changed != configuration, "config.inc.php of phpMyAdmin is not what it was");
        fs::write(tree.join("config.inc.php"), changed).context("write config.inc.php")?;
        fs::create_dir(&parts).context("make conf.d")?;
        let ours = format!("<?php require '{}/latchkey.php';\n", ours.display());
        fs::write(parts.join("latchkey.php"), ours).context("write conf.d/latchkey.php")?;
        Ok(tree)
    }

    /// The pool that is shipped, with this node's places.
    fn pool(&self, ground: &Ground, listen: &Path) -> Result<String> {
        let scratch = ground.path().join("phpmyadmin-tmp");
        let (user, group) = (format!("user = {}", self.user.name), format!("group = {}", self.user.gid));
        filled(
            "phpmyadmin/pool.conf",
            &[
                ("user = phpmyadmin", &user),
                ("\ngroup = phpmyadmin", &format!("\n{group}")),
                ("/run/php/phpmyadmin.sock", &listen.display().to_string()),
                ("/var/lib/latchkey-phpmyadmin", &scratch.display().to_string()),
            ],
        )
    }
}

/// A file of `packaging` with other places in it.
fn filled(shipped: &str, places: &[(&str, &str)]) -> Result<String> {
    let file = workspace().join("packaging").join(shipped);
    let mut text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    for (as_shipped, here) in places {
        ensure!(text.contains(as_shipped), "{} names {as_shipped}", file.display());
        text = text.replace(as_shipped, here);
    }
    Ok(text)
}
