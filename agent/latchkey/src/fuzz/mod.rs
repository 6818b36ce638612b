//! What a stranger, a panel, a site and an operator can send us, as functions of bytes: the fuzz targets.
//!
//! A target panics when an invariant breaks. `cargo xtask fuzz` drives them; here they only replay what is kept in
//! `fuzz/corpus`, so that what was found once stays fixed.

mod node;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use self::node::Node;
use crate::accounts::AuthorizedKey;
use crate::api::peer::Peer;
use crate::config::Config;
use crate::guesses::Guesses;
use crate::logs::mask::masked;
use crate::net::serve_http;
use crate::room::{Places, Room};
use crate::sample::UID;
use crate::wordpress::{bridge, redeemer};
use crate::{api, gateway};

/// A target: any bytes, and a panic if something is wrong.
pub type Target = fn(&[u8]);

/// Every target of this crate, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 8] = [
    ("api", api_requests),
    ("gateway", gateway_requests),
    ("bridge", bridge_replies),
    ("redeemer", redeemer_lines),
    ("certificate", certificates),
    ("configuration", configurations),
    ("keys", public_keys),
    ("log-lines", log_lines),
];

/// Longer than any deadline of ours, on a clock that runs ahead whenever nobody works.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes at the panel's listener, by a peer that may act for everybody: request line, headers and body.
fn api_requests(bytes: &[u8]) {
    Node::run(async |node| {
        let answer = converse(api::listen::router(&node.serve), Arc::new(Peer::cli()), bytes).await;
        never_at_fault(&answer);
    });
}

/// Bytes at the gateway's listener, by anybody on the internet.
fn gateway_requests(bytes: &[u8]) {
    Node::run(async |node| {
        let answer = converse(gateway::router_of(node.serve.clone()), nowhere(), bytes).await;
        never_at_fault(&answer);
        node.nobody_gained_anything();
    });
}

/// A line of a log, which holds what visitors sent; after NUL its rest. A secret between both is hidden whatever they are.
fn log_lines(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (before, behind) = text.split_once('\0').unwrap_or((&text, ""));
    let line = format!("{before}&password=pl4nted{behind}").replace('\0', " ");
    let shown = masked(&line);
    assert!(
        !shown.contains("pl4nted") || before.contains("pl4nted") || behind.contains("pl4nted"),
        "a secret is shown"
    );
    assert!(shown.len() <= line.len() * 3, "more came out than went in");
}

/// What a site wrote to descriptor 3.
fn bridge_replies(bytes: &[u8]) {
    bridge::read_any_answer(bytes);
}

/// What somebody with the hosting's uid, and somebody else, writes to the redeemer's socket.
fn redeemer_lines(bytes: &[u8]) {
    for uid in [UID, UID + 1] {
        Node::run(async |node| {
            let (mut near, far) = UnixStream::pair().expect("a pair of sockets");
            let conversation = tokio::spawn({
                let serve = node.serve.clone();
                async move { redeemer::converse(&serve, &Guesses::default(), far, uid).await }
            });
            let answer = exchange(&mut near, bytes).await;
            drop(near);
            in_time(conversation).await.expect("the redeemer did not panic");
            if uid != UID {
                assert!(!answer.starts_with(b"{\"ok\":true"), "another system user redeemed a hand-over");
            }
            node.nobody_gained_anything();
        });
    }
}

/// A certificate that the TLS library has let through.
fn certificates(bytes: &[u8]) {
    let peer = Peer::of_certificate(bytes, &node::peers(), "127.0.0.1".into());
    let is_listed = node::peers().iter().any(|known| known.uri == peer.name);
    assert_eq!(peer.must_be_known().is_ok(), is_listed, "{}", peer.name);
}

/// A configuration file.
fn configurations(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Refused, or usable as it is.
    let _ = Config::parse(std::path::Path::new("latchkey.toml"), &text);
}

/// The public keys that somebody hands in for a file account.
fn public_keys(bytes: &[u8]) {
    let lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    let Ok(keys) = AuthorizedKey::parse_all(&lines) else { return };
    // What was taken is taken again as it is shown, so that a person may save what they see.
    let shown: Vec<String> = keys.iter().map(|key| key.line().to_owned()).collect();
    assert_eq!(AuthorizedKey::parse_all(&shown).expect("keys that were taken before"), keys);
    assert!(keys.iter().all(|key| key.fingerprint().starts_with("SHA256:")));
}

/// Where a peer is that no socket knows.
fn nowhere() -> gateway::Address {
    gateway::Address::new(Ipv4Addr::LOCALHOST.into())
}

async fn converse<T: Clone + Send + Sync + 'static>(router: Router, known: T, bytes: &[u8]) -> Vec<u8> {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    let place = Room::new(Places { in_all: 1, of_one: 1 }).enter(()).expect("a place in an empty room");
    let connection = tokio::spawn(serve_http(far, router, known, Arc::new(place)));
    let answer = exchange(&mut near, bytes).await;
    drop(near);
    in_time(connection).await.expect("the connection did not panic");
    answer
}

async fn exchange(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> Vec<u8> {
    // Whoever was refused may find the stream closed while still writing.
    let _ = stream.write_all(bytes).await;
    // Not hung up: that would cancel what was asked. Our deadlines end it, and a stream of events never does.
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.take(4 << 20).read_to_end(&mut answer)).await;
    answer
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("an end in time after the peer has hung up")
}

/// No input is the agent's own fault: `unavailable` is true here, where no broker runs, and `internal` never.
fn never_at_fault(answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    assert!(!text.contains("HTTP/1.1 500"), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_each_target_holds() {
        let corpora = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let kept = std::fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path());
            let inputs: Vec<_> = kept.map(|path| std::fs::read(path).unwrap()).collect();
            assert!(inputs.len() >= 5, "the corpus of {name} is too small");
            inputs.iter().for_each(|input| target(input));
        }
    }

    #[test]
    fn the_way_to_the_person_s_own_share_is_open() {
        // Otherwise the targets would prove nothing: their requests must be able to get in.
        let request = b"GET /v1/instances HTTP/1.1\r\nhost: x\r\nlatchkey-actor: anna@example.org\r\n\r\n";
        Node::run(async |node| {
            let answer = converse(api::listen::router(&node.serve), Arc::new(Peer::cli()), request).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"live\""), "{text}");
        });
        let form = format!("POST /i/{} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", node::INVITATION);
        Node::run(async |node| {
            let answer = converse(gateway::router_of(node.serve.clone()), nowhere(), form.as_bytes()).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 303") && text.contains("__Host-latchkey="), "{text}");
        });
    }
}
