//! A request as it is written, with secrets in their places; and an answer, with secrets blotted out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::response::Parts;
use latchkey_adapters::host::http::{Encoding, Header, Method, Piece, PlacedSecret, Request, RequestHeader, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::adapters::origin::Origin;
use crate::adapters::secret::{Blots, Secret};

/// What is wrong with a URL.
pub(super) const EXPECTED_URL: &str =
    "url: expected an absolute URL of https or http without user, password and fragment";

/// A body is at most so long.
const BODY_MAX_BYTES: usize = 1 << 20;

/// So many headers at most.
const HEADERS_MAX: usize = 64;

/// What is about the connection is the agent's.
const AGENTS_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "connection",
    "accept-encoding",
    "user-agent",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
];

/// All but letters, digits and `-._~`.
const PERCENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a request goes.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| EXPECTED_URL.to_owned())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_plain { Ok(url) } else { Err(EXPECTED_URL.to_owned()) }
}

/// The request as it is sent. What is wrong with it is said without the value of any secret.
pub(super) fn written<'s>(
    request: Request,
    url: &Url,
    origin: &Origin,
    secret: impl Fn(&str) -> Option<&'s Secret>,
) -> Result<(hyper::Request<Full<Bytes>>, Blots), String> {
    let mut writing = Writing { secret, blots: Blots::default() };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let body = writing.all(request.body)?;
    if body.len() > BODY_MAX_BYTES {
        return Err(format!("body: expected at most {BODY_MAX_BYTES} bytes"));
    }
    if request.headers.len() > HEADERS_MAX {
        return Err(format!("headers: expected at most {HEADERS_MAX}"));
    }
    let method = method(request.method);
    let has_body =
        !body.is_empty() || matches!(method, hyper::Method::POST | hyper::Method::PUT | hyper::Method::PATCH);
    let body = if has_body { Full::new(Bytes::from(body)) } else { Full::default() };
    let mut message =
        hyper::Request::builder().method(method).uri(path).body(body).map_err(|_| EXPECTED_URL.to_owned())?;
    let headers = message.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(origin.authority()).map_err(|_| EXPECTED_URL.to_owned())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("latchkey/", env!("CARGO_PKG_VERSION"))));
    for RequestHeader { name, value } in request.headers {
        let refused =
            || format!("headers: {name:?}: expected a name of letters, digits and -, and not one of the agent's");
        let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let known =
            HeaderName::try_from(&name).ok().filter(|known| is_plain && !AGENTS_HEADERS.contains(&known.as_str()));
        let known = known.ok_or_else(refused)?;
        let value = HeaderValue::from_maybe_shared(Bytes::from(writing.all(value)?));
        headers
            .append(known, value.map_err(|_| format!("headers: {name}: expected a value without control characters"))?);
    }
    Ok((message, writing.blots))
}

struct Writing<F> {
    secret: F,
    blots: Blots,
}

impl<'s, F: Fn(&str) -> Option<&'s Secret>> Writing<F> {
    fn all(&mut self, pieces: Vec<Piece>) -> Result<Vec<u8>, String> {
        let mut written = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => written.extend(text.into_bytes()),
                Piece::Bytes(bytes) => written.extend(bytes),
                Piece::Secret(placed) => written.extend(self.placed(&placed)?),
            }
        }
        Ok(written)
    }

    fn placed(&mut self, placed: &PlacedSecret) -> Result<Vec<u8>, String> {
        let name = &placed.name;
        let secret = (self.secret)(name).ok_or_else(|| {
            format!("secret {name:?}: expected one of this call or of the operator's for this hosting")
        })?;
        let value = secret.reveal();
        let written = encoded(placed.encoding, &format!("{}{value}", placed.prefix)).into_bytes();
        // With what is before it only where it cannot be told apart.
        let alone = encoded(placed.encoding, value).into_bytes();
        [written.clone(), alone, value.as_bytes().to_vec()].into_iter().for_each(|written| self.blots.add(written));
        Ok(written)
    }
}

/// A secret as it is written where it goes.
fn encoded(encoding: Encoding, text: &str) -> String {
    match encoding {
        Encoding::Plain => text.to_owned(),
        Encoding::Percent => utf8_percent_encode(text, PERCENT).to_string(),
        Encoding::Json => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted.trim_start_matches('"').strip_suffix('"').map(str::to_owned).unwrap_or_default()
        }
        Encoding::Base64 => STANDARD.encode(text),
    }
}

fn method(method: Method) -> hyper::Method {
    match method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
        Method::Patch => hyper::Method::PATCH,
        Method::Delete => hyper::Method::DELETE,
    }
}

