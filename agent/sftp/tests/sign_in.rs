//! Up to signing in: how many may try, with how many keys, and what does not let in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

mod node;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latchkey_sftp::{HostKey, Limits, PublicKey};
use node::raw::{self, Raw, string};
use node::{Node, PASSWORD, WRITER, complaint, patient, run, text, wait_for};
use russh::client::{self, DisconnectReason};
use russh::keys::HashAlg;
use russh::keys::PublicKeyOrCertificate;
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

#[test]
fn a_client_may_ask_about_twenty_keys_and_no_more() {
    // A key that is only asked about takes none of a failure's time.
    let failure = Duration::from_secs(20);
    let node = Node::with(Limits { rejection_time: failure, ..patient() });
    let wrong: Vec<String> = (0..20)
        .map(|number| {
            let path = node.path(&format!("wrong-{number}"));
            fs::write(&path, HostKey::generate().unwrap().to_secret_text().unwrap()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            format!("-oIdentityFile={}", path.display())
        })
        .collect();
    fs::write(node.path("batch"), "ls\n").unwrap();
    let after = |wrong: &[String]| {
        let mut sftp = node.command("sftp");
        // OpenSSH asks in the order in which they are named; the right one is named last.
        sftp.args(wrong).args(node.openssh_options()).arg("-b").arg(node.path("batch"));
        run(sftp.arg(format!("{WRITER}@127.0.0.1")))
    };
    let began = Instant::now();
    text(&after(&wrong[..19]));
    assert!(began.elapsed() < failure);
    complaint(&after(&wrong));
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

async fn client(node: &Node) -> client::Handle<raw::Anybody> {
    client::connect(Default::default(), node.address, raw::Anybody).await.unwrap()
}

#[test]
fn keys_that_are_asked_about_are_no_failures_and_wrong_passwords_are() {
    let node = Node::with(Limits { attempts: 2, ..patient() });
    node.runtime.block_on(async {
        let mut client = client(&node).await;
        let mut signer = Signer { with: None, was_asked: false };
        for _ in 0..19 {
            let key = PublicKey::from_openssh(&HostKey::generate().unwrap().public_line()).unwrap();
            let answer = client.authenticate_publickey_with(WRITER, key, None, &mut signer).await;
            assert!(!answer.unwrap().success() && !signer.was_asked);
        }
        for _ in 0..2 {
            assert!(!client.authenticate_password(WRITER, "wrong").await.unwrap().success());
        }
        // Not answered any more.
        let third = client.authenticate_password(WRITER, PASSWORD).await;
        assert!(!third.is_ok_and(|answer| answer.success()));
    });
}

/// A client that keeps what the server said when it disconnected.
struct Told(Arc<Mutex<Option<String>>>);

impl client::Handler for Told {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        if let DisconnectReason::ReceivedDisconnect(said) = reason {
            *self.0.lock().unwrap() = Some(format!("{:?}: {}", said.reason_code, said.message));
        }
        Ok(())
    }
}

#[test]
fn who_has_no_attempts_left_is_told_so_and_is_out() {
    let node = Node::with(Limits { attempts: 2, ..patient() });
    let told = Arc::new(Mutex::new(None));
    node.runtime.block_on(async {
        let mut client = client::connect(Default::default(), node.address, Told(Arc::clone(&told))).await.unwrap();
        for _ in 0..2 {
            assert!(!client.authenticate_password(WRITER, "wrong").await.unwrap().success());
            assert_eq!(*told.lock().unwrap(), None);
        }
        let third = client.authenticate_password(WRITER, PASSWORD).await;
        assert!(!third.is_ok_and(|answer| answer.success()));
        tokio::time::timeout(Duration::from_secs(10), client).await.expect("it is not out").unwrap();
    });
    let told = told.lock().unwrap().take();
    assert_eq!(told.as_deref(), Some("NoMoreAuthMethodsAvailable: signing in failed too often"));
    assert!(node.gatekeeper.seen.lock().unwrap().sessions.is_empty());
}

#[test]
fn proofs_that_are_wrong_are_failures() {
    let node = Node::with(Limits { attempts: 2, ..patient() });
    node.runtime.block_on(async {
        let mut client = client(&node).await;
        for _ in 0..2 {
            let mut signer = Signer { with: Some([7; 64]), was_asked: false };
            let key = node.gatekeeper.key.clone();
            let answer = client.authenticate_publickey_with(WRITER, key, None, &mut signer).await;
            assert!(signer.was_asked && !answer.unwrap().success());
        }
        let third = client.authenticate_password(WRITER, PASSWORD).await;
        assert!(!third.is_ok_and(|answer| answer.success()));
        assert!(self::client(&node).await.authenticate_password(WRITER, PASSWORD).await.unwrap().success());
    });
}

#[test]
fn a_key_that_is_offered_and_not_signed_with_does_not_let_in() {
    let node = Node::start();
    node.runtime.block_on(async {
        for with in [Some([7; 64]), None] {
            let mut signer = Signer { with, was_asked: false };
            let mut client = client(&node).await;
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
