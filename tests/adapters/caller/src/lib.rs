//! An adapter that sends requests: `logs.locate`, told the text of a request in place of a domain, answers with the
//! status as the title and the body as the path of a log.
//!
//! The text is a method and a URL, a line for each header, an empty line, and the body. In values and in the body
//! `{plain:token:prefix}` stands for a secret: how it is written, its name, and what is before it.

wit_bindgen::generate!({
    inline: "
        package caller:adapter;

        world caller {
            import latchkey:adapter/http@0.1.0;
            export latchkey:adapter/logs@0.1.0;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0"],
    world: "caller:adapter/caller",
    generate_all,
});

use exports::latchkey::adapter::logs::{Error, Guest, Hosting, Kind, Location};
use latchkey::adapter::http::{
    self, Encoding, HttpError, Method, Piece, PlacedSecret, Request, RequestHeader, Response,
};
use latchkey::adapter::types::{Busy, InvalidField};

struct Caller;

impl Guest for Caller {
    fn locate(_: Hosting, text: Option<String>) -> Result<Vec<Location>, Error> {
        let text = text.unwrap_or_default();
        let (times, text) = text.split_once(" times ").unwrap_or(("1", &text));
        let times: u32 = times.parse().map_err(|_| invalid("times"))?;
        let told = (0..times).map(|_| http::send(&request(text)?).map(told).map_err(failed));
        told.collect()
    }
}

fn request(text: &str) -> Result<Request, Error> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, url) = first.split_once(' ').ok_or_else(|| invalid("first line"))?;
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        _ => return Err(invalid("method")),
    };
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        RequestHeader { name: name.to_owned(), value: pieces(value) }
    };
    let headers = headers.lines().map(header).collect();
    Ok(Request { method, url: url.to_owned(), headers, body: pieces(body), timeout_ms: None })
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, (placed, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(secret(placed));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

fn secret(placed: &str) -> Piece {
    let mut parts = placed.splitn(3, ':');
    let encoding = match parts.next() {
        Some("percent") => Encoding::Percent,
        Some("json") => Encoding::Json,
        Some("base64") => Encoding::Base64,
        _ => Encoding::Plain,
    };
    let mut next = || parts.next().unwrap_or_default().to_owned();
    Piece::Secret(PlacedSecret { encoding, name: next(), prefix: next() })
}

fn told(response: Response) -> Location {
    let path = String::from_utf8_lossy(&response.body).into_owned();
    Location { kind: Kind::Other, title: response.status.to_string(), path }
}

fn failed(error: HttpError) -> Error {
    let busy = |message| Error::Unavailable(Busy { message, retry_after_ms: None });
    match error {
        HttpError::Denied(denial) => Error::Denied(denial.message),
        HttpError::Invalid(expected) => Error::Invalid(InvalidField { name: "domain".into(), expected }),
        HttpError::TooMany => Error::Refused("too many".into()),
        HttpError::NotSent(why) => busy(why),
        HttpError::NoAnswer(why) => Error::Uncertain(why),
        HttpError::TooLong(most) => Error::Failed(format!("longer than {most}")),
    }
}

fn invalid(what: &str) -> Error {
    Error::Invalid(InvalidField { name: "domain".into(), expected: format!("the text of a request: {what}") })
}

export!(Caller);
