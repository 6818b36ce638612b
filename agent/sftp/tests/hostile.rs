//! Peers that mean harm, or nothing: they cost a bound, and good clients are served beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, starts programs by name and reads the clock"
)]

mod node;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use latchkey_sftp::Limits;
use node::raw::{self, READ, Raw, request, string};
use node::{Node, PASSWORD, WRITER, noise, patient, text, wait_for};
use russh::client;

/// A good client does its work.
#[track_caller]
fn good_client_is_served(node: &Node) {
    fs::write(node.local("good"), "good").unwrap();
    text(&node.sftp(WRITER, &[], "put good\nget good back\nrm good\n"));
    assert_eq!(fs::read(node.local("back")).unwrap(), b"good");
}

/// What this process holds, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Waits until the server has closed a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_thousand_half_open_connections_keep_nobody_out() {
    let node = Node::start();
    let mut open: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(node.address).unwrap()).collect();
    good_client_is_served(&node);
    // All but the ten newest of this source had to make place.
    assert!(open.iter_mut().take(900).all(is_closed));
}

#[test]
fn whoever_does_not_sign_in_in_time_is_sent_away() {
    let node = Node::with(Limits { login_grace: Duration::from_millis(300), ..patient() });
    let mut signed_in = node.runtime.block_on(Raw::begin(&node, WRITER));
    let mut silent = TcpStream::connect(node.address).unwrap();
    let mut slow = TcpStream::connect(node.address).unwrap();
    slow.write_all(b"SSH-2.0-slow\r\n").unwrap();
    assert!(is_closed(&mut silent));
    assert!(is_closed(&mut slow));
    assert_eq!(node.runtime.block_on(signed_in.on_path(16, b"/")).kind, 104);
}

#[test]
fn no_channel_opens_before_signing_in_and_no_other_name_gets_in_with_a_proof() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut early = client::connect(Default::default(), node.address, raw::Anybody).await.unwrap();
        let opened = tokio::time::timeout(Duration::from_millis(300), early.channel_open_session()).await;
        assert!(!matches!(opened, Ok(Ok(_))), "a channel opened before anybody signed in");
        let mut other = client::connect(Default::default(), node.address, raw::Anybody).await.unwrap();
        assert!(!other.authenticate_password("nobody", PASSWORD).await.unwrap().success());
        assert!(other.authenticate_password(WRITER, PASSWORD).await.unwrap().success());
        assert!(!early.authenticate_password(WRITER, "wrong").await.is_ok_and(|result| result.success()));
    });
    good_client_is_served(&node);
}

#[test]
fn a_login_that_does_not_exist_is_refused_like_a_wrong_password() {
    let node = Node::with(Limits { rejection_time: Duration::from_millis(200), ..patient() });
    node.runtime.block_on(async {
        let mut answers = Vec::new();
        for login in [WRITER, "nobody"] {
            let mut client = client::connect(Default::default(), node.address, raw::Anybody).await.unwrap();
            let began = Instant::now();
            let answer = client.authenticate_password(login, "wrong").await.unwrap();
            assert!(began.elapsed() >= Duration::from_millis(200), "refused at once");
            answers.push(format!("{answer:?}"));
        }
        assert_eq!(answers[0], answers[1]);
    });
}

#[test]
fn attempts_are_counted_and_a_source_that_fails_too_often_waits_outside() {
    let limits =
        Limits { penalty: Duration::from_secs(5), penalty_from: Duration::from_secs(12), attempts: 2, ..patient() };
    let node = Node::with(limits);
    good_client_is_served(&node);
    node.runtime.block_on(async {
        for _ in 0..2 {
            let mut client = client::connect(Default::default(), node.address, raw::Anybody).await.unwrap();
            for _ in 0..2 {
                assert!(!client.authenticate_password(WRITER, "wrong").await.unwrap().success());
            }
            // The third is not answered any more.
            let third = client.authenticate_password(WRITER, PASSWORD).await;
            assert!(!third.is_ok_and(|answer| answer.success()));
        }
    });
    wait_for("connections are refused", || {
        let mut stream = TcpStream::connect(node.address).unwrap();
        stream.read(&mut [0; 1]).is_ok_and(|count| count == 0)
    });
}

