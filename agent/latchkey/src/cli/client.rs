//! Calls of the panel's API over the agent's Unix socket: one connection per call, HTTP/1.1.

use std::fmt::Write;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use super::refusal::Refusal;
use crate::verification::VerificationError;

/// Longer than the longest operation that is no job.
const DEADLINE: Duration = Duration::from_secs(660);
const REPLY_MAX_BYTES: usize = 64 << 20;
/// More pages than any list has; stops a peer that hands out cursors for ever.
const PAGES_MAX: usize = 10_000;

/// Why a call had no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody answers at the socket.
    #[error("the agent cannot be reached at {}; is it running, and are you root?", .socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the agent broke; whether it did what was asked is not known")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("the agent did not answer within {} s", DEADLINE.as_secs())]
    TimedOut,
    /// An answer of more bytes than are read.
    #[error("the reply is larger than {REPLY_MAX_BYTES} bytes")]
    TooLarge,
    /// An answer that is not what the API promises.
    #[error("the agent's reply was not understood: {what}")]
    NotUnderstood { what: &'static str },
    /// The agent said no.
    #[error("{}", .0.for_people())]
    Refused(Box<Refusal>),
    /// No person has that address.
    #[error("nobody with the address {email} is known here")]
    NoSuchPerson { email: String },
    /// The configuration file is not usable.
    #[error("--config {}: {what}", .path.display())]
    Configuration { path: PathBuf, what: String },
    /// An argument is not usable.
    #[error("{argument}: {what}")]
    Argument { argument: &'static str, what: String },
    /// The audit could not be looked at.
    #[error("the audit could not be verified")]
    Unverified(#[source] Box<VerificationError>),
    /// A file could not be taken over.
    #[error(transparent)]
    File(Box<super::state_files::StateFileError>),
    /// An adapter's package is not as it should be.
    #[error(transparent)]
    Package(Box<super::adapter::PackageError>),
    /// An adapter could not be checked.
    #[error("the adapter cannot be checked")]
    Check(#[source] Box<latchkey_check::CheckError>),
    /// An adapter's files could not be moved.
    #[error("cannot {attempt} {}", path.display())]
    Adapter {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The process could not be set up for a call.
    #[error("prepare the call")]
    Prepare(#[source] io::Error),
}

impl CallError {
    /// An adapter's package is not as it should be.
    pub(super) fn package(error: super::adapter::PackageError) -> Self {
        Self::Package(Box::new(error))
    }

    /// An adapter could not be checked.
    pub(super) fn check(error: impl Into<latchkey_check::CheckError>) -> Self {
        Self::Check(Box::new(error.into()))
    }

    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) => refusal.exit_code(),
            Self::Configuration { .. } | Self::Argument { .. } => 2,
            Self::NoSuchPerson { .. } => 3,
            Self::TimedOut => 8,
            Self::TooLarge => 9,
            Self::Connect { .. } | Self::Broken(_) => 13,
            Self::Package(_) => 5,
            Self::Adapter { .. }
            | Self::Check(_)
            | Self::NotUnderstood { .. }
            | Self::File(_)
            | Self::Prepare(_)
            | Self::Unverified(_) => 1,
        }
    }

    /// The error and its causes for standard error.
    pub(crate) fn for_people(&self) -> String {
        if let Self::Refused(refusal) = self {
            return refusal.for_people();
        }
        let mut text = format!("latchkey: {self}");
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            let _ = write!(text, "\n  because: {source}");
            next = source.source();
        }
        text
    }
}

/// One call of the API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: String,
    body: Option<Value>,
}

impl Call {
    fn new(method: Method, segments: &[&str], body: Option<Value>) -> Self {
        let path = segments.iter().fold("/v1".to_owned(), |path, segment| path + "/" + &encode(segment));
        Self { method, path, query: String::new(), body }
    }

    /// `GET /v1/…`
    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments, None)
    }

    /// `GET /metrics`
    pub(crate) fn metrics() -> Self {
        Self { path: "/metrics".to_owned(), ..Self::get(&[]) }
    }

    /// `POST /v1/…`
    pub(crate) fn post(segments: &[&str], body: Value) -> Self {
        Self::new(Method::POST, segments, Some(body))
    }

    /// `PUT /v1/…`
    pub(crate) fn put(segments: &[&str], body: Value) -> Self {
        Self::new(Method::PUT, segments, Some(body))
    }

    /// `PATCH /v1/…`
    pub(crate) fn patch(segments: &[&str], body: Value) -> Self {
        Self::new(Method::PATCH, segments, Some(body))
    }

    /// `DELETE /v1/…`
    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments, None)
    }

    /// The same call with one more query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.query.is_empty() { '?' } else { '&' };
        let _ = write!(self.query, "{separator}{name}={}", encode(value));
        self
    }
}

/// A good answer: the text as it came, and what it says.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// A client of one agent on behalf of one actor. Blocks.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    socket: PathBuf,
    actor: HeaderValue,
    deadline: Duration,
}

