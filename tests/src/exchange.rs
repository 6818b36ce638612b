//! One HTTP request and its response, made with curl.

use serde_json::Value;
use xtask::node::Certificate;
use xtask::process::Program;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    program: Program,
    url: String,
    body: Option<Vec<u8>>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in order, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// A request. Redirects are not followed; the only proxy is none.
    #[must_use]
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let program = Program::new("curl")
            .args(["--silent", "--show-error", "--http1.1", "--max-time", "100", "--noproxy", "*", "--include"])
            .args(["--header", "Expect:", "--header", "Accept:", "--request", method]);
        Self { program, url: url.into(), body: None }
    }

    /// A header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.program = self.program.arg("--header").arg(format!("{name}: {value}"));
        self
    }

    /// The root that the server's certificate must come from.
    #[must_use]
    pub fn trusting(mut self, root: &std::path::Path) -> Self {
        self.program = self.program.arg("--cacert").arg(root);
        self
    }

    /// The client's certificate.
    #[must_use]
    pub fn identified_by(mut self, certificate: &Certificate) -> Self {
        self.program = self.program.arg("--cert").arg(&certificate.certificate).arg("--key").arg(&certificate.key);
        self
    }

    /// Another argument for curl.
    #[must_use]
    pub fn option(mut self, argument: &str) -> Self {
        self.program = self.program.arg(argument);
        self
    }

    /// A body, as it is.
    #[must_use]
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", kind)
    }

    /// A JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A form as browsers send it.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// Sends it. Blocks.
    ///
    /// # Errors
    /// When no response came; the error says what curl says.
    pub fn try_send(self) -> Result<Response, String> {
        let Self { mut program, url, body } = self;
        if let Some(body) = body {
            program = program.args(["--data-binary", "@-"]).input(body);
        }
        let text = program.arg(&url).text().map_err(|error| format!("{url}: {error:#}"))?;
        Ok(parse(&text).unwrap_or_else(|| panic!("{url}: no HTTP response: {text}")))
    }

    /// Sends it. Blocks.
    #[must_use]
    #[track_caller]
    pub fn send(self) -> Response {
        self.try_send().unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Response {
    /// The value of a header, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where it redirects to, or nothing.
    #[must_use]
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON, of a request that must have worked.
    #[track_caller]
    pub fn done(&self) -> Value {
        assert!((200..300).contains(&self.status), "expected success: {} {}", self.status, self.body);
        self.json()
    }

    /// The problem document of a request that must have been refused with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem
    }

    /// A refusal with this status and code by this rule of the access model.
    #[track_caller]
    pub fn refused_by(&self, rule: &str, status: u16, code: &str) -> Value {
        let problem = self.refused(status, code);
        assert_eq!(problem["rule"], rule, "{problem}");
        problem
    }
}

fn parse(text: &str) -> Option<Response> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if status == 100 {
        return parse(body);
    }
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Response { status, headers, body: body.to_owned() })
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
