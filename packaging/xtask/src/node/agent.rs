//! The agent on this node: its programs, configuration and certificates, the broker as root and serve as its own user.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;

use super::ftp::Ftp;
use super::ground::Ground;
use super::mariadb;
use super::nginx::Redeemer;
use super::options::AgentOptions;
use super::phpmyadmin::Phpmyadmin;
use super::pki::{Certificate, Pki};
use super::ports::Ports;
use super::readiness::Readiness;
use super::supervise::Daemon;
use super::system_user::{Purpose, SystemUser};
use super::{Hosting, Instance, agent_config, panel};
use crate::build::{NODES_ADAPTER, PROGRAMS, component_of, workspace};
use crate::process::Program;

/// The identity of the panel in the demo and the tests; it holds every scope.
pub const PANEL_URI: &str = "urn:latchkey:panel:demo";
/// The identity that may only read metrics.
pub const MONITORING_URI: &str = "urn:latchkey:panel:monitoring";

/// The agent, running or about to.
pub struct Agent {
    pub(crate) serve: Arc<Daemon>,
    pub(crate) broker: Arc<Daemon>,
    pub(crate) ftp: Ftp,
    pub(crate) pki: Pki,
    pub(crate) client: Certificate,
    paths: Paths,
    urls: Urls,
}

/// Files of the agent.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The copied programs.
    pub programs: PathBuf,
    /// serve's configuration file.
    pub serve_config: PathBuf,
    /// The broker's configuration file.
    pub broker_config: PathBuf,
    /// serve's state directory.
    pub state: PathBuf,
    /// The broker's state directory, for root only.
    pub broker_state: PathBuf,
    /// The directory that mails are written to.
    pub mail: PathBuf,
    /// The broker's socket.
    pub broker_socket: PathBuf,
    /// The command line's socket.
    pub cli_socket: PathBuf,
    /// The redeemer's socket.
    pub redeem_socket: PathBuf,
    /// The host key of SFTP, which serve makes.
    pub sftp_host_key: PathBuf,
    /// Where `latchkey-ftpauth` asks serve.
    pub ftp_socket: PathBuf,
    /// Where the FTP server asks `latchkey-ftpauth`.
    pub ftp_ask_socket: PathBuf,
    /// Where pure-ftpd tells what its sessions do.
    pub ftp_log: PathBuf,
    /// Certificate and key of the FTP server.
    pub ftp_certificate: PathBuf,
    /// The node's adapter as a folder that can be installed.
    adapter: PathBuf,
    /// Where adapters are installed.
    pub adapters: PathBuf,
    /// Where the operator's files about adapters are.
    pub operators: PathBuf,
    /// Where the keys are of those who may sign adapters.
    pub adapter_keys: PathBuf,
    /// Where MariaDB listens.
    pub database_socket: PathBuf,
}

/// Origins of the agent, without a slash at the end.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The panel API.
    pub panel: String,
    /// The gateway.
    pub gateway: String,
    /// SFTP, which is no origin.
    pub sftp: SocketAddr,
    /// The FTP server.
    pub ftp: SocketAddr,
    /// phpMyAdmin.
    pub phpmyadmin: String,
}

/// What is known before the agent's processes are started: other daemons need it.
pub(crate) struct Prepared {
    user: SystemUser,
    paths: Paths,
    urls: Urls,
    pub(crate) redeemer: Redeemer,
    pub(crate) phpmyadmin: Phpmyadmin,
}

