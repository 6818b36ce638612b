//! The text of the agent's two configuration files.

use std::path::Path;

use serde_json::json;

use super::agent::{MONITORING_URI, PANEL_URI, Paths, Urls};
use super::options::AgentOptions;
use super::php::PhpVersion;
use super::phpmyadmin::Phpmyadmin;
use super::pki::Certificate;
use super::system_user::SystemUser;

/// The broker's.
pub(crate) fn broker(root: &Path, user: &SystemUser, paths: &Paths, php: &[PhpVersion]) -> String {
    let php_binaries = json!(php.iter().map(|version| version.binary(root)).collect::<Vec<_>>());
    // Those that are not this Debian's bring their libraries and loader along.
    let brought = json!(php.iter().filter_map(|version| version.libraries(root)).collect::<Vec<_>>());
    let root = root.display();
    format!(
        "socket = \"{}\"\nstate_dir = \"{}\"\nserve_user = \"{}\"\nmin_uid = 1000\nhome_roots = [\"{root}/home\"]\n\
         php_worker = \"{programs}/latchkey-php\"\nfiles_worker = \"{programs}/latchkey-files\"\nbridge = \"{root}/lib/bridge.php\"\nphp_binaries = {php_binaries}\n\
         php_cache = \"{root}/php-cache\"\ncrontab_program = \"/usr/bin/crontab\"\n\
         log_roots = [\"{root}/log/sites/{{hosting}}\"]\n\n[php_paths]\nread = {brought}\nexecute = {brought}\n\n\
         [ftp]\nsocket = \"{ftp_ask}\"\nserve_socket = \"{ftp}\"\nfolders = \"{root}/run/ftp\"\nlog = \"{ftp_log}\"\n\n\
         [adapters]\ndirectory = \"{adapters}\"\noperators = \"{operators}\"\ncache = \"{root}/adapter-cache\"\n\
         runner = \"{programs}/latchkey-runner\"\ncompiler = \"{programs}/latchkey-compiler\"\n",
        paths.broker_socket.display(),
        paths.broker_state.display(),
        user.name,
        programs = paths.programs.display(),
        ftp_ask = paths.ftp_ask_socket.display(),
        ftp_log = paths.ftp_log.display(),
        ftp = paths.ftp_socket.display(),
        adapters = paths.adapters.display(),
        operators = paths.operators.display(),
    )
}

/// serve's.
pub(crate) fn serve(
    (user, paths): (&SystemUser, &Paths),
    (urls, phpmyadmin): (&Urls, &Phpmyadmin),
    ca: &Path,
    (panel, gateway): (&Certificate, &Certificate),
    options: &AgentOptions,
) -> String {
    let AgentOptions { token_life_s, session_life_s, invitation_life_s, resend_after_s, .. } = options;
    let address = |url: &str| url.trim_start_matches("https://").to_owned();
    format!(
        r#"state_dir = "{state}"

[broker]
socket = "{broker}"

[panel]
listen = "{panel_address}"
certificate = "{panel_certificate}"
key = "{panel_key}"
client_ca = "{ca}"
revoked = "{revoked}"

[[panel.peers]]
uri = "{PANEL_URI}"
scopes = ["panel", "people", "metrics"]

[[panel.peers]]
uri = "{MONITORING_URI}"
scopes = ["metrics"]

[gateway]
listen = "{gateway_address}"
url = "{gateway_url}"
certificate = "{gateway_certificate}"
key = "{gateway_key}"
panel_origins = {panel_origins}

[cli]
socket = "{cli}"

[redeemer]
socket = "{redeem}"

[sftp]
listen = "{sftp}"
host = "{sftp_host}"
host_key = "{sftp_host_key}"

[ftp]
socket = "{ftp}"
host = "{ftp_host}"
port = {ftp_port}
certificate = "{ftp_certificate}"

[adapters]
directory = "{adapters}"
operators = "{operators}"
keys = "{adapter_keys}"

{databases}
[mail]
from = "Latchkey <latchkey@node.example>"
directory = "{mail}"

[sso]
token_life_s = {token_life_s}
session_life_s = {session_life_s}

[invitations]
life_s = {invitation_life_s}
resend_after_s = {resend_after_s}
{extra}"#,
        state = paths.state.display(),
        broker = paths.broker_socket.display(),
        panel_address = address(&urls.panel),
        panel_certificate = panel.certificate.display(),
        panel_key = panel.key.display(),
        ca = ca.display(),
        revoked = ca.with_file_name("revoked").display(),
        gateway_address = address(&urls.gateway),
        gateway_url = urls.gateway,
        gateway_certificate = gateway.certificate.display(),
        gateway_key = gateway.key.display(),
        panel_origins = json!(options.panel_origins),
        cli = paths.cli_socket.display(),
        redeem = paths.redeem_socket.display(),
        sftp = urls.sftp,
        sftp_host = urls.sftp.ip(),
        sftp_host_key = paths.sftp_host_key.display(),
        ftp = paths.ftp_socket.display(),
        ftp_host = urls.ftp.ip(),
        ftp_port = urls.ftp.port(),
        ftp_certificate = paths.ftp_certificate.display(),
        adapters = paths.adapters.display(),
        operators = paths.operators.display(),
        adapter_keys = paths.adapter_keys.display(),
        databases = databases(user, paths) + &phpmyadmin.section(),
        mail = paths.mail.display(),
        extra = options.serve_config_more,
    )
}

fn databases(user: &SystemUser, paths: &Paths) -> String {
    format!("[mysql]\nsocket = \"{}\"\nuser = \"{}\"\n", paths.database_socket.display(), user.name)
}
