//! A whole hosting node as a value: MariaDB, php-fpm, nginx, real WordPress and the agent, with their own system users
//! in one private directory, on loopback. Dropping it takes everything down and waits for each child.

mod agent;
mod agent_config;
mod ftp;
pub(crate) mod ground;
mod layout;
mod leftovers;
mod mail_server;
mod mariadb;
mod nginx;
mod options;
pub mod packages;
mod panel;
mod php;
mod php_fpm;
mod phpmyadmin;
mod pki;
mod ports;
mod readiness;
mod ready;
mod redis;
pub(crate) mod release;
mod root;
mod site;
mod supervise;
mod system_user;
mod wordpress;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result};

pub use agent::{Agent, MONITORING_URI, PANEL_URI, Paths, Urls};
pub use ftp::server_program as ftp_server_program;
pub use layout::Layout;
pub use leftovers::Leftovers;
pub use mail_server::MailServer;
pub use options::{AgentOptions, Options, Storage};
pub use php::PhpVersion;
pub use pki::Certificate;
pub use site::{Database, Hosting, Instance, NewHosting, NewInstance, SiteUser, Sso};
pub use supervise::Daemon;
pub use system_user::SystemUser;
pub use wordpress::WordPress;

use crate::mutex::lock;
use ground::{Ground, Standing};
use mariadb::MariaDb;
use nginx::{Nginx, Redeemer};
use php_fpm::PhpFpm;
use ports::Ports;
use system_user::Purpose;
use wordpress::Template;

/// The owner of everything on a node.
pub const OWNER: &str = "owner@example.org";

/// A running node. Its hosting is `demo`, with the instances `live` and `second`; tests may add more.
///
/// Signals (Ctrl-C, SIGTERM, SIGHUP) take it down and end the process. `std::process::exit` does not: drop it before.
pub struct Node {
    standing: Standing,
    database: MariaDb,
    php: PhpFpm,
    /// Those of other versions, started with their first pool.
    more_php: Mutex<Vec<PhpFpm>>,
    web: Nginx,
    agent: Option<Agent>,
    redeemer: Option<Redeemer>,
    ports: Ports,
    template: Arc<Template>,
    /// What instances with the newer WordPress are made from, made with the first of them.
    newer: Mutex<Option<Arc<Template>>>,
    sites: Mutex<Sites>,
}

#[derive(Default)]
struct Sites {
    hostings: Vec<Hosting>,
    instances: Vec<Instance>,
}

impl Node {
    /// Installs what is missing, builds, removes what crashed nodes left, and starts everything. Needs root. Blocks
    /// until all of it serves and `demo`, `live` and `second` are registered with the agent.
    ///
    /// # Errors
    /// When any part fails; the error quotes that part's log, and what was started has been taken down again.
    pub fn start(options: Options) -> Result<Self> {
        packages::require_root()?;
        packages::ensure()?;
        let built = options.agent.as_ref().map(|_| options.build.run()).transpose()?;
        for problem in leftovers::sweep() {
            eprintln!("removing what an earlier node left: {problem}");
        }
        let ready_file = options.ready_file.as_deref().map(std::path::absolute).transpose()?;
        let standing = Standing::on(Ground::make(ready_file, options.storage)?);
        let ports = Ports::default();
        let prepared = match (&options.agent, &built) {
            (Some(agent), Some(built)) => Some(agent::Prepared::make(&standing, built, agent, &ports)?),
            _ => None,
        };
        let hosting = new_hosting(&standing, NewHosting::named("demo"))?;
        // The copy of WordPress takes as long as MariaDB's data directory.
        let (database, template) = thread::scope(|scope| {
            let template = scope.spawn(|| Template::make(&standing, WordPress::Ours));
            let database = MariaDb::start(&standing);
            (database, template.join())
        });
        let template = template.unwrap_or_else(|_| Err(anyhow::anyhow!("the copy of WordPress panicked")))?;
        let database = database?;
        let php = PhpFpm::start(&standing, &hosting)?;
        let web = Nginx::start(&standing)?;
        for daemon in [&database.daemon, &php.daemon, &web.daemon] {
            daemon.wait_ready()?;
        }
        let node = Self {
            redeemer: prepared.as_ref().map(|prepared| prepared.redeemer.clone()),
            standing,
            database,
            php,
            more_php: Mutex::default(),
            web,
            agent: None,
            ports,
            template: Arc::new(template),
            newer: Mutex::default(),
            sites: Mutex::new(Sites { hostings: vec![hosting], instances: Vec::new() }),
        };
        node.furnish(prepared, &options)
    }

