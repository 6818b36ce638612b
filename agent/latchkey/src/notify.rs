//! The process and its supervisor: logging, being ready, being told to stop.

use std::os::unix::net::UnixDatagram;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::LogFormat;

/// Starts the log on standard error.
pub(crate) fn start_logging(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info,hyper=warn,rustls=warn"));
    // A second subscriber in the same process is refused; the first goes on.
    let _ = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
}

/// Tells the supervisor that everything listens.
#[expect(clippy::disallowed_methods, reason = "NOTIFY_SOCKET is how a supervisor says where it listens")]
pub(crate) fn ready() {
    let Ok(address) = std::env::var("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"READY=1", address));
    if let Err(error) = told {
        tracing::warn!(%error, "the supervisor could not be told that the agent is ready");
    }
}

/// Waits until the process is told to stop.
pub(crate) async fn stopped() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
