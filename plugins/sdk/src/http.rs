//! HTTP requests to origins that the operator grants. The manifest asks with `http = ["https://api.example.com"]`, or with
//! `http = ["https://*"]` where the operator says which server it is.
//!
//! ```
//! use latchkey_adapter_sdk::fake;
//! use latchkey_adapter_sdk::http::{self, Piece, Request, Response};
//!
//! let host = fake::Host::new();
//! host.serves(|request| {
//!     assert_eq!(request.url, "https://api.example.com/v1/zones");
//!     Ok(Response { status: 200, headers: vec![], body: b"[]".to_vec() })
//! });
//! let request = Request::get("https://api.example.com/v1/zones")
//!     .with_header("Authorization", ["Bearer ".into(), Piece::secret("token")]);
//! assert_eq!(http::send(&request)?.body, b"[]");
//! # Ok::<(), latchkey_adapter_sdk::Error>(())
//! ```
//!
//! Redirects are answers like any other. The agent never repeats a request by itself.

use crate::Error;
#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::http as host;
pub use crate::bindings::latchkey::adapter::http::{
    Encoding, Header, HttpError, Method, Piece, PlacedSecret, Request, RequestHeader, Response,
};
#[cfg(not(target_family = "wasm"))]
use crate::fake::http as host;

/// Sends one request and waits for the whole answer. Whether repeating is safe depends on the platform.
pub fn send(request: &Request) -> Result<Response, HttpError> {
    host::send(request)
}

/// What a request consists of.
impl Request {
    /// Reads what is at an absolute URL.
    pub fn get(url: impl Into<String>) -> Self {
        let url = url.into();
        Self { method: Method::Get, url, headers: Vec::new(), body: Vec::new(), timeout_ms: None }
    }

    /// Sends a body to an absolute URL.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<Piece>>) -> Self {
        Self { method: Method::Post, body: body.into(), ..Self::get(url) }
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<Piece>>) -> Self {
        self.headers.push(RequestHeader { name: name.to_owned(), value: value.into() });
        self
    }
}

/// Pieces of headers and bodies. Secrets are named: the agent puts their values in.
impl Piece {
    /// A secret as it is.
    pub fn secret(name: impl Into<String>) -> Self {
        Self::placed(name, Encoding::Plain)
    }

    /// A secret as it stands in a form or another place with rules of its own.
    pub fn placed(name: impl Into<String>, encoding: Encoding) -> Self {
        Self::Secret(PlacedSecret { name: name.into(), prefix: String::new(), encoding })
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl HttpError {
    /// What it means when the request only reads: whatever did not come may be asked for again.
    #[must_use]
    pub fn while_reading(self) -> Error {
        match self {
            Self::NoAnswer(reason) => Error::unavailable(reason),
            Self::TooLong(most) => Error::failed(format!("the platform's answer is longer than {most} bytes")),
            other => other.into(),
        }
    }
}

/// As if the request changed something: what may have had its effect is *uncertain*. Whoever reads only says so with
/// [`HttpError::while_reading`]; whoever can look what came of it matches instead.
impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(denial) => denial.into(),
            // The request is the adapter's own doing, not the caller's.
            HttpError::Invalid(expected) => Self::failed(format!("the adapter's request: {expected}")),
            HttpError::TooMany => Self::refused("this takes more requests than a call may make"),
            HttpError::NotSent(reason) => Self::unavailable(reason),
            HttpError::NoAnswer(reason) => Self::uncertain(reason),
            HttpError::TooLong(most) => Self::uncertain(format!("the platform's answer is longer than {most} bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn a_request_goes_to_whoever_plays_the_platform() {
        let host = fake::Host::new();
        let request = Request::post("https://h/", [Piece::from("a="), Piece::placed("new", Encoding::Percent)]);
        assert!(matches!(send(&request), Err(HttpError::NotSent(_))));
        let mut count = 0;
        host.serves(move |request| {
            count += 1;
            assert_eq!((request.method, request.body.len()), (Method::Post, 2));
            Ok(Response { status: 200 + count, headers: vec![], body: vec![] })
        });
        assert_eq!([send(&request), send(&request)].map(|answer| answer.unwrap().status), [201, 202]);
        host.serves(|_| Err(HttpError::TooMany));
        assert_eq!(send(&request), Err(HttpError::TooMany));
    }

    #[test]
    fn what_may_have_happened_is_uncertain() {
        assert!(matches!(Error::from(HttpError::NoAnswer("cut".into())), Error::Uncertain(_)));
        assert!(matches!(Error::from(HttpError::TooLong(7)), Error::Uncertain(_)));
        assert!(matches!(Error::from(HttpError::NotSent("refused".into())), Error::Unavailable(_)));
        assert!(matches!(Error::from(HttpError::TooMany), Error::Refused(_)));
    }

    #[test]
    fn what_only_reads_may_be_asked_for_again() {
        assert_eq!(HttpError::NoAnswer("cut".into()).while_reading(), Error::unavailable("cut"));
        assert!(matches!(HttpError::TooLong(7).while_reading(), Error::Failed(_)));
        assert_eq!(HttpError::NotSent("refused".into()).while_reading(), Error::unavailable("refused"));
        assert!(matches!(HttpError::Invalid("url".into()).while_reading(), Error::Failed(_)));
    }
}
