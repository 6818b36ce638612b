//! Event streams of the API that stay open, read by a real client beside the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use xtask::node::{Certificate, Node};
use xtask::process::Program;

use crate::waiting::eventually;

/// A stream of audit events that somebody listens to.
pub struct AuditStream {
    events: Arc<AtomicUsize>,
    reader: JoinHandle<()>,
}

impl AuditStream {
    /// Opens one as the panel with this certificate; its first event has come.
    #[must_use]
    #[track_caller]
    pub fn open(node: &Node, certificate: &Certificate) -> Self {
        let agent = node.agent().unwrap();
        let curl = Program::new("curl")
            .args(["--silent", "--no-buffer", "--noproxy", "*", "--max-time", "120"])
            .args(["--header", "Latchkey-Actor: panel", "--header", "Accept: text/event-stream"])
            .arg("--cacert")
            .arg(agent.ca())
            .arg("--cert")
            .arg(&certificate.certificate)
            .arg("--key")
            .arg(&certificate.key)
            .arg(format!("{}/v1/audit", agent.urls().panel));
        let events = Arc::new(AtomicUsize::new(0));
        let seen = events.clone();
        let reader = std::thread::spawn(move || {
            let read = curl.lines(|line| {
                if line.starts_with("event:") {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
            // However it ends, its end is what the test looks at.
            drop(read);
        });
        let stream = Self { events, reader };
        eventually("the first event has come", || stream.events() > 0);
        stream
    }

    /// How many events came.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }

    /// Whether nobody sends any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }
}
