//! `http`.

use serde::{Deserialize, Serialize};

use super::Denial;

/// `http.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words of HTTP")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// `http.encoding`: how a secret is written where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// As in a form or a query.
    Percent,
    /// As between the quotes of a JSON string.
    Json,
    /// In base64, together with what is before it.
    Base64,
}

/// `http.placed-secret`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedSecret {
    /// Which one.
    pub name: String,
    /// Text that is encoded together with it, before it.
    pub prefix: String,
    /// How.
    pub encoding: Encoding,
}

/// `http.piece` of a header's value or of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A secret, by its name.
    Secret(PlacedSecret),
}

/// `http.request-header`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    /// Its name.
    pub name: String,
    /// Its value, one piece after another.
    pub value: Vec<Piece>,
}

/// `http.header`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// `http.request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// Where.
    pub url: String,
    /// In order.
    pub headers: Vec<RequestHeader>,
    /// One piece after another.
    pub body: Vec<Piece>,
    /// How long it may take in milliseconds.
    pub timeout_ms: Option<u32>,
}

/// `http.response`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// In order.
    pub headers: Vec<Header>,
    /// The whole of it.
    pub body: Vec<u8>,
}

/// `http.http-error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpError {
    /// Not granted.
    Denied(Denial),
    /// The request is wrong.
    Invalid(String),
    /// The call has made as many requests as it may.
    TooMany,
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, and no whole answer came.
    NoAnswer(String),
    /// The answer is longer than this many bytes.
    TooLong(u64),
}