impl Prepared {
    /// Copies the programs into the root (whoever the agent runs as may not reach the build's directory), adds serve's
    /// user and chooses the ports.
    pub(crate) fn make(ground: &Ground, built: &Path, options: &AgentOptions, ports: &Ports) -> Result<Self> {
        let user = ground.add_user(Purpose::Serve)?;
        let root = ground.root();
        let programs = root.directory("bin", 0o755)?;
        for program in PROGRAMS {
            copy(&built.join(program), &programs.join(program), 0o755)?;
        }
        let adapter = root.directory("lib-adapter", 0o755)?;
        copy(&built.join(component_of(NODES_ADAPTER)), &adapter.join("adapter.wasm"), 0o644)?;
        let manifest = workspace().join("plugins").join(NODES_ADAPTER).join("adapter.toml");
        copy(&manifest, &adapter.join("adapter.toml"), 0o644)?;
        let bridge = ground.path().join("lib");
        Program::new("cp").arg("-r").arg(workspace().join("agent/php/bridge")).arg(&bridge).text()?;
        Program::new("chmod").arg("-R").arg("u=rwX,go=rX").arg(&bridge).text()?;
        root.directory("php-cache", 0o711)?;
        root.directory("run", 0o755)?;
        root.directory("run/broker", 0o755)?;
        user.own(&root.directory("run/latchkey", 0o755)?)?;
        let state = root.directory("state", 0o700)?;
        let mail = root.directory("mail", 0o700)?;
        user.own(&state)?;
        user.own(&mail)?;
        let configuration = root.directory("etc", 0o755)?;
        let paths = Paths {
            programs,
            adapter,
            serve_config: configuration.join("latchkey.toml"),
            broker_config: configuration.join("broker.toml"),
            sftp_host_key: state.join("sftp_host_key"),
            state,
            broker_state: root.directory("state-broker", 0o700)?,
            mail,
            broker_socket: ground.path().join("run/broker/broker.sock"),
            cli_socket: ground.path().join("run/latchkey/cli.sock"),
            redeem_socket: ground.path().join("run/latchkey/redeem.sock"),
            adapters: ground.path().join("lib/adapters"),
            operators: ground.path().join("etc/adapters.d"),
            adapter_keys: ground.path().join("etc/adapter-keys"),
            ftp_socket: ground.path().join("run/latchkey/ftp.sock"),
            ftp_ask_socket: ground.path().join("run/ftp-ask.sock"),
            ftp_log: ground.path().join("run/ftp-log/dev-log"),
            ftp_certificate: ground.path().join("ftp/ftp.pem"),
            database_socket: mariadb::socket(ground.path()),
        };
        let phpmyadmin = Phpmyadmin::prepare(ground, ports)?;
        let urls = Urls {
            phpmyadmin: phpmyadmin.url(),
            panel: format!("https://127.0.0.1:{}", ports.take(options.panel_port)?),
            gateway: format!("https://127.0.0.1:{}", ports.take(options.gateway_port)?),
            sftp: ports.address(options.sftp_port)?,
            ftp: ports.address(options.ftp_port)?,
        };
        let redeemer = Redeemer {
            script: bridge.join("sso.php"),
            socket: paths.redeem_socket.clone(),
            gateway: urls.gateway.clone(),
        };
        Ok(Self { user, paths, urls, redeemer, phpmyadmin })
    }

    /// Whom serve runs as.
    pub(crate) fn user(&self) -> &SystemUser {
        &self.user
    }
}

