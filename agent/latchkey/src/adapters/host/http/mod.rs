//! `http`: requests to granted origins, each over a connection of its own to an address that was checked.

mod connection;
mod message;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Denial, Host};
use crate::adapters::origin::Origin;
use crate::adapters::rights::Use;
use connection::{Cut, Target};
pub(in crate::adapters) use connection::{Tls, tls};

/// `http.method`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// `http.encoding`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Encoding {
    Plain,
    Percent,
    Json,
    Base64,
}

/// `http.placed-secret`.
#[derive(Debug, Serialize, Deserialize)]
struct PlacedSecret {
    name: String,
    prefix: String,
    encoding: Encoding,
}

/// `http.piece`.
#[derive(Debug, Serialize, Deserialize)]
enum Piece {
    Text(String),
    Bytes(Vec<u8>),
    Secret(PlacedSecret),
}

/// `http.request-header`.
#[derive(Debug, Serialize, Deserialize)]
struct RequestHeader {
    name: String,
    value: Vec<Piece>,
}

/// `http.header`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// `http.request`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    method: Method,
    url: String,
    headers: Vec<RequestHeader>,
    body: Vec<Piece>,
    timeout_ms: Option<u32>,
}

/// `http.response`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Response {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
}

/// `http.http-error`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HttpError {
    Denied(Denial),
    Invalid(String),
    TooMany,
    NotSent(String),
    NoAnswer(String),
    TooLong(u64),
}

impl Host {
    pub(super) async fn send_http(&mut self, request: Request) -> Result<Response, HttpError> {
        let url = message::url(&request.url).map_err(HttpError::Invalid)?;
        let origin = Origin::of(&url).ok_or_else(|| HttpError::Invalid(message::EXPECTED_URL.to_owned()))?;
        self.check(Use::Http(&origin)).map_err(HttpError::Denied)?;
        if self.http_requests >= self.terms.limits.http_requests {
            return Err(HttpError::TooMany);
        }
        let timeout = request.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms.into()));
        let deadline = timeout.map_or(self.last_moment(), |timeout| timeout.min(self.last_moment()));
        let (message, blots) =
            message::written(request, &url, &origin, |name| self.secret(name)).map_err(HttpError::Invalid)?;
        self.http_requests += 1;
        let response_max = self.terms.limits.response_bytes;
        let tls = || self.serve.adapters.tls();
        let target = Target { origin: &origin, deadline, response_max };
        let came = match target.addresses().await {
            Ok(addresses) => target.exchange(&addresses, message, tls).await,
            Err(cut) => Err(cut),
        };
        let (adapter, hosting) = (self.name(), self.hosting.id.as_str());
        match came {
            Ok((head, body)) => {
                tracing::debug!(adapter, hosting, %origin, status = head.status.as_u16(), "an adapter's request");
                Ok(blots.response(&head, body.into()))
            }
            Err(cut) => {
                tracing::warn!(adapter, hosting, %origin, %cut, "an adapter's request did not work");
                Err(cut.into())
            }
        }
    }
}

impl From<Cut> for HttpError {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::NotPublic { .. } => Self::Denied(Denial { message: cut.to_string(), grant: None }),
            Cut::NotSent(_) => Self::NotSent(cut.to_string()),
            Cut::NoAnswer(_) => Self::NoAnswer(cut.to_string()),
            Cut::TooLong(most) => Self::TooLong(most.into()),
        }
    }
}