    /// Adds the two instances, starts the agent and tells it of them.
    fn furnish(mut self, prepared: Option<agent::Prepared>, options: &Options) -> Result<Self> {
        let live = NewInstance { port: options.live_port, ..NewInstance::named("live", "demo", "Live site") };
        let second = NewInstance { port: options.second_port, ..NewInstance::named("second", "demo", "Second site") };
        self.add_instance(live)?;
        self.add_instance(second)?;
        if let (Some(prepared), Some(agent)) = (prepared, &options.agent) {
            self.database.admit(prepared.user())?;
            prepared.phpmyadmin.start(&self.standing, &self.php, &self.web, &self.database.socket)?;
            let agent = Agent::start(&self.standing, prepared, agent, &self.ports)?;
            for hosting in self.hostings() {
                agent.register_hosting(&hosting)?;
            }
            for instance in self.instances() {
                agent.register_instance(&instance)?;
            }
            self.agent = Some(agent);
        }
        self.publish()?;
        Ok(self)
    }

    fn publish(&self) -> Result<()> {
        let sftp = self.agent.as_ref().map(|agent| {
            let (host, port) = (agent.urls().sftp.ip(), agent.urls().sftp.port());
            Ok::<_, anyhow::Error>(ready::Sftp { host, port, host_key: agent.sftp_host_key()? })
        });
        let sftp = sftp.transpose()?;
        self.standing.ready_file().publish(|ready| {
            ready.owner = OWNER.into();
            ready.instances = self.instances().iter().filter_map(Instance::for_ready_file).collect();
            if let Some(agent) = &self.agent {
                ready.panel = Some(ready::Panel {
                    url: agent.urls().panel.clone(),
                    ca: agent.ca(),
                    cert: agent.client.certificate.clone(),
                    key: agent.client.key.clone(),
                });
                ready.gateway = Some(ready::Gateway { url: agent.urls().gateway.clone() });
                ready.phpmyadmin = Some(ready::Phpmyadmin { url: agent.urls().phpmyadmin.clone() });
                ready.ftp = Some(ready::Ftp::at(agent.urls().ftp));
                ready.sftp = sftp;
                ready.mail = Some(agent.paths().mail.clone());
                ready.state = Some(agent.paths().state.clone());
            }
        })
    }

    /// Adds a hosting with a system user and a PHP pool of its own. The agent is not told: see
    /// [`Agent::register_hosting`]. Blocks for a fraction of a second.
    ///
    /// # Errors
    /// When the system user or the pool cannot be made.
    pub fn add_hosting(&self, new: NewHosting) -> Result<Hosting> {
        let hosting = new_hosting(&self.standing, new)?;
        self.add_pool(&hosting)?;
        lock(&self.sites).hostings.push(hosting.clone());
        Ok(hosting)
    }

    fn add_pool(&self, hosting: &Hosting) -> Result<()> {
        if self.php.version == hosting.php {
            return self.php.add_pool(&self.standing, hosting);
        }
        let mut masters = lock(&self.more_php);
        if let Some(master) = masters.iter().find(|master| master.version == hosting.php) {
            return master.add_pool(&self.standing, hosting);
        }
        let master = PhpFpm::start(&self.standing, hosting)?;
        master.daemon.wait_ready()?;
        master.wait_for(hosting)?;
        masters.push(master);
        Ok(())
    }

    /// Adds an instance with files, a database, three WordPress users and a port of its own. The agent is not told: see
    /// [`Agent::register_instance`]. Blocks for about half a second.
    ///
    /// # Errors
    /// When there is no such hosting, or a part cannot be made.
    pub fn add_instance(&self, new: NewInstance) -> Result<Instance> {
        let hosting = self.hosting(&new.hosting)?;
        let port = self.ports.take(new.port)?;
        let instance = new.place(&hosting, port)?;
        self.template_of(instance.wordpress)?.apply(&self.database, &hosting, &instance)?;
        self.web.add_instance(&self.standing, &hosting, &instance, self.redeemer.as_ref())?;
        lock(&self.sites).instances.push(instance.clone());
        Ok(instance)
    }

    fn template_of(&self, wordpress: WordPress) -> Result<Arc<Template>> {
        if wordpress == WordPress::Ours {
            return Ok(Arc::clone(&self.template));
        }
        let mut newer = lock(&self.newer);
        if newer.is_none() {
            *newer = Some(Arc::new(Template::make(&self.standing, wordpress)?));
        }
        newer.clone().context("it was made just now")
    }

