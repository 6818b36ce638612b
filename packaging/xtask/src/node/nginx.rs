//! One nginx with a server block per instance, each on its own port of 127.0.0.1.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ground::Ground;
use super::readiness::Readiness;
use super::supervise::Daemon;
use super::{Hosting, Instance, Sso, system_user};
use crate::clock::Deadline;
use crate::process::Program;

/// What PHP is told of a request. Debian's own `fastcgi_params` is not used: since its security update of 2026 it
/// passes the host without the port, which WordPress on a port answers with an endless redirect.
const PARAMETERS: &str = r#"fastcgi_param QUERY_STRING $query_string;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param DOCUMENT_URI $document_uri;
fastcgi_param DOCUMENT_ROOT $document_root;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param REQUEST_SCHEME $scheme;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx;
fastcgi_param REMOTE_ADDR $remote_addr;
fastcgi_param REMOTE_PORT $remote_port;
fastcgi_param SERVER_ADDR $server_addr;
fastcgi_param SERVER_PORT $server_port;
fastcgi_param SERVER_NAME $server_name;
fastcgi_param REDIRECT_STATUS 200;
fastcgi_param HTTP_HOST $host:$server_port;
fastcgi_param HTTP_PROXY "";
"#;

/// The running master; its workers run as `www-data`.
pub(crate) struct Nginx {
    pub(crate) daemon: Arc<Daemon>,
}

/// What the redeemer's location passes to the redeemer, the same for every instance.
#[derive(Clone, Debug)]
pub(crate) struct Redeemer {
    pub(crate) script: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) gateway: String,
}

impl Nginx {
    /// Starts it without an instance. Does not wait until it serves.
    pub(crate) fn start(ground: &Arc<Ground>) -> Result<Self> {
        let home = ground.root().directory("nginx", 0o755)?;
        ground.root().directory("nginx/sites", 0o755)?;
        let log = ground.root().directory("log", 0o755)?;
        let scratch = ground.root().directory("nginx/tmp", 0o700)?;
        system_user::named("www-data")?.own(&scratch)?;
        let pid = home.join("nginx.pid");
        let configuration = home.join("nginx.conf");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", scratch.display()))
            .collect();
        let text = format!(
            "daemon off;\nuser www-data;\nworker_processes 1;\npid {pid};\nerror_log {log}/nginx-error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  include /etc/nginx/mime.types;\n  default_type application/octet-stream;\n\
             {temporary}  access_log off;\n  server_tokens off;\n  sendfile on;\n  keepalive_timeout 30;\n\
             \x20 fastcgi_buffer_size 16k;\n  fastcgi_buffers 32 16k;\n  fastcgi_max_temp_file_size 0;\n  include {home}/sites/*.conf;\n}}\n",
            pid = pid.display(),
            log = log.display(),
            home = home.display(),
        );
        fs::write(&configuration, text).context("write the nginx configuration")?;
        fs::write(home.join("fastcgi_params"), PARAMETERS).context("write the nginx configuration")?;
        let errors = log.join("nginx-error.log");
        let program =
            Program::new("/usr/sbin/nginx").arg("-e").arg(errors).arg("-c").arg(&configuration).directory(&home);
        Ok(Self { daemon: ground.launch("nginx", program, Readiness::PidFile(pid))? })
    }

    /// Adds an instance and waits until its port accepts. Other instances keep their connections. Blocks.
    pub(crate) fn add_instance(
        &self,
        ground: &Ground,
        hosting: &Hosting,
        instance: &Instance,
        redeemer: Option<&Redeemer>,
    ) -> Result<()> {
        let file = ground.path().join("nginx/sites").join(format!("{}.conf", instance.id));
        let text = server_block(ground, hosting, instance, redeemer);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        self.daemon.signal(rustix::process::Signal::HUP)?;
        let accepts = || TcpStream::connect((Ipv4Addr::LOCALHOST, instance.port)).is_ok();
        ensure!(
            Deadline::after(Duration::from_secs(10)).wait_until(accepts),
            "port {} of instance {} does not accept: see the log of nginx",
            instance.port,
            instance.id
        );
        Ok(())
    }
}

fn server_block(ground: &Ground, hosting: &Hosting, instance: &Instance, redeemer: Option<&Redeemer>) -> String {
    let php = format!("fastcgi_pass unix:{};", hosting.php_socket.display());
    let parameters = format!("include {}/nginx/fastcgi_params;", ground.path().display());
    let (docroot, web_root) = (instance.docroot.display(), instance.web_root.display());
    let redeemer = redeemer.filter(|_| hosting.sso == Sso::Location);
    let redeem = |redeemer: &Redeemer, id: &str, path: &str| {
        format!(
            r#"  location = {path}/.well-known/latchkey-sso {{
    fastcgi_param LATCHKEY_INSTANCE {id};
    fastcgi_param LATCHKEY_ABSPATH {docroot};
    fastcgi_param LATCHKEY_SOCKET {socket};
    fastcgi_param LATCHKEY_GATEWAY {gateway};
    {parameters}
    fastcgi_param SCRIPT_FILENAME {script};
    {php}
  }}
"#,
            script = redeemer.script.display(),
            socket = redeemer.socket.display(),
            gateway = redeemer.gateway,
        )
    };
    let redeemers = instance.layout.redeemers(&instance.id);
    let redeem: String = redeemer
        .map(|redeemer| redeemers.iter().map(|(id, path)| redeem(redeemer, id, path)).collect())
        .unwrap_or_default();
    format!(
        r#"server {{
  listen 127.0.0.1:{port};
  server_name 127.0.0.1;
  root {web_root};
  index index.php index.html;
  access_log {logs}/{id}.access.log;
  error_log {logs}/{id}.error.log;
  client_max_body_size 64m;
{redeem}{layout}  location ~ /\.(?!well-known/) {{ deny all; }}
  location / {{ try_files $uri $uri/ /index.php?$args; }}
  location ~ \.php$ {{
    try_files $uri =404;
    {parameters}
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    {php}
  }}
}}
"#,
        port = instance.port,
        id = instance.id,
        layout = instance.layout.web_rules(),
        logs = hosting.logs.display(),
    )
}
