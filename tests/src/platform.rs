//! The API of a hosting platform: a server that keeps what it is sent and answers as a trial says.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A server on this node's own address. Dropped, it ends.
pub struct Platform {
    /// Where it listens.
    pub port: u16,
    received: Arc<Mutex<Vec<String>>>,
    serving: Option<JoinHandle<()>>,
}

/// What it does with a request.
pub enum Answer {
    /// Answers with these bytes.
    Bytes(Vec<u8>),
    /// Says nothing until the other side gives up.
    Silence,
}

/// An answer with a body.
#[must_use]
pub fn ok(body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

impl Platform {
    /// Answers every request, which is given whole, with what `answer` says.
    #[must_use]
    #[track_caller]
    pub fn answering(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let keeps = received.clone();
        let serving = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Whoever connects and says nothing has it end.
                let Some(request) = request(&mut stream) else { return };
                keeps.lock().unwrap().push(request.clone());
                match answer(&request) {
                    Answer::Bytes(bytes) => drop(stream.write_all(&bytes)),
                    Answer::Silence => drop(stream.read(&mut [0])),
                }
            }
        });
        Self { port, received, serving: Some(serving) }
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests that came, whole.
    #[must_use]
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// A request with its body; `None` if nothing comes.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        request.extend(byte);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(serving) = self.serving.take() {
            let ended = serving.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}