impl Client {
    /// A client; connects only when it is used.
    pub(crate) fn new(socket: PathBuf, actor: HeaderValue) -> Result<Self, CallError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CallError::Prepare)?;
        Ok(Self { runtime, socket, actor, deadline: DEADLINE })
    }

    /// The same, waiting no longer than this for an answer.
    pub(crate) const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes a call that answers with lines of this kind, and shows each as it comes, until `look` has seen enough. An
    /// answer that breaks off is an error.
    pub(crate) fn lines(
        &self,
        call: &Call,
        kind: &'static str,
        look: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(), CallError> {
        let mut request = self.request(call)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(kind));
        self.runtime.block_on(async {
            let begun = tokio::time::timeout(self.deadline, self.begin(request)).await;
            let (status, mut body, _driver) = begun.unwrap_or(Err(CallError::TimedOut))?;
            if !status.is_success() {
                let body = Limited::new(body, REPLY_MAX_BYTES).collect().await.map_err(CallError::Broken)?.to_bytes();
                return Err(CallError::Refused(Box::new(Refusal::parse(status.as_u16(), &body))));
            }
            let mut rest = Vec::new();
            loop {
                let next = tokio::time::timeout(self.deadline, body.frame()).await.map_err(|_| CallError::TimedOut)?;
                let Some(frame) = next else { return Ok(()) };
                let frame = frame.map_err(|error| CallError::Broken(Box::new(error)))?;
                rest.extend_from_slice(&frame.into_data().unwrap_or_default());
                if show_lines(&mut rest, look).is_break() {
                    return Ok(());
                }
                if rest.len() > REPLY_MAX_BYTES {
                    return Err(CallError::TooLarge);
                }
            }
        })
    }

    /// Makes a call. Every refusal of the agent is an error.
    pub(crate) fn send(&self, call: &Call) -> Result<Reply, CallError> {
        let request = self.request(call)?;
        let (status, body) = self.runtime.block_on(async {
            tokio::time::timeout(self.deadline, self.exchange(request)).await.unwrap_or(Err(CallError::TimedOut))
        })?;
        if !status.is_success() {
            return Err(CallError::Refused(Box::new(Refusal::parse(status.as_u16(), &body))));
        }
        let not_json = |_| CallError::NotUnderstood { what: "expected JSON" };
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(not_json)? };
        Ok(Reply { text: String::from_utf8_lossy(&body).trim_end().to_owned(), json })
    }

    /// Makes a call that answers with a list, and collects all of its pages into one reply.
    pub(crate) fn send_all(&self, call: &Call) -> Result<Reply, CallError> {
        let mut first = self.send(call)?;
        let mut items = Vec::new();
        let mut next = take_page(&mut first.json, &mut items);
        if next.is_none() {
            // One page: the text stays as it came.
            first.json = json!({ "items": items });
            return Ok(first);
        }
        for _ in 0..PAGES_MAX {
            let Some(cursor) = next else { break };
            let mut page = self.send(&call.clone().query("cursor", &cursor))?;
            next = take_page(&mut page.json, &mut items);
        }
        let json = json!({ "items": items });
        Ok(Reply { text: json.to_string(), json })
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(format!("{}{}", call.path, call.query))
            .header(HOST, "latchkey")
            .header(ACCEPT, "application/json")
            .header("latchkey-actor", &self.actor);
        if call.method == Method::POST {
            request = request.header("idempotency-key", random_key()?);
        }
        let body = match &call.body {
            None => Bytes::new(),
            Some(body) => {
                let kind =
                    if call.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
                request = request.header(CONTENT_TYPE, kind);
                Bytes::from(body.to_string())
            }
        };
        request.body(Full::new(body)).map_err(|error| CallError::Prepare(io::Error::other(error)))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), CallError> {
        let (status, body, _driver) = self.begin(request).await?;
        let body = Limited::new(body, REPLY_MAX_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { CallError::TooLarge } else { CallError::Broken(error) }
        })?;
        Ok((status, body.to_bytes()))
    }

    async fn begin(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Incoming, AbortOnDrop), CallError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| CallError::Connect { socket: self.socket.clone(), source })?;
        let broken = |error: hyper::Error| CallError::Broken(Box::new(error));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = AbortOnDrop(tokio::spawn(connection).abort_handle());
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((response.status(), response.into_body(), driver))
    }
}

/// What drives a connection, for as long as it is needed.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Shows the whole lines and keeps the rest.
fn show_lines(bytes: &mut Vec<u8>, look: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines: Vec<u8> = bytes.drain(..whole).collect();
    String::from_utf8_lossy(&lines).lines().try_for_each(look)
}

/// Moves the items of a page over and says where the next one begins.
fn take_page(page: &mut Value, items: &mut Vec<Value>) -> Option<String> {
    if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
        items.extend(found);
    }
    match page.get("next") {
        Some(Value::String(cursor)) => Some(cursor.clone()),
        Some(Value::Number(cursor)) => Some(cursor.to_string()),
        _ => None,
    }
}

/// 128 random bits in hexadecimal.
fn random_key() -> Result<String, CallError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| CallError::Prepare(io::Error::other(error.to_string())))?;
    Ok(bytes.iter().fold(String::new(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    }))
}

/// Percent-encodes all but the unreserved characters (RFC 3986, 2.3). `.` and `..` cannot climb: they are encoded too.
fn encode(text: &str) -> String {
    let dots = text.bytes().all(|byte| byte == b'.');
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || byte == b'.' && !dots {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
