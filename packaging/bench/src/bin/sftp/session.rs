//! A client of which a thousand cost little: russh's SSH, and as much of SFTP as is needed to hold a session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use russh::client::{self, Handle, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelMsg};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the client allows the server to send more when it has received something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Refilled,
    /// After the first bytes nothing more may be sent.
    Stuck,
}

/// What the SSH layer asks.
pub(crate) struct Peer(Window);

impl Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    fn adjust_window(&mut self, _: ChannelId, window: u32) -> u32 {
        match self.0 {
            Window::Refilled => window,
            Window::Stuck => 0,
        }
    }
}

/// Who comes, and from where.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) address: SocketAddr,
    pub(crate) from: Ipv4Addr,
    pub(crate) login: String,
    pub(crate) key: Arc<PrivateKey>,
}

/// A session that was begun.
pub(crate) struct Session {
    pub(crate) channel: Channel<client::Msg>,
    received: Vec<u8>,
    _connection: Handle<Peer>,
}

impl Session {
    /// Connects, signs in, and begins SFTP.
    pub(crate) async fn begin(visit: &Visit, window: Window) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((visit.from, 0).into()).context("take an address")?;
        let stream = socket.connect(visit.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        // What the session does not read is kept here, so that the connection goes on.
        let config = client::Config { channel_buffer_size: 100_000, ..client::Config::default() };
        let mut connection = client::connect_stream(Arc::new(config), stream, Peer(window)).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&visit.key), None);
        let signed_in = connection.authenticate_publickey(visit.login.as_str(), key).await?;
        ensure!(signed_in.success(), "the key was refused");
        let channel = connection.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        let mut session = Self { channel, received: Vec::new(), _connection: connection };
        session.send(&[1, 0, 0, 0, 3]).await?;
        ensure!(session.reply().await?.first() == Some(&2), "expected the version");
        Ok(session)
    }

    /// Opens a file for reading: its handle.
    pub(crate) async fn open(&mut self, path: &str) -> Result<Vec<u8>> {
        self.send(
            &[&[3, 0, 0, 0, 1][..], &string(path.as_bytes()), &1_u32.to_be_bytes(), &0_u32.to_be_bytes()].concat(),
        )
        .await?;
        let reply = self.reply().await?;
        ensure!(reply.first() == Some(&102), "expected a handle");
        Ok(reply.get(9..).context("expected a handle")?.to_vec())
    }

    /// Asks for bytes of a file, without waiting for them.
    pub(crate) async fn ask_for(&self, handle: &[u8], offset: u64, length: u32) -> Result<()> {
        self.send(&[&[5, 0, 0, 0, 2][..], &string(handle), &offset.to_be_bytes(), &length.to_be_bytes()].concat()).await
    }

    /// Whether it answers.
    pub(crate) async fn lives(&mut self) -> bool {
        let asked = self.send(&[&[16, 0, 0, 0, 3][..], &string(b"/")].concat()).await;
        asked.is_ok() && self.reply().await.is_ok()
    }

    /// Waits until the server ends it.
    pub(crate) async fn ended(mut self) {
        while self.channel.wait().await.is_some() {}
    }

    async fn send(&self, packet: &[u8]) -> Result<()> {
        Ok(self.channel.data(&*string(packet)).await?)
    }

    /// The next packet, without its length.
    async fn reply(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((length, rest)) = self.received.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some(packet) = rest.get(..length) {
                    let packet = packet.to_vec();
                    self.received.drain(..4 + length);
                    return Ok(packet);
                }
            }
            match timeout(PATIENCE, self.channel.wait()).await.context("wait for a reply")? {
                Some(ChannelMsg::Data { data }) => self.received.extend_from_slice(&data),
                Some(_) => {}
                None => bail!("the session has ended"),
            }
        }
    }
}

/// With its length before it.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}
