//! A hosting on cPanel, played: the SDK's fake host carries what the adapter sends to the simulator, as the agent would.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cpanel_simulator::{Account, Entry, Simulator, blind_repeat};
use sdk::Hosting;
use sdk::fake;
use sdk::http::{Encoding, Header, HttpError, Method, Piece, PlacedSecret, Request, Response};

/// The account's token.
const TOKEN: &str = "T0KEN/with+signs=";
/// Passwords by the names that the agent gives them.
pub const PASSWORDS: [(&str, &str); 3] =
    [("first", "p&ss=w\u{f6}rd%1 +"), ("second", "correct horse battery"), ("weak", "1234")];
/// How long the adapter waits for an answer.
const PATIENCE: Duration = Duration::from_millis(400);

/// A simulator with an account, and the agent between it and the adapter.
#[derive(Debug)]
pub struct Played {
    /// cPanel.
    pub cpanel: Simulator,
    host: fake::Host,
}

impl Played {
    /// An account `h1` with one domain, example.com, and nothing in it.
    #[must_use]
    pub fn begin() -> Self {
        let cpanel = Simulator::start(Account::new("h1", TOKEN, "h1_", "example.com")).unwrap();
        let host = fake::Host::new();
        host.serves(carry);
        Self { cpanel, host }
    }

    /// The hosting.
    #[must_use]
    pub fn hosting(&self) -> Hosting {
        let patience = PATIENCE.as_millis().to_string();
        let settings = [("server", self.cpanel.origin()), ("user", "h1".to_owned()), ("answer_ms", patience)];
        Hosting { settings: settings.map(|(name, value)| (name.to_owned(), value)).into(), ..fake::hosting() }
    }

    /// The account as it is.
    #[must_use]
    pub fn account(&self) -> Account {
        self.cpanel.played().account.clone()
    }

    /// Changes the account as somebody else would.
    pub fn others(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.cpanel.played().account);
    }

    /// Answers the adapter's requests in another way from now on.
    pub fn answers(&self, answer: impl FnMut(&Request) -> Result<Response, HttpError> + 'static) {
        self.host.serves(answer);
    }

    /// Lets so much of the call's time pass.
    pub fn passes(&self, time: Duration) {
        self.host.passes(time);
    }

    /// What was asked since so many requests.
    #[must_use]
    pub fn asked(&self, since: usize) -> Vec<Entry> {
        self.cpanel.played().journal[since..].to_vec()
    }

    /// Fails if a change was repeated blindly since so many requests.
    #[track_caller]
    pub fn nothing_was_repeated_blindly(&self, since: usize) {
        let asked = self.asked(since);
        assert_eq!(blind_repeat(&asked), None, "{asked:#?}");
    }

    /// What the adapter wrote into the log, and what it keeps.
    #[must_use]
    pub fn left(&self) -> String {
        format!("{:?} {:?}", self.host.logged(), self.host.state_keys())
    }
}

/// The password of a name.
#[must_use]
pub fn password(name: &str) -> String {
    PASSWORDS.iter().find(|(known, _)| *known == name).unwrap().1.to_owned()
}

/// Sends a request over a connection of its own.
pub fn carry(request: &Request) -> Result<Response, HttpError> {
    let rest = request.url.strip_prefix("http://").unwrap();
    let (address, target) = rest.split_at(rest.find('/').unwrap());
    let unanswered = |error: io::Error| HttpError::NoAnswer(error.to_string());
    let mut stream = TcpStream::connect(address).map_err(|error| HttpError::NotSent(error.to_string()))?;
    let patience = Duration::from_millis(request.timeout_ms.unwrap().into());
    stream.set_read_timeout(Some(patience)).map_err(unanswered)?;
    stream.write_all(&written(request, address, target)).map_err(unanswered)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(unanswered)?;
    parse(&answer).ok_or_else(|| HttpError::NoAnswer("the connection ended".to_owned()))
}

fn written(request: &Request, address: &str, target: &str) -> Vec<u8> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        other => panic!("cPanel has no {other:?}"),
    };
    let body = assembled(&request.body);
    let mut bytes =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in &request.headers {
        bytes.extend([header.name.as_bytes(), b": ", &assembled(&header.value), b"\r\n"].concat());
    }
    [&bytes[..], b"\r\n", &body].concat()
}

fn assembled(pieces: &[Piece]) -> Vec<u8> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone().into_bytes(),
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Secret(secret) => placed(secret).into_bytes(),
    };
    pieces.iter().flat_map(piece).collect()
}

fn placed(secret: &PlacedSecret) -> String {
    let value = if secret.name == "token" { TOKEN.to_owned() } else { password(&secret.name) };
    match secret.encoding {
        Encoding::Plain => format!("{}{value}", secret.prefix),
        Encoding::Percent => value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        other => panic!("cPanel takes no {other:?}"),
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some(Header { name: name.to_lowercase(), value: value.to_owned() })
    };
    let headers: Vec<Header> = lines.filter_map(header).collect();
    let body = answer[end + 4..].to_vec();
    let length: usize = headers.iter().find(|header| header.name == "content-length")?.value.parse().ok()?;
    (body.len() == length).then_some(Response { status, headers, body })
}
