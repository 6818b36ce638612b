//! Event streams of the API that stay open, read by a real client beside the test.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
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

/// The answer of an operation that goes on, read as it comes. Dropped, its reader hangs up.
pub struct OperationStream {
    lines: Arc<Mutex<Vec<String>>>,
    curl: Child,
    reader: JoinHandle<()>,
}

impl OperationStream {
    /// Runs an operation on behalf of somebody; its stream has begun.
    #[must_use]
    #[track_caller]
    pub fn open(node: &Node, actor: &str, instance: &str, operation: &str, input: &Value) -> Self {
        let agent = node.agent().unwrap();
        let certificate = agent.panel_certificate();
        let mut curl = Program::new("curl")
            .args(["--silent", "--no-buffer", "--fail", "--noproxy", "*", "--max-time", "120", "--request", "POST"])
            .args(["--header", "Content-Type: application/json", "--data-binary", &input.to_string()])
            .args(["--header", &format!("Latchkey-Actor: {actor}")])
            .arg("--cacert")
            .arg(agent.ca())
            .arg("--cert")
            .arg(&certificate.certificate)
            .arg("--key")
            .arg(&certificate.key)
            .arg(format!("{}/v1/instances/{instance}/operations/{operation}", agent.urls().panel))
            .piped()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (lines.clone(), curl.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(answer).lines().map_while(Result::ok) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let stream = Self { lines, curl, reader };
        eventually("the stream has begun", || !stream.lines().is_empty());
        stream
    }

    /// The lines that came.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a line has this in it.
    #[must_use]
    pub fn tells(&self, what: &str) -> bool {
        self.lines().iter().any(|line| line.contains(what))
    }

    /// Whether nobody sends any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }
}

impl Drop for OperationStream {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}
