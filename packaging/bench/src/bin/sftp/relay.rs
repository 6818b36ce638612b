//! A long way: a relay that holds back what goes through it, each way for half of the round trip.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// One way; there and back is twice that.
const ONE_WAY: Duration = Duration::from_millis(50);
const PIECE_BYTES: usize = 64 << 10;
/// As much is on the way at most, as in a fast network with deep buffers.
const PIECES: usize = 1024;

/// A relay; dropping it ends it.
pub(crate) struct Relay {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// Begins to listen, for whoever wants to go to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let address = listener.local_addr().context("find the relay's port")?;
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(relay(near, target));
            }
        });
        Ok(Self { address, accepting })
    }
}

async fn relay(near: TcpStream, target: SocketAddr) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    // Without it the relay would add waits of its own.
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(carry(near_in, far_out), carry(far_in, near_out));
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let reading = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            match from.read_buf(&mut piece).await {
                Ok(1..) if send.send((Instant::now() + ONE_WAY, piece)).await.is_ok() => {}
                _ => break,
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = receive.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        // An error means that the other end is gone.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
