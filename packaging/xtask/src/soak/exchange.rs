//! One HTTP/1.0 exchange on a connection of its own: at the agent's Unix socket, or at a site. curl would take longer to
//! start than the agent to answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes, whatever hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody was there: nothing was done.
    NotSent,
    /// The connection broke: whether it was done is not known.
    Broken,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The values of a header, by its name in small letters.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// Calls the agent at the socket of its command line.
pub(crate) fn at_agent(
    socket: &Path,
    actor: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, NoAnswer> {
    let stream = UnixStream::connect(socket).map_err(|_| NoAnswer::NotSent)?;
    drop((stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE))));
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: latchkey\r\nLatchkey-Actor: {actor}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(stream, &(head + &body))
}

/// Sends a request to a site; `url` is its origin.
pub(crate) fn at_site(url: &str, request: &str, headers: &str, body: &str) -> Result<Answer, NoAnswer> {
    let address = url.trim_start_matches("http://");
    let stream = TcpStream::connect(address).map_err(|_| NoAnswer::NotSent)?;
    drop((stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE))));
    let head = format!("{request} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    exchange(stream, &(head + body))
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Result<Answer, NoAnswer> {
    let broken = |_| NoAnswer::Broken;
    stream.write_all(request.as_bytes()).map_err(broken)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(broken)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or(NoAnswer::Broken)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    // Cut off is no answer.
    let length: Option<usize> = answer.headers("content-length").next().and_then(|length| length.parse().ok());
    let is_whole = length.is_none_or(|length| body.len() == length);
    is_whole.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_off_is_none() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").map(|answer| answer.status), Some(200));
        for cut in ["HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{", "HTTP/1.0 200 OK\r\n", ""] {
            assert!(parse(cut).is_none(), "{cut}");
        }
    }

    #[test]
    fn a_header_may_come_twice() {
        let answer = parse("HTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n").unwrap();
        assert_eq!(answer.headers("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    }
}
