//! One connection with one request: who asks, what for, what comes of it, and what goes wrong on the way.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::arguments::{Arguments, Refusal, refusal};
use crate::faults::Fault;
use crate::journal::{Entry, Kind, Outcome};
use crate::uapi::{self, Function};
use crate::{Played, Shared, api2};

const REQUEST_MAX_BYTES: u64 = 2 << 20;
const HEADERS_MAX: usize = 64;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(10);

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>cPanel Login</title></head><body>Log in</body></html>\n";

/// What was asked for.
struct Request {
    path: String,
    authorization: Option<String>,
    arguments: Arguments,
}

/// Which of the two interfaces, and which function of it.
struct Call {
    interface: Interface,
    module: String,
    name: String,
}

#[derive(Clone, Copy)]
enum Interface {
    Uapi,
    Api2,
}

/// What is sent, and when.
struct Reply {
    status: u16,
    body: Vec<u8>,
    /// How many bytes of the body are really sent.
    sent: usize,
    after: Option<Duration>,
}

pub(crate) fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(REQUEST_MAX_BYTES));
    let Some(request) = read(&mut reader)? else { return Ok(()) };
    let reply = shared.played().answer(&request);
    let Some(reply) = reply else { return Ok(()) };
    send(stream, &reply)
}

fn read(reader: &mut BufReader<io::Take<TcpStream>>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (mut authorization, mut length) = (None, 0);
    for _ in 0..HEADERS_MAX {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut form = vec![0; length.min(REQUEST_MAX_BYTES as usize)];
    reader.read_exact(&mut form)?;
    Ok(Some(Request { path: path.to_owned(), authorization, arguments: Arguments::parse(query, &form) }))
}

impl Played {
    /// Does what is asked for, unless something goes wrong before. Nothing is sent if the connection is to end.
    fn answer(&mut self, request: &Request) -> Option<Reply> {
        let expected = format!("cpanel {}:{}", self.account.user, self.account.token);
        if request.authorization.as_deref() != Some(expected.as_str()) {
            return Some(Reply::whole(401, LOGIN_PAGE));
        }
        let Some(call) = request.call() else { return Some(Reply::whole(404, "<html>Not Found</html>")) };
        let (kind, function) = call.function();
        self.others.act(&mut self.account);
        let fault = self.faults.draw();
        let mut entry = Entry {
            function: format!("{}::{}", call.module, call.name),
            arguments: request.arguments.sorted(),
            kind,
            outcome: Outcome::Lost,
            answered: false,
        };
        if let Some(fault @ (Fault::CutBefore | Fault::FailBefore | Fault::LoginPage)) = fault {
            self.journal.push(entry);
            return match fault {
                Fault::FailBefore => Some(Reply::whole(500, "Internal Server Error")),
                Fault::LoginPage => Some(Reply::whole(200, LOGIN_PAGE)),
                _ => None,
            };
        }
        let answer = function(&mut self.account, &request.arguments);
        entry.outcome = if answer.is_ok() { Outcome::Done } else { Outcome::Refused };
        entry.answered = fault.is_none();
        self.journal.push(entry);
        let body = self.wrap(&call, answer).to_string().into_bytes();
        let whole = body.len();
        match fault {
            Some(Fault::CutAfter) => None,
            Some(Fault::FailAfter) => Some(Reply::whole(500, "Internal Server Error")),
            // The length that is told is that of what is sent: the JSON ends in the middle, the HTTP does not.
            Some(Fault::Truncate) => Some(Reply { status: 200, body, sent: whole / 2, after: None }),
            Some(Fault::Delay(time)) => Some(Reply { status: 200, body, sent: whole, after: Some(time) }),
            _ => Some(Reply { status: 200, body, sent: whole, after: None }),
        }
    }

    fn wrap(&self, call: &Call, answer: Result<Value, Refusal>) -> Value {
        match call.interface {
            Interface::Uapi => self.envelope.wrap(&call.module, &call.name, answer),
            Interface::Api2 => api2::wrap(&call.module, &call.name, answer),
        }
    }
}

impl Request {
    fn call(&self) -> Option<Call> {
        if self.path == "/json-api/cpanel" {
            let argument = |name: &str| self.arguments.required(&format!("cpanel_jsonapi_{name}")).ok();
            (argument("apiversion")? == "2").then_some(())?;
            let (module, name) = (argument("module")?.to_owned(), argument("func")?.to_owned());
            return Some(Call { interface: Interface::Api2, module, name });
        }
        let (module, name) = self.path.strip_prefix("/execute/")?.split_once('/')?;
        Some(Call { interface: Interface::Uapi, module: module.to_owned(), name: name.to_owned() })
    }
}

impl Call {
    /// What there is not is refused with status 200, too.
    fn function(&self) -> (Kind, Function) {
        let found = match self.interface {
            Interface::Uapi => uapi::function(&self.module, &self.name),
            Interface::Api2 => api2::function(&self.module, &self.name),
        };
        found.unwrap_or((Kind::Read, |_, _| Err(refusal("There is no such function."))))
    }
}

impl Reply {
    fn whole(status: u16, body: &str) -> Self {
        Self { status, body: body.into(), sent: body.len(), after: None }
    }
}

fn send(mut stream: TcpStream, reply: &Reply) -> io::Result<()> {
    if let Some(time) = reply.after {
        // A client sends nothing more: either the time is over, or the client has gone.
        stream.set_read_timeout(Some(time))?;
        if stream.read(&mut [0]).is_ok() {
            return Ok(());
        }
    }
    let kind = if reply.body.starts_with(b"{") { "application/json" } else { "text/html" };
    let (status, length) = (reply.status, reply.sent);
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(reply.body.get(..reply.sent).unwrap_or_default())
}
