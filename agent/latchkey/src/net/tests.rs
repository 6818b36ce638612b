//! Deadlines and bounds of a connection, on streams without a network.

use std::time::Duration;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

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
    let router = Router::new().route("/", get(checked)).route("/body", post(waits)).with_state(());
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

#[test]
fn addresses_of_one_ipv6_network_count_as_one() {
    let of = |text: &str| network_of(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::1"));
    assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.2"));
}