impl Agent {
    /// Makes certificates and configuration, starts the broker and then serve. Blocks until both serve.
    pub(crate) fn start(
        ground: &Arc<Ground>,
        prepared: Prepared,
        options: &AgentOptions,
        ports: &Ports,
    ) -> Result<Self> {
        let Prepared { user, paths, urls, phpmyadmin, .. } = prepared;
        let pki = Pki::make(ground, &paths.programs.join("latchkey"))?;
        let panel = pki.server("panel", &user)?;
        let gateway = pki.server("gateway", &user)?;
        let client = pki.client("demo", PANEL_URI)?;
        write(&paths.broker_config, &agent_config::broker(ground.path(), &user, &paths, &options.php))?;
        write(
            &paths.serve_config,
            &agent_config::serve((&user, &paths), (&urls, &phpmyadmin), &pki.ca(), (&panel, &gateway), options),
        )?;
        let launch = |name: &'static str, program: Program| {
            let notify = ground.path().join("run").join(format!("{name}-notify.sock"));
            let readiness = Readiness::notified_at(&notify)?;
            ground.launch(name, program.env("NOTIFY_SOCKET", notify).directory(ground.path()), readiness)
        };
        let broker = Program::new(paths.programs.join("latchkey-broker")).arg("--config").arg(&paths.broker_config);
        let broker = launch("broker", broker)?;
        broker.wait_ready()?;
        let mut serve = Program::new(paths.programs.join("latchkey"))
            .args(["serve", "--config"])
            .arg(&paths.serve_config)
            .run_as(user.identity());
        for (name, value) in &options.serve_environment {
            serve = serve.env(name, value);
        }
        let serve = launch("serve", serve)?;
        serve.wait_ready()?;
        install_adapter(&paths)?;
        let ftp = Ftp::start(ground, &paths, urls.ftp, &pki.server("ftp", &user)?, ports)?;
        Ok(Self { serve, broker, ftp, pki, client, paths, urls })
    }

    /// Its files.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Its origins.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The public half of the SFTP host key, as `known_hosts` has it after the host's name.
    ///
    /// # Errors
    /// When serve has made none.
    pub fn sftp_host_key(&self) -> Result<String> {
        let line = Program::new("/usr/bin/ssh-keygen").arg("-yf").arg(&self.paths.sftp_host_key).text()?;
        Ok(line.trim_end().to_owned())
    }

    /// The certificate authority that its servers and the panel's certificates come from.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.pki.ca()
    }

    /// The panel's client certificate, which holds every scope.
    #[must_use]
    pub fn panel_certificate(&self) -> &Certificate {
        &self.client
    }

    /// Makes a client certificate with this URI, signed by the node's authority. Safe to repeat.
    ///
    /// # Errors
    /// When `latchkey pki issue` fails.
    pub fn certificate(&self, name: &str, uri: &str) -> Result<Certificate> {
        self.pki.client(name, uri)
    }

    /// Tells the agent of a hosting, as the panel does.
    ///
    /// # Errors
    /// When the agent refuses; the error quotes its answer.
    pub fn register_hosting(&self, hosting: &Hosting) -> Result<()> {
        let body = json!({
            "system_user": hosting.user.name,
            "home": hosting.user.home,
            "db_prefix": hosting.db_prefix,
            "owners": hosting.owners,
            "adapters": [NODES_ADAPTER],
            "state": "active",
            "php": hosting.php_for_panel(),
            "web": { "kind": "nginx", "sso": hosting.sso.name() },
            "log_paths": hosting.logs_for_panel(),
        });
        panel::put(self, &format!("/v1/hostings/{}", hosting.id), &body)
    }

    /// Tells the agent of an instance, as the panel does.
    ///
    /// # Errors
    /// When the agent refuses; the error quotes its answer.
    pub fn register_instance(&self, instance: &Instance) -> Result<()> {
        let mut body = json!({
            "hosting": instance.hosting,
            "docroot": instance.docroot,
            "url": instance.url,
            "label": instance.label,
            "database": instance.database.name,
            "owners": instance.owners,
        });
        if let (Some(of), Some(fields)) = (&instance.staging_of, body.as_object_mut()) {
            fields.insert("staging_of".into(), json!(of));
        }
        panel::put(self, &format!("/v1/instances/{}", instance.id), &body)
    }
}

/// Installs the node's adapter as its operator does, with all that it asks for granted.
fn install_adapter(paths: &Paths) -> Result<()> {
    let grants = paths.operators.join(format!("{NODES_ADAPTER}.toml"));
    fs::create_dir_all(&paths.operators).context("make the directory of the operator's files")?;
    write(&grants, "[grants]\nmysql = true\ncrontab = true\nstate = true\n")?;
    let latchkey = Program::new(paths.programs.join("latchkey")).args(["adapter", "install", "--unsigned"]);
    latchkey.arg(&paths.adapter).arg("--config").arg(&paths.serve_config).text()?;
    Ok(())
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(|| format!("set mode of {}", to.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).context("set the mode of a configuration file")
}
