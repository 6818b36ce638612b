//! Ending a session from outside: at its socket, since what the SSH layer would send waits for a peer that may not read.

use std::sync::{Arc, Weak};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Gate;

/// Ends a session, as often as anybody likes, and tells when it has ended.
#[derive(Debug, Clone)]
pub struct SessionHandle {
    switch: Switch,
    alive: watch::Receiver<()>,
}

/// Ends a connection.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    stream: Weak<TcpStream>,
    gate: Arc<Gate>,
    thrown: Arc<watch::Sender<bool>>,
}

/// Held by whatever of a session can still touch a file: its tasks, and system calls on other threads.
#[derive(Debug, Clone)]
pub(crate) struct Alive {
    _held: Arc<watch::Sender<()>>,
}

/// Ends the connection when it is dropped.
#[derive(Debug)]
pub(crate) struct EndsWithConnection(pub(crate) Switch);

impl SessionHandle {
    /// The handle of a connection, and what keeps it from having ended.
    pub(crate) fn new(switch: Switch) -> (Self, Alive) {
        let (held, alive) = watch::channel(());
        (Self { switch, alive }, Alive { _held: Arc::new(held) })
    }

    /// Ends the session: its socket is shut at once, and its tasks let go of their files as soon as they run. Does not
    /// block; safe to repeat.
    pub fn kill(&self) {
        self.switch.throw();
    }

    /// Waits until nothing of the session can touch a file any more: every handle is closed, and every system call that
    /// was under way is over. An upload that was not closed by its client has left nothing.
    pub async fn ended(&self) {
        let mut alive = self.alive.clone();
        // Nothing is ever sent: this waits for the last holder to let go.
        while alive.changed().await.is_ok() {}
    }
}

impl Switch {
    pub(crate) fn of(stream: &Arc<TcpStream>, gate: &Arc<Gate>) -> Self {
        let thrown = Arc::new(watch::Sender::new(false));
        Self { stream: Arc::downgrade(stream), gate: Arc::clone(gate), thrown }
    }

    pub(crate) fn throw(&self) {
        self.thrown.send_replace(true);
        self.gate.end();
        // A socket that is gone, or that the peer has left, needs no shutting.
        if let Some(stream) = self.stream.upgrade() {
            let _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both);
        }
    }

    pub(crate) fn is_thrown(&self) -> bool {
        *self.thrown.borrow()
    }

    /// Waits until it is thrown.
    pub(crate) async fn thrown(&self) {
        let mut thrown = self.thrown.subscribe();
        // The sender is ours, so this cannot fail.
        let _ = thrown.wait_for(|thrown| *thrown).await;
    }
}

impl Drop for EndsWithConnection {
    fn drop(&mut self) {
        self.0.throw();
    }
}