#[test]
fn ten_thousand_channels_are_refused_beyond_the_first_ten() {
    let node = Node::start();
    let before = memory();
    node.runtime.block_on(async {
        let connection = raw::connection(&node, WRITER).await;
        let mut open = Vec::new();
        for _ in 0..10_000 {
            if let Ok(channel) = connection.channel_open_session().await {
                open.push(channel);
            }
        }
        assert_eq!(open.len(), 10);
        drop(open);
    });
    assert!(memory().saturating_sub(before) < 64 << 20);
    good_client_is_served(&node);
}

#[test]
fn a_flood_of_reads_without_a_reader_is_held_at_the_gate() {
    let node = Node::start();
    fs::write(node.site("f"), noise(1 << 20)).unwrap();
    good_client_is_served(&node);
    let before = memory();
    node.runtime.block_on(async {
        // Its own window is closed: no reply gets through.
        let config = client::Config { window_size: 100, ..client::Config::default() };
        let connection = raw::connection_with(&node, WRITER, config).await;
        let raw = Raw::on(connection).await;
        raw.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await;
        raw.send(&request(3, 1, &[&string(b"f"), &READ.to_be_bytes(), &0_u32.to_be_bytes()])).await;
        let handle = string(&1_u32.to_be_bytes());
        let one = request(5, 9, &[&handle, &0_u64.to_be_bytes(), &262_144_u32.to_be_bytes()]);
        let flood = one.repeat(1000);
        // 320 MB, as far as they are taken.
        let sent = tokio::time::timeout(Duration::from_secs(5), async {
            for _ in 0..10_000 {
                raw.send(&flood).await;
            }
        });
        assert!(sent.await.is_err(), "all of it was taken");
        let grown = memory().saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes");
        tokio::task::block_in_place(|| good_client_is_served(&node));
    });
}

#[test]
fn packets_that_are_none_end_the_connection_and_nothing_else() {
    let node = Node::start();
    let init = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    let bad: [Vec<u8>; 6] = [
        request(17, 1, &[&string(b"/")]),
        [&init[..], &init].concat(),
        [&init[..], &[0, 0, 0, 0]].concat(),
        [&init[..], &[0xff, 0xff, 0xff, 0xff, 17]].concat(),
        [&init[..], &request(17, 1, &[&[0, 0, 0, 9, b'x']])].concat(),
        [&init[..], &request(6, 1, &[&string(b"h"), &[0; 8], &[0, 0, 0, 9], b"x"])].concat(),
    ];
    node.runtime.block_on(async {
        for bytes in bad {
            let mut raw = Raw::on(raw::connection(&node, WRITER).await).await;
            raw.send(&bytes).await;
            let ended = tokio::time::timeout(Duration::from_secs(10), async { while raw.packet().await.is_some() {} });
            ended.await.unwrap_or_else(|_| panic!("it went on after {bytes:?}"));
        }
    });
    wait_for("all sessions have ended", || node.gatekeeper.seen.lock().unwrap().left == 6);
    good_client_is_served(&node);
}

#[test]
fn requests_at_the_wrong_time_end_the_connection() {
    let node = Node::start();
    node.runtime.block_on(async {
        let second = Raw::begin(&node, WRITER).await;
        second.channel.request_subsystem(true, "sftp").await.unwrap();
        let data = raw::connection(&node, WRITER).await;
        let early = data.channel_open_session().await.unwrap();
        early.data(&b"early"[..]).await.unwrap();
        let many = raw::connection(&node, WRITER).await;
        let variables = many.channel_open_session().await.unwrap();
        for _ in 0..100 {
            if variables.set_env(false, "A", "B").await.is_err() {
                break;
            }
        }
        wait_for("all three have been sent away", || {
            second.connection.is_closed() && data.is_closed() && many.is_closed()
        });
    });
    good_client_is_served(&node);
}

#[test]
fn many_sessions_are_ended_at_once_and_the_others_go_on() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut idle = Vec::new();
        for _ in 0..50 {
            idle.push(Raw::begin(&node, WRITER).await);
        }
        let sessions = node.gatekeeper.seen.lock().unwrap().sessions.clone();
        for session in &sessions[..49] {
            session.kill();
        }
        for session in &sessions[..49] {
            session.ended().await;
        }
        let last = idle.last_mut().unwrap();
        assert_eq!(last.on_path(16, b"/").await.kind, 104);
        for raw in &mut idle[..49] {
            assert_eq!(raw.packet().await, None);
        }
    });
}

