//! The command line and environment of PHP.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

use crate::call::Call;

/// Functions that start programs or load code from outside PHP. No part of WordPress needs them here, and the site's
/// own pool usually forbids them too: the bridge must not be a way around that.
const DISABLED_FUNCTIONS: &str = "exec,passthru,shell_exec,system,proc_open,popen,dl,pcntl_exec,pcntl_fork,pcntl_rfork,\
                                  pcntl_forkx,pcntl_unshare,pcntl_setpriority";

/// Settings that stand above every `php.ini`.
const SETTINGS: &[&str] = &[
    "display_errors=stderr",
    "html_errors=0",
    "log_errors=0",
    "memory_limit=256M",
    "auto_prepend_file=",
    "auto_append_file=",
    "allow_url_include=0",
    "enable_dl=0",
    "ffi.enable=0",
    "sendmail_path=/bin/false",
    "output_buffering=0",
];

/// PHP could not be executed.
#[derive(Debug, thiserror::Error)]
#[error("cannot execute {program:?}")]
pub(crate) struct ExecuteError {
    program: std::path::PathBuf,
    #[source]
    source: io::Error,
}

/// Becomes PHP; returns only when that fails.
pub(crate) fn php(call: &Call) -> ExecuteError {
    #[expect(clippy::disallowed_methods, reason = "the one place where PHP is executed, with a cleared environment")]
    let mut command = Command::new(&call.php);
    command.args(arguments(call));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &call.home).env("LANG", "C.UTF-8");
    ExecuteError { program: call.php.clone(), source: command.exec() }
}

fn arguments(call: &Call) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if let Some(ini) = &call.php_ini {
        arguments.extend(["-c".into(), ini.into()]);
    }
    let mut set = |setting: OsString| arguments.extend(["-d".into(), setting]);
    for setting in SETTINGS {
        set((*setting).into());
    }
    set(format!("disable_functions={DISABLED_FUNCTIONS}").into());
    match &call.cache {
        // The cache halves the time of a call; its directory is the system user's alone.
        Some(cache) => {
            for setting in ["opcache.enable=1", "opcache.enable_cli=1", "opcache.file_cache_only=1", "opcache.jit=0"] {
                set(setting.into());
            }
            let mut directory = OsString::from("opcache.file_cache=");
            directory.push(cache);
            set(directory);
        }
        None => set("opcache.enable_cli=0".into()),
    }
    arguments.extend(["-f".into(), call.bridge.as_os_str().to_owned()]);
    arguments
}