/// An answer without the secrets of its request.
pub(super) fn response(blots: &Blots, head: &Parts, body: Vec<u8>) -> Response {
    let headers = head.headers.iter().map(|(name, value)| {
        let value = blots.blotted(value.as_bytes().trim_ascii().to_vec());
        Header { name: name.as_str().to_owned(), value: String::from_utf8_lossy(&value).into_owned() }
    });
    Response { status: head.status.as_u16(), headers: headers.collect(), body: blots.blotted(body) }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn request(headers: Vec<RequestHeader>, body: Vec<Piece>) -> Request {
        let url = "https://a.example/v1?q=1".to_owned();
        Request { method: Method::Post, url, headers, body, timeout_ms: None }
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn placed(name: &str, prefix: &str, encoding: Encoding) -> Piece {
        Piece::Secret(PlacedSecret { name: name.to_owned(), prefix: prefix.to_owned(), encoding })
    }

    fn header(name: &str, value: Vec<Piece>) -> RequestHeader {
        RequestHeader { name: name.to_owned(), value }
    }

    fn write(request: Request) -> Result<(hyper::Request<Full<Bytes>>, Blots), String> {
        let url = url(&request.url)?;
        let secrets = [("token", Secret::from("t0p \"secret\"")), ("line", Secret::from("one\ntwo"))];
        let origin = Origin::of(&url).unwrap();
        written(request, &url, &origin, |name| secrets.iter().find(|(known, _)| *known == name).map(|(_, value)| value))
    }

    async fn body(request: Request) -> String {
        let (message, _) = write(request).unwrap();
        String::from_utf8(message.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn secrets_are_written_where_they_are_placed() {
        for (encoding, expected) in [
            (Encoding::Plain, "user:t0p \"secret\""),
            (Encoding::Percent, "user%3At0p%20%22secret%22"),
            (Encoding::Json, "user:t0p \\\"secret\\\""),
            (Encoding::Base64, "dXNlcjp0MHAgInNlY3JldCI="),
        ] {
            let pieces = vec![text("a="), placed("token", "user:", encoding), Piece::Bytes(b"&b".to_vec())];
            assert_eq!(body(request(vec![], pieces)).await, format!("a={expected}&b"));
        }
        assert_eq!(encoded(Encoding::Json, "\"\""), "\\\"\\\"");
    }

    #[test]
    fn a_request_names_its_host_and_its_path() {
        let authorization = header("Authorization", vec![text("Bearer "), placed("token", "", Encoding::Percent)]);
        let (message, _) = write(request(vec![authorization], vec![])).unwrap();
        assert_eq!(message.uri(), "/v1?q=1");
        assert_eq!(message.headers()["host"], "a.example");
        assert_eq!(message.headers()["authorization"], "Bearer t0p%20%22secret%22");
    }

    #[test]
    fn what_is_the_agents_or_breaks_out_of_its_line_is_refused_without_its_value() {
        let told = |headers, body| write(request(headers, body)).err().unwrap();
        for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "a b", "", "a:b", "ä", "user-agent"]
        {
            assert!(told(vec![header(name, vec![])], vec![]).starts_with("headers: "), "{name}");
        }
        let line = told(vec![header("x", vec![placed("line", "", Encoding::Plain)])], vec![]);
        assert_eq!(line, "headers: x: expected a value without control characters");
        assert!(told(vec![header("x", vec![text("a\r\nb: c")])], vec![]).starts_with("headers: x"));
        assert!(
            told(vec![], vec![placed("other", "", Encoding::Plain)]).starts_with("secret \"other\": expected one of")
        );
        let long = Piece::Bytes(vec![0; BODY_MAX_BYTES + 1]);
        assert_eq!(told(vec![], vec![long]), "body: expected at most 1048576 bytes");
        write(request(vec![], vec![Piece::Bytes(vec![0; BODY_MAX_BYTES])])).unwrap();
        let many = (0..=HEADERS_MAX).map(|n| header(&format!("x{n}"), vec![])).collect();
        assert_eq!(told(many, vec![]), "headers: expected at most 64");
    }

    #[test]
    fn a_url_is_absolute_and_has_no_user() {
        for text in ["", "/v1", "https://user@a.example/", "https://:p@a.example/", "https://a.example/#f", "nonsense"]
        {
            assert_eq!(url(text), Err(EXPECTED_URL.to_owned()), "{text}");
        }
        url("https://a.example/v1?q=%0d").unwrap();
    }

    #[test]
    fn secrets_that_come_back_are_blotted_out() {
        let pieces = vec![placed("token", "", Encoding::Percent)];
        let (_, blots) = write(request(vec![], pieces)).unwrap();
        let (head, ()) = hyper::Response::builder().header("X-Echo", "t0p \"secret\"!").body(()).unwrap().into_parts();
        let told = response(&blots, &head, b"t0p \"secret\" t0p%20%22secret%22 t0p".to_vec());
        assert_eq!(String::from_utf8(told.body).unwrap(), "************ ****************** t0p");
        assert_eq!(told.headers, [Header { name: "x-echo".into(), value: "************!".into() }]);
    }
}
