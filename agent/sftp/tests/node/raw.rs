//! A client that sends what it likes: the SSH layer is russh's, every SFTP byte the test's.

use std::sync::Arc;

use russh::client::{self, AuthResult, Handler};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelMsg};

use super::{Node, PASSWORD};

/// Believes every server.
pub(crate) struct Anybody;

impl Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A connection that has signed in.
pub(crate) async fn connection(node: &Node, login: &str) -> client::Handle<Anybody> {
    connection_with(node, login, client::Config::default()).await
}

pub(crate) async fn connection_with(node: &Node, login: &str, config: client::Config) -> client::Handle<Anybody> {
    let mut handle = client::connect(Arc::new(config), node.address, Anybody).await.unwrap();
    let signed_in = handle.authenticate_password(login, PASSWORD).await.unwrap();
    assert!(matches!(signed_in, AuthResult::Success), "{signed_in:?}");
    handle
}

/// An SFTP session: packets out, packets in.
pub(crate) struct Raw {
    pub(crate) connection: client::Handle<Anybody>,
    pub(crate) channel: Channel<client::Msg>,
    received: Vec<u8>,
}

/// A reply: its type, and what follows its number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u8,
    pub(crate) id: u32,
    pub(crate) rest: Vec<u8>,
}

impl Reply {
    /// The code of a STATUS.
    #[track_caller]
    pub(crate) fn status(&self) -> u32 {
        assert_eq!(self.kind, 101, "{self:?}");
        number(&self.rest)
    }

    /// The code and the words of a STATUS.
    #[track_caller]
    pub(crate) fn words(&self) -> (u32, String) {
        let length = usize::try_from(number(&self.rest[4..])).unwrap();
        (self.status(), String::from_utf8_lossy(&self.rest[8..][..length]).into_owned())
    }

    /// The handle of a HANDLE.
    #[track_caller]
    pub(crate) fn handle(&self) -> Vec<u8> {
        assert_eq!(self.kind, 102, "{self:?}: {}", String::from_utf8_lossy(&self.rest));
        self.rest[4..].to_vec()
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Raw {
    /// Signed in, subsystem started, INIT exchanged.
    pub(crate) async fn begin(node: &Node, login: &str) -> Self {
        let connection = connection(node, login).await;
        let mut raw = Self::on(connection).await;
        raw.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await;
        let (kind, version) = raw.packet().await.unwrap();
        assert_eq!((kind, number(&version)), (2, 3));
        raw
    }

    /// Subsystem started, nothing sent.
    pub(crate) async fn on(connection: client::Handle<Anybody>) -> Self {
        let channel = connection.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        Self { connection, channel, received: Vec::new() }
    }

    pub(crate) async fn send(&self, bytes: &[u8]) {
        self.channel.data(bytes).await.unwrap();
    }

    /// The next packet, or `None` when the server has ended it.
    pub(crate) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if self.received.len() >= 4 {
                let end = 4 + usize::try_from(number(&self.received)).unwrap();
                if self.received.len() >= end {
                    let packet: Vec<u8> = self.received.drain(..end).collect();
                    return Some((packet[4], packet[5..].to_vec()));
                }
            }
            match self.channel.wait().await? {
                ChannelMsg::Data { data } => self.received.extend_from_slice(&data),
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// Sends a request and waits for a reply.
    pub(crate) async fn ask(&mut self, kind: u8, id: u32, body: &[&[u8]]) -> Reply {
        self.send(&request(kind, id, body)).await;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        let (kind, rest) = self.packet().await.expect("a reply");
        Reply { kind, id: number(&rest), rest: rest[4..].to_vec() }
    }

    /// OPEN with these flags; mode 0644.
    pub(crate) async fn open(&mut self, path: &[u8], flags: u32) -> Reply {
        self.ask(3, 1, &[&string(path), &flags.to_be_bytes(), &4_u32.to_be_bytes(), &0o644_u32.to_be_bytes()]).await
    }

    pub(crate) async fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> u32 {
        self.writes(handle, offset, bytes).await.status()
    }

    pub(crate) async fn writes(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> Reply {
        self.ask(6, 2, &[&string(handle), &offset.to_be_bytes(), &string(bytes)]).await
    }

    pub(crate) async fn close(&mut self, handle: &[u8]) -> u32 {
        self.ask(4, 3, &[&string(handle)]).await.status()
    }

    /// The content of a file as the session sees it, up to 32 KiB.
    pub(crate) async fn read(&mut self, handle: &[u8]) -> Reply {
        self.ask(5, 4, &[&string(handle), &0_u64.to_be_bytes(), &32_768_u32.to_be_bytes()]).await
    }

    pub(crate) async fn on_path(&mut self, kind: u8, path: &[u8]) -> Reply {
        self.ask(kind, 5, &[&string(path)]).await
    }

    pub(crate) async fn extended(&mut self, name: &str, body: &[&[u8]]) -> Reply {
        let name = string(name.as_bytes());
        let body: Vec<&[u8]> = std::iter::once(name.as_slice()).chain(body.iter().copied()).collect();
        self.ask(200, 6, &body).await
    }
}

pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const APPEND: u32 = 4;
pub(crate) const CREATE: u32 = 8;
pub(crate) const TRUNCATE: u32 = 16;
pub(crate) const EXCLUSIVE: u32 = 32;

/// A string with its length.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A whole request.
pub(crate) fn request(kind: u8, id: u32, body: &[&[u8]]) -> Vec<u8> {
    string(&[&[kind], &id.to_be_bytes()[..], &body.concat()].concat())
}