    /// The hosting with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn hosting(&self, id: &str) -> Result<Hosting> {
        let found = self.hostings().into_iter().find(|hosting| hosting.id == id);
        found.with_context(|| format!("there is no hosting {id}"))
    }

    /// The instance with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn instance(&self, id: &str) -> Result<Instance> {
        let found = self.instances().into_iter().find(|instance| instance.id == id);
        found.with_context(|| format!("there is no instance {id}"))
    }

    /// All hostings, in the order in which they were added.
    #[must_use]
    pub fn hostings(&self) -> Vec<Hosting> {
        lock(&self.sites).hostings.clone()
    }

    /// All instances, in the order in which they were added.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        lock(&self.sites).instances.clone()
    }

    /// The agent.
    ///
    /// # Errors
    /// When the node was started without it.
    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("this node runs without the agent")
    }

    /// `latchkey serve`.
    ///
    /// # Errors
    /// When the node was started without the agent.
    pub fn serve(&self) -> Result<&Daemon> {
        Ok(self.agent()?.serve.as_ref())
    }

    /// `latchkey-broker`.
    ///
    /// # Errors
    /// When the node was started without the agent.
    pub fn broker(&self) -> Result<&Daemon> {
        Ok(self.agent()?.broker.as_ref())
    }

    /// pure-ftpd.
    ///
    /// # Errors
    /// When the node was started without the agent.
    pub fn ftp_server(&self) -> Result<&Daemon> {
        Ok(self.agent()?.ftp.server.as_ref())
    }

    /// `latchkey-ftpauth`.
    ///
    /// # Errors
    /// When the node was started without the agent.
    pub fn ftpauth(&self) -> Result<&Daemon> {
        Ok(self.agent()?.ftp.auth.as_ref())
    }

    /// MariaDB.
    #[must_use]
    pub fn database(&self) -> &Daemon {
        &self.database.daemon
    }

    /// php-fpm.
    #[must_use]
    pub fn php_fpm(&self) -> &Daemon {
        &self.php.daemon
    }

    /// nginx.
    #[must_use]
    pub fn web(&self) -> &Daemon {
        &self.web.daemon
    }

    /// Starts a mail server on a port of its own. The agent is not told. Blocks until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add_mail_server(&self) -> Result<MailServer> {
        MailServer::start(&self.standing, self.ports.take(None)?)
    }

    /// The socket of MariaDB, where Unix root is root.
    #[must_use]
    pub fn database_socket(&self) -> &Path {
        &self.database.socket
    }

    /// The node's private directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.standing.path()
    }

    /// Starts a Redis for object caches of sites; its socket. Blocks for a fraction of a second.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_redis(&self) -> Result<PathBuf> {
        redis::start(&self.standing)
    }

    /// Runs SQL as MariaDB's root; returns the rows, columns separated by tabs. Blocks.
    ///
    /// # Errors
    /// When MariaDB refuses or cannot be reached.
    pub fn mariadb(&self, sql: &str) -> Result<String> {
        self.database.run(sql)
    }

    /// Runs PHP inside a site, after its `wp-load.php`, as its system user; `code` has no opening tag. Returns what it
    /// prints. Blocks.
    ///
    /// # Errors
    /// When it ends with anything but 0.
    pub fn php_as_site(&self, instance: &Instance, code: &str) -> Result<String> {
        wordpress::php_in_site(&self.hosting(&instance.hosting)?, instance, code)
    }

    /// The mails that the agent has sent, the oldest first.
    ///
    /// # Errors
    /// When the node was started without the agent, or its mail directory cannot be read.
    pub fn mails(&self) -> Result<Vec<PathBuf>> {
        let directory = &self.agent()?.paths().mail;
        let mut mails = Vec::new();
        for entry in fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "eml") {
                mails.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        mails.sort();
        Ok(mails.into_iter().map(|(_, path)| path).collect())
    }

    /// Takes everything down and returns what is left, which should be nothing. Blocks.
    ///
    /// # Errors
    /// When a part could not be taken down.
    pub fn take_down(self) -> Result<Leftovers> {
        let problems = self.standing.take_down();
        anyhow::ensure!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(self.standing.leftovers())
    }
}

fn new_hosting(ground: &Arc<Ground>, new: NewHosting) -> Result<Hosting> {
    let user = ground.add_user(Purpose::Hosting)?;
    let NewHosting { id, db_prefix, owners, php, sso, disabled_functions } = new;
    ground.root().directory("log/sites", 0o755)?;
    let logs = ground.root().directory(&format!("log/sites/{id}"), 0o755)?;
    Ok(Hosting {
        user,
        db_prefix,
        owners,
        php,
        php_binary: php.binary(ground.path()),
        php_ini: php.ini(ground.path()),
        sso,
        disabled_functions,
        php_socket: php_fpm::socket_of(ground.path(), &id),
        logs,
        id,
    })
}
