//! The program `latchkey-ftpauth`: ends what an earlier one left, tells serve, listens, and stops on SIGTERM or SIGINT.

use std::{
    error::Error,
    fs,
    os::unix::{
        fs::DirBuilderExt as _,
        net::{UnixDatagram, UnixListener},
    },
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
};

use latchkey_broker::{
    config::Config,
    ftp::{folder, listen, log_socket::LogSocket, session, session::Sessions, sessions_before},
    log, privileges, ready,
    system_users::Accounts,
};
use latchkey_protocol::{FtpAnswered, FtpAsked};
use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::warn("latchkey-ftpauth does not start", &[("error", &log::chain(&*error))]);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    privileges::give_up()?;
    // Before any thread is started, so that all of them leave these to `wait` below.
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.add(Signal::SIGINT);
    stop.thread_block()?;

    let config = Config::load(&config_path()?)?;
    log::set_format(config.log);
    let ftp = config.ftp.clone().ok_or("the configuration has no section [ftp]")?;
    let serve = Accounts::read()?.find(&config.serve_user).ok_or("the account of serve_user does not exist")?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&ftp.folders)?;
    sessions_before::end(&ftp.folders)?;
    folder::share(&ftp.folders)?;
    tell_serve(&ftp.serve_socket, serve.uid);
    let log = Arc::new(listen_to_log(&ftp.log)?);
    let listener = listen::bind(&ftp.socket, |path| UnixListener::bind(path))?;
    let (socket, folders) = (ftp.socket.clone(), ftp.folders.clone());
    let sessions = Arc::new(Sessions { config, ftp, serve_uid: serve.uid, log: Arc::clone(&log) });
    thread::Builder::new().spawn(move || log.read())?;
    thread::Builder::new().spawn(move || listen::serve(&listener, &sessions))?;
    ready::notify()?;
    log::info("listening", &[]);

    let signal = stop.wait()?;
    log::info("stopping", &[("signal", signal.as_str())]);
    // Nobody could end them any more, so they end with it.
    let _ = fs::remove_file(socket);
    sessions_before::end(&folders)?;
    std::process::exit(0)
}

/// The directory is bound over the one of the node's log in pure-ftpd's unit, so that a socket that is made anew is found.
fn listen_to_log(path: &Path) -> Result<LogSocket, Box<dyn Error>> {
    let directory = path.parent().ok_or("the path of the FTP server's log has no directory")?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    Ok(LogSocket::over(listen::bind(path, |path| UnixDatagram::bind(path))?)?)
}

/// Tells serve that no session from before is open. A serve that is not there has none to wait for.
fn tell_serve(socket: &Path, serve_uid: u32) {
    let told = session::connect(socket, serve_uid).and_then(|serve| {
        serve.send(&FtpAsked::Started, &[])?;
        Ok(serve.receive::<FtpAnswered>()?)
    });
    if let Err(error) = told {
        log::info("serve was not told of the start", &[("error", &log::chain(&error))]);
    }
}

fn config_path() -> Result<PathBuf, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => Ok(path.into()),
        _ => Err("usage: latchkey-ftpauth --config FILE".into()),
    }
}
