//! Deadlines and bounds of a connection, on streams without a network.

use std::time::Duration;

use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;

/// Told by each reply that is held.
static HOLDS: Notify = Notify::const_new();
const PATIENCE: Duration = Duration::from_millis(300);

/// What a connection answers to these bytes, and how long it took until it was closed.
async fn talk(bytes: &[u8]) -> (String, Duration) {
    let (mut theirs, _place) = connect(usize::MAX);
    let start = Instant::now();
    theirs.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    theirs.read_to_end(&mut answer).await.unwrap();
    (String::from_utf8(answer).unwrap(), start.elapsed())
}

/// A connection served beside us, with a route for each method, in a room of so many places.
fn connect(places: usize) -> (DuplexStream, Room<&'static str>) {
    let (ours, theirs) = duplex(256 << 10);
    let room = Room::new(Places { in_all: places, of_one: places });
    let place = Arc::new(room.enter("here").unwrap());
    let checked = async |request: axum::extract::Request| match check_head(&request) {
        Ok(()) => StatusCode::OK,
        Err(problem) => StatusCode::from_u16(problem.status).unwrap(),
    };
    let waits = async |body: Bytes| body.len().to_string();
    let held = async || {
        HOLDS.notify_one();
        let mut reply = Response::new(Body::from("held"));
        reply.extensions_mut().insert(Held(PATIENCE));
        reply
    };
    let router =
        Router::new().route("/", get(checked)).route("/body", post(waits)).route("/held", get(held)).with_state(());
    tokio::spawn(async move {
        tokio::select! {
            () = serve_http_within(PATIENCE, ours, router, (), place.clone()) => {}
            () = place.displaced() => {}
        }
    });
    (theirs, room)
}

#[tokio::test]
async fn whoever_sends_nothing_or_half_of_the_headers_is_cut_off() {
    for (bytes, status) in
        [("", ""), ("GET / HTTP/1.1\r\nHost: x\r\nX-", ""), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200")]
    {
        let (answer, after) = talk(bytes.as_bytes()).await;
        assert_eq!(answer.get(9..12).unwrap_or_default(), status, "{bytes:?}: {answer}");
        assert!(after >= PATIENCE && after < PATIENCE * 20, "{bytes:?}: {after:?}");
    }
}

/// A request whose line and headers are exactly this long.
fn request_of(length: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ";
    format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4))
}

#[tokio::test]
async fn headers_are_bounded_to_the_byte() {
    for (length, status) in [(LONGEST_HEAD, "200"), (LONGEST_HEAD + 1, "431"), (4 * LONGEST_HEAD, "431")] {
        let (answer, _) = talk(request_of(length).as_bytes()).await;
        assert_eq!(&answer[9..12], status, "{length}: {answer}");
    }
}

