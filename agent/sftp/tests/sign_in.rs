//! Up to signing in: how many may try, and what does not let in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

mod node;

use std::net::Ipv4Addr;
use std::time::Duration;

use latchkey_sftp::Limits;
use node::raw::{self, Raw, string};
use node::{Node, WRITER, patient, text, wait_for};
use russh::client;
use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

/// A connection from an address of the loopback network that has seen the server's greeting.
async fn greeted(node: &Node, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
    let mut stream = socket.connect(node.address).await.unwrap();
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    stream
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let closing = async { while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(Duration::from_millis(300), closing).await.is_ok()
}

#[test]
fn whoever_has_not_signed_in_is_bounded_over_all_sources_and_the_largest_makes_place() {
    let node = Node::with(Limits { starting: 3, starting_of_one: 100, ..patient() });
    node.runtime.block_on(async {
        let mut alone = greeted(&node, 2).await;
        let mut crowd = Vec::new();
        for _ in 0..4 {
            crowd.push(greeted(&node, 3).await);
        }
        let mut open = Vec::new();
        for stream in &mut crowd {
            open.push(!is_closed(stream).await);
        }
        assert_eq!(open, [false, false, true, true]);
        assert!(!is_closed(&mut alone).await);
    });
}

#[test]
fn whoever_has_signed_in_is_bounded_over_all_sources_and_stays() {
    let node = Node::with(Limits { connections: 2, ..patient() });
    node.runtime.block_on(async {
        let (first, second) = (Raw::begin(&node, WRITER).await, Raw::begin(&node, WRITER).await);
        let third = raw::connection(&node, WRITER).await;
        wait_for("the third is sent away", || third.is_closed());
        assert!(!first.connection.is_closed() && !second.connection.is_closed());
        drop(first);
        wait_for("there is a place again", || {
            tokio::task::block_in_place(|| node.sftp(WRITER, &[], "ls\n").status.success())
        });
    });
}

/// Signs with something else than the key, or not at all.
struct Signer {
    with: Option<[u8; 64]>,
    was_asked: bool,
}

#[derive(Debug)]
struct NotSigned;

impl From<russh::SendError> for NotSigned {
    fn from(_: russh::SendError) -> Self {
        Self
    }
}

impl russh::Signer for Signer {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        self.was_asked = true;
        let forged = self.with.ok_or(NotSigned)?;
        let signature = [string(b"ssh-ed25519"), string(&forged)].concat();
        Ok([to_sign, string(&signature)].concat())
    }
}

#[test]
fn a_key_that_is_offered_and_not_signed_with_does_not_let_in() {
    let node = Node::start();
    node.runtime.block_on(async {
        for with in [Some([7; 64]), None] {
            let mut signer = Signer { with, was_asked: false };
            let mut client = client::connect(Default::default(), node.address, raw::Anybody).await.unwrap();
            let key = node.gatekeeper.key.clone();
            let answer = client.authenticate_publickey_with(WRITER, key, None, &mut signer).await;
            assert!(signer.was_asked, "the server does not know the key");
            assert!(!answer.is_ok_and(|answer| answer.success()));
            let opened = tokio::time::timeout(Duration::from_millis(300), client.channel_open_session()).await;
            assert!(!matches!(opened, Ok(Ok(_))), "a channel opened for a key that nobody signed with");
        }
    });
    assert!(node.gatekeeper.seen.lock().unwrap().sessions.is_empty());
    text(&node.sftp(WRITER, &[], "ls\n"));
}
