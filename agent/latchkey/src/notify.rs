//! The process and its supervisor: logging, being ready, being told to stop.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::print::visible;
use crate::config::LogFormat;

/// Starts the log on standard error: one line an event, with the id of the request that it belongs to.
pub(crate) fn start_logging(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_writer(|| Lines(std::io::stderr()))
        .with_env_filter(tracing_subscriber::EnvFilter::new("info,hyper=warn,rustls=warn"));
    // A second subscriber in the same process is refused; the first goes on.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
}

/// Writes each event as one line, whatever the texts in it hold: they come from sites, mail servers and callers.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = visible(text.trim_end_matches('\n')).replace('\n', "\\n") + "\n";
        self.0.write_all(line.as_bytes()).map(|()| event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line_whatever_its_text_holds() {
        let mut written = Vec::new();
        let event = "WARN said: a\nERROR forged \u{1b}[2J\u{202e}\n";
        Lines(&mut written).write_all(event.as_bytes()).unwrap();
        let line = String::from_utf8(written).unwrap();
        assert_eq!(line, "WARN said: a\\nERROR forged \\u{1b}[2J\\u{202e}\n");
    }
}
