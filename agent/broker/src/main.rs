//! The program `latchkey-broker`: reads configuration and state, listens, and stops on SIGTERM or SIGINT.

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc, thread};

use latchkey_broker::{
    audit_heads::AuditHeads,
    config::Config,
    directories, inherited, listen, log, privileges, ready,
    registry::Registry,
    system_users::{Accounts, SystemUser},
    verbs::Broker,
};
use latchkey_protocol::FrameListener;
use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    let inherited = inherited::take_socket();
    match run(inherited) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::warn("the broker does not start", &[("error", &log::chain(&*error))]);
            ExitCode::FAILURE
        }
    }
}

fn run(inherited: Option<std::os::fd::OwnedFd>) -> Result<(), Box<dyn Error>> {
    privileges::give_up()?;
    // Before any thread is started, so that all of them leave these to `wait` below.
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.add(Signal::SIGINT);
    stop.thread_block()?;

    let config = Config::load(&config_path()?)?;
    log::set_format(config.log);
    let serve = serve_user(&config)?;
    directories::ensure_state(&config.state_dir)?;
    if let Some(cache) = &config.php_cache {
        directories::ensure_cache(cache)?;
    }
    let registry = Registry::load(&config.state_dir)?;
    let audit_heads = AuditHeads::open(&config.state_dir)?;
    let own_socket = inherited.is_none().then(|| config.socket.clone());
    let listener = match inherited {
        Some(socket) => FrameListener::from_listening(socket)?,
        None => listen::bind(&config.socket, &serve)?,
    };
    let connections = config.connections;
    let broker = Arc::new(Broker::new(config, registry, audit_heads));
    let mending = Arc::clone(&broker);
    // Beside the rest: a directory that is being looked at is busy.
    thread::Builder::new().spawn(move || mending.mend())?;
    let shared = Arc::clone(&broker);
    thread::Builder::new().spawn(move || listen::serve(&listener, &shared, &serve, connections))?;
    ready::notify()?;
    log::info("listening", &[]);

    let signal = stop.wait()?;
    log::info("stopping", &[("signal", signal.as_str())]);
    // No state is half written when the process ends; its workers end with it.
    let _settled = broker.settle();
    if let Some(socket) = own_socket {
        let _ = std::fs::remove_file(socket);
    }
    // The guard is held to the end: returning from main ends the other threads.
    std::process::exit(0)
}

fn config_path() -> Result<PathBuf, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => Ok(path.into()),
        _ => Err("usage: latchkey-broker --config FILE".into()),
    }
}

fn serve_user(config: &Config) -> Result<SystemUser, Box<dyn Error>> {
    let found = Accounts::read()?.find(&config.serve_user);
    let user = found.ok_or_else(|| format!("the account {:?} of serve_user does not exist", config.serve_user))?;
    if user.uid == 0 {
        return Err("serve_user must not be root".into());
    }
    Ok(user)
}
