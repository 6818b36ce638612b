//! php-fpm with a pool per hosting, which runs as the hosting's system user: one master per version of PHP.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Hosting;
use super::ground::Ground;
use super::php::PhpVersion;
use super::readiness::Readiness;
use super::supervise::Daemon;
use crate::clock::Deadline;
use crate::process::Program;

/// The running master.
pub(crate) struct PhpFpm {
    pub(crate) version: PhpVersion,
    pub(crate) daemon: Arc<Daemon>,
}

/// Where a hosting's pool listens.
pub(crate) fn socket_of(root: &Path, hosting: &str) -> PathBuf {
    root.join("php").join(format!("{hosting}.sock"))
}

impl PhpFpm {
    /// Starts it with its first pool, without which it would not start. Does not wait until it serves.
    pub(crate) fn start(ground: &Arc<Ground>, first: &Hosting) -> Result<Self> {
        let version = first.php;
        version.ensure(ground.path())?;
        // Where all pools listen.
        ground.root().directory("php", 0o755)?;
        let home = ground.root().directory(version.daemon(), 0o755)?;
        ground.root().directory(&format!("{}/pools", version.daemon()), 0o755)?;
        let log = ground.root().directory("log", 0o755)?.join(format!("{}.log", version.daemon()));
        let configuration = home.join("fpm.conf");
        let pid = home.join("fpm.pid");
        let text = format!(
            "[global]\npid = {}\nerror_log = {}\ndaemonize = no\nsystemd_interval = 0\n\
             process_control_timeout = 5s\ninclude = {}/pools/*.conf\n",
            pid.display(),
            log.display(),
            home.display()
        );
        fs::write(&configuration, text).context("write the php-fpm configuration")?;
        write_pool(ground, first)?;
        let mut program = Program::new(version.fpm(ground.path())).args(["-F", "-y"]).arg(&configuration);
        if let Some(ini) = &first.php_ini {
            program = program.arg("-c").arg(ini);
        }
        let program = program.directory(&home);
        Ok(Self { version, daemon: ground.launch(version.daemon(), program, Readiness::PidFile(pid))? })
    }

    /// Adds a pool and waits until it accepts. Other pools keep their connections. Blocks.
    pub(crate) fn add_pool(&self, ground: &Ground, hosting: &Hosting) -> Result<()> {
        write_pool(ground, hosting)?;
        self.daemon.signal(rustix::process::Signal::USR2)?;
        self.wait_for(hosting)
    }

    /// Waits until a pool accepts. Blocks.
    pub(crate) fn wait_for(&self, hosting: &Hosting) -> Result<()> {
        let listens = || std::os::unix::net::UnixStream::connect(&hosting.php_socket).is_ok();
        ensure!(
            Deadline::after(Duration::from_secs(10)).wait_until(listens),
            "the pool of hosting {} does not accept: see {}",
            hosting.id,
            self.daemon.log().display()
        );
        Ok(())
    }
}

fn write_pool(ground: &Ground, hosting: &Hosting) -> Result<()> {
    let user = &hosting.user;
    let scratch = user.home.join("tmp");
    fs::create_dir_all(&scratch).context("create a hosting's tmp")?;
    user.own(&scratch)?;
    let text = format!(
        "[{id}]\nuser = {name}\ngroup = {gid}\nlisten = {socket}\nlisten.owner = www-data\nlisten.group = www-data\n\
         listen.mode = 0660\nlisten.backlog = 511\npm = ondemand\npm.max_children = 12\npm.process_idle_timeout = 60s\n\
         clear_env = yes\ncatch_workers_output = yes\n\
         php_admin_value[sys_temp_dir] = {scratch}\nphp_admin_value[upload_tmp_dir] = {scratch}\n\
         php_admin_value[session.save_path] = {scratch}\nphp_admin_value[sendmail_path] = /bin/true\n\
         php_admin_flag[log_errors] = on\n\
         php_admin_value[disable_functions] = {disabled}\n",
        disabled = hosting.disabled_functions,
        id = hosting.id,
        name = user.name,
        gid = user.gid,
        socket = hosting.php_socket.display(),
        scratch = scratch.display(),
    );
    let pools = ground.path().join(hosting.php.daemon()).join("pools");
    let file = pools.join(format!("{}.conf", hosting.id));
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))
}
