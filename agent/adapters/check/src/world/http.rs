//! The host interface `http`, and behind it a hosting platform that answers as it is told. Nothing is sent.

use latchkey_adapters::host::http::{Header, HttpError, Method, Piece, Request, Response};
use serde_json::{Value, json};

use super::{Misunderstood, Model, decoded, encoded, unknown};

/// What many platforms say when all is well, in one object.
const WELL: &str = r#"{"status":1,"success":true,"ok":true,"code":0,"errors":[],"messages":[],"warnings":[],"metadata":{},
"data":[],"result":[],"items":[],"cpanelresult":{"data":[],"event":{"result":1}}}"#;

/// The platform.
#[derive(Debug, Default)]
pub struct Http {
    trouble: Option<(usize, Answer)>,
    at_most: Option<usize>,
    sent: Vec<Sent>,
    refused: usize,
}

/// A request that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// GET or HEAD: it changes nothing where methods mean what they say.
    pub is_read: bool,
    /// Method and address.
    pub to: String,
    /// It met the trouble.
    pub in_trouble: bool,
    body: Vec<Piece>,
}

impl Sent {
    /// Whether both ask for the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.to == other.to && self.body == other.body
    }
}

/// How the platform, or the way to it, answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Nothing was sent.
    NotSent,
    /// It was sent, and nothing came.
    None,
    /// Longer than an answer may be.
    TooLong,
    /// Status, a header if there is one of interest, and body.
    With(u16, Option<(&'static str, &'static str)>, &'static str),
}

impl Http {
    /// The platform answers so from that request on, counted from 0.
    pub fn in_trouble(&mut self, from: usize, answer: Answer) {
        self.trouble = Some((from, answer));
    }

    /// So many requests may be sent.
    pub fn at_most(&mut self, requests: usize) {
        self.at_most = Some(requests);
    }

    /// The requests that were sent, in order.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// How many requests were too many.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }

    fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        let number = self.sent.len();
        if self.at_most.is_some_and(|most| number >= most) {
            self.refused += 1;
            return Err(HttpError::TooMany);
        }
        let trouble = self.trouble.filter(|(from, _)| number >= *from).map(|(_, answer)| answer);
        self.sent.push(Sent {
            is_read: matches!(request.method, Method::Get | Method::Head),
            to: format!("{:?} {}", request.method, request.url),
            in_trouble: trouble.is_some(),
            body: request.body,
        });
        match trouble.unwrap_or(Answer::With(200, None, WELL)) {
            Answer::NotSent => Err(HttpError::NotSent("the connection was refused".to_owned())),
            Answer::None => Err(HttpError::NoAnswer("no answer came in time".to_owned())),
            Answer::TooLong => Err(HttpError::TooLong(4 << 20)),
            Answer::With(status, header, body) => Ok(Response {
                status,
                headers: header
                    .into_iter()
                    .map(|(name, value)| Header { name: name.to_owned(), value: value.to_owned() })
                    .collect(),
                body: body.as_bytes().to_vec(),
            }),
        }
    }
}

impl Model for Http {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "send" => {
                let (request,): (Request,) = decoded(arguments)?;
                encoded(&self.send(request))
            }
            _ => Err(unknown(function)),
        }
    }

    /// What a platform keeps is its own.
    fn kept(&self) -> Value {
        json!(null)
    }
}
