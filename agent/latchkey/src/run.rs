//! `latchkey serve`: everything started, in the order that the promise needs: dead shares are swept before anything
//! listens.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use latchkey_sftp::HostKey;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

use crate::accounts::{FileDoors, events};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::doors::Doors;
use crate::frames::Frames;
use crate::mail::post_office::PostOffice;
use crate::residue::scan;
use crate::serve::Serve;
use crate::state::State;
use crate::wordpress::{reaper, redeemer};
use crate::{
    api, background, cron, database_passwords, file_manager, ftp, gateway, jobs, notify, phpmyadmin, privileges, sftp,
};

/// Runs the agent until it is told to stop.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    privileges::give_up().context("give up what is not needed")?;
    let config = Config::read(path)?;
    notify::start_logging(config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(128).build()?;
    let outcome = runtime.block_on(run_until_stopped(config, path));
    // A site that does not answer must not hold up the end of the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_until_stopped(config: Config, path: &Path) -> anyhow::Result<()> {
    // The first of two providers wins; there is only one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (state, waiting) = State::open(&config.state_dir, Clock::default())?;
    let post_office = PostOffice::new(&config.mail)?;
    let doors = Doors::open(&config)?;
    let (serve, to_record) = Serve::new(config, state);
    background::write_records(serve.clone(), to_record);
    if let Some((copy, unknown)) = waiting {
        match serve.restore(Caller::agent(), copy, unknown).await {
            Ok(restored) => tracing::warn!(?restored, "went back to the backup that waited"),
            Err(problem) => tracing::error!(detail = %problem.detail, "the backup that waited was not restored"),
        }
    }
    background::sweep_at_start(&serve).await;
    database_passwords::watch_all(&serve).await;
    jobs::fail_cut_off(&serve).await;

    let host_key = serve.config.sftp.as_ref().map(sftp::host_key).transpose()?;
    serve.state.set_file_doors(FileDoors::of(&serve.config, host_key.as_ref()));
    let panel = bind_tcp(serve.config.panel.listen).await?;
    let gateway = bind_tcp(serve.config.gateway.listen).await?;
    let cli = bind_unix(&serve.config.cli.socket, 0o600)?;
    let redeem = bind_unix(&serve.config.redeemer.socket, 0o666)?;
    let ftp = serve.config.ftp.as_ref().map(bind_frames).transpose()?;
    let phpmyadmin = serve.config.phpmyadmin.as_ref().and_then(phpmyadmins_socket);
    let transfers = Transfers::start(&serve, host_key)?;
    tokio::spawn(background::expire_shares(serve.clone()));
    tokio::spawn(background::retry_unconfirmed(serve.clone()));
    tokio::spawn(background::look_again(serve.clone()));
    tokio::spawn(cron::settle_for_ever(serve.clone()));
    tokio::spawn(cron::look_at_all(serve.clone()));
    tokio::spawn(events::write_down(serve.clone()));
    tokio::spawn(scan::look_when_due(serve.clone()));
    tokio::spawn(background::catch_up(serve.clone()));
    tokio::spawn(file_manager::tidy(serve.clone()));
    tokio::spawn(background::hand_over_audit_heads(serve.clone()));
    tokio::spawn(post_office.work(serve.clone()));
    tokio::spawn(redeemer::listen(serve.clone(), redeem));
    if let Some(frames) = ftp {
        tokio::spawn(ftp::listen(serve.clone(), frames));
    }
    if let Some((socket, uid)) = phpmyadmin {
        tokio::spawn(phpmyadmin::listen(serve.clone(), socket, uid));
    }
    tokio::spawn(phpmyadmin::drop_leftovers(serve.clone()));
    tokio::spawn(reaper::reap(serve.clone()));
    let loading = serve.clone();
    tokio::spawn(async move { loading.adapters.load_all(&loading).await });
    tokio::spawn(api::listen::panel(serve.clone(), panel, doors.panel()));
    tokio::spawn(api::listen::cli(serve.clone(), cli));
    tokio::spawn(gateway::listen(serve.clone(), gateway, doors.gateway()));
    // Watches for SIGHUP from here on, before anybody is told that the agent is ready.
    tokio::spawn(doors.keep(path.to_owned())?);
    notify::ready();
    tracing::info!(panel = %serve.config.panel.listen, gateway = %serve.config.gateway.url, "ready");
    notify::stopped().await?;
    tracing::info!("stopping");
    transfers.stop();
    events::write_all(&serve).await;
    Ok(())
}

fn bind_frames(settings: &config::Ftp) -> anyhow::Result<Frames> {
    Frames::bind(&settings.socket).with_context(|| format!("cannot listen on {}", settings.socket.display()))
}

/// The socket of phpMyAdmin, with the uid that may ask there; none where it cannot be: nothing else depends on it.
fn phpmyadmins_socket(settings: &phpmyadmin::Settings) -> Option<(UnixListener, u32)> {
    bind_phpmyadmin(settings).map_err(|error| tracing::error!("phpMyAdmin cannot ask: {error:#}")).ok()
}

fn bind_phpmyadmin(settings: &phpmyadmin::Settings) -> anyhow::Result<(UnixListener, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let uid = phpmyadmin::uid_of(&accounts, &settings.user);
    let uid = uid.with_context(|| format!("phpmyadmin.user: there is no user {} on this node", settings.user))?;
    let listener = bind_unix(&settings.socket, 0o600)?;
    phpmyadmin::admit(&settings.socket, uid).context("let phpMyAdmin's user in at its socket")?;
    Ok((listener, uid))
}

/// Where files are transferred: a runtime of their own, so that a slow disk of a site delays neither panel nor gateway.
struct Transfers(Option<Runtime>);

impl Transfers {
    /// Listens for SFTP clients, if the configuration says so.
    fn start(serve: &Arc<Serve>, key: Option<HostKey>) -> anyhow::Result<Self> {
        let (Some(settings), Some(key)) = (&serve.config.sftp, key) else { return Ok(Self(None)) };
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("sftp").enable_all().build()?;
        let listener = std::net::TcpListener::bind(settings.listen)
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(sftp::listen(serve.clone(), listener, key));
        Ok(Self(Some(runtime)))
    }

    /// Cuts off what is under way.
    fn stop(self) {
        if let Some(runtime) = self.0 {
            runtime.shutdown_background();
        }
    }
}

async fn bind_tcp(address: std::net::SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

fn bind_unix(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    let context = || format!("cannot listen on {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(context),
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(context)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).with_context(context)?;
    Ok(listener)
}
