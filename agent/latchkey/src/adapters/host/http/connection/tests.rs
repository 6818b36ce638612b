//! What comes of a request to servers good and bad, on this node's own address.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// One that takes one request, answers and closes. Returns what it was sent.
struct Server {
    port: u16,
    received: JoinHandle<String>,
}

impl Server {
    fn answers(answer: &'static [u8]) -> Self {
        Self::does(move |stream| {
            let request = head_of(stream);
            stream.write_all(answer).unwrap();
            request
        })
    }

    fn does(work: impl FnOnce(&mut std::net::TcpStream) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, received: thread::spawn(move || work(&mut listener.accept().unwrap().0)) }
    }
}

fn head_of(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn message() -> hyper::Request<Full<Bytes>> {
    hyper::Request::builder().uri("/v1").header("host", "h").body(Full::default()).unwrap()
}

async fn send(origin: &str, response_max: u32, wait: Duration, tls: Option<Tls>) -> Result<(Parts, Bytes), Cut> {
    let origin: Origin = origin.parse().unwrap();
    let target = Target { origin: &origin, deadline: Instant::now() + wait, response_max };
    let addresses = target.addresses().await?;
    target.exchange(&addresses, message(), || Ok(tls.unwrap())).await
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_request_is_answered_and_redirects_are_answers() {
    let answer = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 5\r\n\r\nthere";
    let server = Server::answers(answer);
    let (head, body) = send(&format!("http://127.0.0.1:{}", server.port), 100, LONG, None).await.unwrap();
    assert_eq!((head.status.as_u16(), body.as_ref()), (302, b"there".as_slice()));
    assert_eq!(head.headers["location"], "http://169.254.169.254/latest");
    assert_eq!(server.received.join().unwrap(), "GET /v1 HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[tokio::test]
async fn what_was_not_sent_is_told_apart_from_what_was_not_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = send(&format!("http://127.0.0.1:{port}"), 100, LONG, None).await;
    assert!(matches!(&refused, Err(Cut::NotSent(why)) if why.contains("refused")), "{refused:?}");
    for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut", b"SSH-2.0-other\r\n"] {
        let server = Server::answers(answer);
        let cut = send(&format!("http://127.0.0.1:{}", server.port), 100, LONG, None).await;
        assert!(matches!(cut, Err(Cut::NoAnswer(_))), "{cut:?}");
    }
    // Waits until the other side gives up.
    let server = Server::does(|stream| {
        let head = head_of(stream);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        head
    });
    let slow = send(&format!("http://127.0.0.1:{}", server.port), 100, Duration::from_millis(200), None).await;
    assert!(matches!(&slow, Err(Cut::NoAnswer(why)) if why.contains("in time")), "{slow:?}");
    server.received.join().unwrap();
}

#[tokio::test]
async fn an_answer_is_taken_up_to_its_bound() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";
    let exactly = Server::answers(answer);
    send(&format!("http://127.0.0.1:{}", exactly.port), 10, LONG, None).await.unwrap();
    let shorter = Server::answers(answer);
    let long = send(&format!("http://127.0.0.1:{}", shorter.port), 9, LONG, None).await;
    assert!(matches!(long, Err(Cut::TooLong(9))), "{long:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_not_told_the_request() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, provider) = (cert.der().clone(), Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap());
    let trusting = |roots: RootCertStore| {
        let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        Arc::new(client.unwrap().with_root_certificates(roots).with_no_client_auth())
    };
    let mut known = RootCertStore::empty();
    known.add(certificate).unwrap();
    for (roots, is_trusted) in [(known, true), (RootCertStore::empty(), false)] {
        let config = config.clone();
        let server = Server::does(move |stream| {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            let mut first = [0; 3];
            if stream.read_exact(&mut first).is_err() {
                return "nothing".to_owned();
            }
            head_of(&mut stream);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            "a request".to_owned()
        });
        let came = send(&format!("https://127.0.0.1:{}", server.port), 10, LONG, Some(trusting(roots))).await;
        if is_trusted {
            assert_eq!(came.unwrap().0.status.as_u16(), 204);
            assert_eq!(server.received.join().unwrap(), "a request");
        } else {
            assert!(matches!(&came, Err(Cut::NotSent(why)) if why.contains("TLS fails")), "{came:?}");
            assert_eq!(server.received.join().unwrap(), "nothing");
        }
    }
}

#[tokio::test]
async fn a_name_is_no_way_to_an_address_that_is_not_public() {
    let named = send("https://localhost:1", 10, LONG, None).await;
    assert!(matches!(&named, Err(Cut::NotPublic { host, address }) if host == "localhost" && address.is_loopback()));
    let at = |addresses: &[&str]| {
        let found = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443));
        public_only("a.example", found.collect::<Vec<_>>().into_iter())
    };
    let told = at(&["169.254.169.254"]).unwrap_err().to_string();
    assert!(told.starts_with("a.example resolves to 169.254.169.254, which is not public"), "{told}");
    let public: SocketAddr = "1.1.1.1:443".parse().unwrap();
    assert_eq!(at(&["10.0.0.1", "1.1.1.1", "::1"]).unwrap(), [public]);
    at(&["10.0.0.1", "::ffff:127.0.0.1"]).unwrap_err();
}