/// A session that asks and asks and reads no reply, until nothing more is taken.
async fn flooding(node: &Node) -> Raw {
    let config = client::Config { window_size: 100, ..client::Config::default() };
    let flooding = Raw::on(raw::connection_with(node, WRITER, config).await).await;
    flooding.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await;
    let flood = request(17, 9, &[&string(b"f")]).repeat(1000);
    let send = async { while flooding.channel.data(&flood[..]).await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), send).await;
    flooding
}

#[test]
fn a_flood_that_nobody_reads_the_replies_of_is_cut_off() {
    let node = Node::with(Limits { stuck_after: Duration::from_millis(600), ..patient() });
    fs::write(node.site("f"), noise(1 << 20)).unwrap();
    node.runtime.block_on(async {
        let quiet = Raw::begin(&node, WRITER).await;
        let flooding = flooding(&node).await;
        wait_for("it is cut off", || flooding.connection.is_closed());
        // Who only says nothing is waited for.
        assert!(!quiet.connection.is_closed());
    });
}

/// Connections that leave a key exchange unfinished, in this way; they are at that when this returns.
fn stalling(node: &Node, how: &str, count: usize) -> Child {
    let python = xtask::python::environment_of("sftp-clients").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/stalls.py");
    let mut command = node.command(python.to_str().unwrap());
    command.arg(script).args([how, &node.port(), WRITER, PASSWORD, &count.to_string()]);
    let mut stalling = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(stalling.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "stalled\n");
    stalling
}

#[test]
fn key_exchanges_that_a_client_leaves_unfinished_cost_a_bound_and_end() {
    let (short, long) = (Duration::from_secs(4), Duration::from_secs(15 * 60));
    // Each by the one limit that is its own: nothing comes in, something comes that may not, what comes is not taken.
    for (how, count, inactivity, stuck_after) in
        [("begins", 8, short, long), ("begins and floods", 2, long, long), ("ignores and floods", 2, long, short)]
    {
        let node = Node::with(Limits { inactivity, stuck_after, rekey_after_bytes: 64 << 10, ..patient() });
        fs::write(node.site("f"), noise(1 << 20)).unwrap();
        good_client_is_served(&node);
        let before = memory();
        let mut stalling = stalling(&node, how, count);
        let grown = memory().saturating_sub(before);
        assert!(grown < 64 << 20, "{how}: {grown} bytes");
        good_client_is_served(&node);
        assert!(stalling.wait().unwrap().success(), "{how}");
        wait_for("all sessions have ended", || node.gatekeeper.seen.lock().unwrap().left == count + 2);
    }
}

#[test]
fn a_session_is_ended_also_while_its_client_leaves_a_key_exchange_unfinished() {
    let node = Node::start();
    fs::write(node.site("f"), noise(1 << 20)).unwrap();
    let mut stalling = stalling(&node, "begins", 1);
    the_session_is_ended(&node);
    assert!(stalling.wait().unwrap().success());
}

/// At once, and nothing of it stays.
#[track_caller]
fn the_session_is_ended(node: &Node) {
    let session = node.gatekeeper.seen.lock().unwrap().sessions[0].clone();
    session.kill();
    let ended = node.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), session.ended()).await });
    ended.expect("something of it stays");
}

#[test]
fn a_session_is_ended_also_behind_a_closed_gate() {
    let node = Node::start();
    fs::write(node.site("f"), noise(1 << 20)).unwrap();
    let _flooding = node.runtime.block_on(flooding(&node));
    the_session_is_ended(&node);
}

#[test]
fn connections_of_one_source_are_bounded_and_idle_ones_end() {
    let limits = Limits { connections_of_one: 2, inactivity: Duration::from_secs(2), ..patient() };
    let node = Node::with(limits);
    node.runtime.block_on(async {
        let (first, second) = (Raw::begin(&node, WRITER).await, Raw::begin(&node, WRITER).await);
        let third = raw::connection(&node, WRITER).await;
        wait_for("the third is sent away", || third.is_closed());
        assert!(!first.connection.is_closed() && !second.connection.is_closed());
        wait_for("idle ones end", || first.connection.is_closed() && second.connection.is_closed());
    });
}