#[tokio::test]
async fn headers_are_bounded_in_number() {
    for (count, status) in [(MOST_HEADERS, "200"), (MOST_HEADERS + 1, "431")] {
        let more: String = (2..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        let (answer, _) =
            talk(format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n").as_bytes()).await;
        assert_eq!(&answer[9..12], status, "{count}: {answer}");
    }
}

#[tokio::test]
async fn half_a_body_is_unfinished_and_makes_place_for_another() {
    let (mut theirs, room) = connect(1);
    theirs.write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    assert!(room.enter("here").is_some());
    let mut answer = String::new();
    theirs.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
}

#[tokio::test]
async fn a_whole_body_is_answered_and_the_connection_is_unfinished_again() {
    let (mut theirs, room) = connect(1);
    theirs.write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwhole").await.unwrap();
    let mut answer = vec![0; 12];
    theirs.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    assert!(room.enter("here").is_some());
}

#[tokio::test]
async fn who_is_refused_while_still_sending_reads_the_reply_and_can_go_on() {
    let (mut theirs, _room) = connect(1);
    let body = vec![b'x'; 8 << 20];
    let refused = format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    theirs.write_all(refused.as_bytes()).await.unwrap();
    theirs.write_all(&body).await.unwrap();
    theirs.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    theirs.read_to_string(&mut answers).await.unwrap();
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["404", "200"], "{answers}");
}

/// Sends pieces of a body that nobody wants, with pauses, until the connection is closed; how many were taken.
async fn unwanted(pieces: usize, pause: Duration) -> usize {
    let (mut theirs, _room) = connect(1);
    let piece = vec![b'x'; 1 << 20];
    let refused = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n";
    theirs.write_all(refused.as_bytes()).await.unwrap();
    for sent in 0..pieces {
        if theirs.write_all(&piece).await.is_err() {
            return sent;
        }
        tokio::time::sleep(pause).await;
    }
    pieces
}

#[tokio::test(start_paused = true)]
async fn of_what_nobody_wants_so_much_is_taken_for_so_long() {
    let much = unwanted(128, Duration::ZERO).await;
    assert!((64..=66).contains(&much), "{much} MiB");
    let long = unwanted(60, Duration::from_secs(1)).await;
    assert!((10..=12).contains(&long), "{long} s");
}

#[tokio::test]
async fn a_held_reply_comes_late_and_its_connection_makes_place_meanwhile() {
    let request = b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (answer, after) = talk(request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("held"), "{answer}");
    assert!(after >= PATIENCE, "{after:?}");
    HOLDS.notified().await;
    let (mut theirs, room) = connect(1);
    theirs.write_all(request).await.unwrap();
    HOLDS.notified().await;
    // It is still at work for a moment.
    while room.enter("here").is_none() {
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    theirs.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
}

/// TLS of a server that a client trusts which is returned with it.
fn tls() -> (Arc<ServerConfig>, tokio_rustls::TlsConnector) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("site.pem"), dir.path().join("site.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = crate::tls::for_browsers(&certificate, &key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client).into())
}

/// A door for everybody.
struct Open(Arc<ServerConfig>);

impl Door for Open {
    type Known = ();

    fn tls(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }

    fn admit(&self, _: &Arrived) -> Option<()> {
        Some(())
    }
}

/// A listener on loopback that is open to everybody, with so many places for handshakes, and so much time for those of
/// one address. It asks for the time of all together as if there were many processors.
async fn listen(of_one: usize, percent: u32) -> (SocketAddr, tokio_rustls::TlsConnector) {
    let ((server, client), listener) = (tls(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = listener.local_addr().unwrap();
    let many = Places { in_all: 1000, of_one: 1000 };
    let handshakes = Places { in_all: 1000, of_one };
    let handshake_percents = Percents { in_all: 10_000, of_one: percent };
    let bounds = Bounds { handshakes, handshake_percents, connections: many };
    let door = watch::Sender::new(Arc::new(Open(server)));
    let router = Router::new().route("/", get(async || "here")).with_state(());
    tokio::spawn(accept_tls(listener, door.subscribe(), router, bounds));
    (at, client)
}

async fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 3, last], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

async fn shake(client: tokio_rustls::TlsConnector, last: u8, at: SocketAddr) -> bool {
    client.connect("localhost".try_into().unwrap(), connect_from(last, at).await).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_handshakes_is_delayed_others_are_not_and_those_that_say_nothing_take_no_place_of_it() {
    const CROWD: usize = 40;
    // One percent of a processor is a few handshakes at once, whatever one costs here.
    let (at, client) = listen(2 * CROWD, 1).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(shake(client.clone(), 1, at));
    }
    let mut through = 0;
    let all = async {
        while let Some(shaken) = crowd.join_next().await {
            assert!(shaken.unwrap());
            through += 1;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_err(), "nobody had to wait");
    assert!(tokio::time::timeout(PATIENCE, shake(client.clone(), 2, at)).await.expect("another address does not wait"));
    let mut silent = Vec::new();
    for _ in 0..4 * CROWD {
        silent.push(connect_from(1, at).await);
    }
    while let Some(shaken) = crowd.join_next().await {
        assert!(shaken.unwrap(), "a handshake lost its place to somebody who says nothing");
        through += 1;
    }
    assert_eq!(through, CROWD);
}

#[test]
fn addresses_of_one_ipv6_network_count_as_one() {
    let of = |text: &str| network_of(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::1"));
    assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
}
