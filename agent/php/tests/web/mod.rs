//! A web server that runs PHP as the site's user, a stand-in for the agent beside it, and what they answer.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::site::Site;
use crate::system_user::until;

pub(crate) const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const GATEWAY: &str = "https://127.0.0.1:8444";
pub(crate) const MARK: &str = "0123456789abcdef0123456789abcdef";

/// Counting sessions of one user goes on in one test at a time.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A web server that runs PHP for every request, as the site's user.
pub(crate) struct Web {
    server: Child,
    port: u16,
    pub(crate) agent: UnixListener,
    /// Where the stand-in for the agent listens.
    pub(crate) socket: PathBuf,
    _dir: tempfile::TempDir,
    pub(crate) site: Arc<Site>,
}

/// What a server answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Web {
    /// A server that runs the redeemer `location` for every request.
    pub(crate) fn start() -> Web {
        Web::start_at("public")
    }

    /// The same for a folder of the home.
    pub(crate) fn start_at(docroot: &str) -> Web {
        let redeemer = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/sso.php");
        Web::running(|site, socket| {
            format!(
                "<?php $_SERVER['LATCHKEY_INSTANCE'] = 'live'; $_SERVER['LATCHKEY_ABSPATH'] = '{}'; $_SERVER['LATCHKEY_SOCKET'] = '{}';\n\
                 $_SERVER['LATCHKEY_GATEWAY'] = '{GATEWAY}'; require '{}';",
                site.home.join(docroot).display(),
                socket.display(),
                redeemer.display(),
            )
        })
    }

    /// A server that runs the files of the docroot.
    pub(crate) fn of_docroot() -> Web {
        Web::running(|site, _| {
            // A file that is gone is not found; the server itself would run the site's index.php instead.
            format!(
                "<?php $file = '{}' . $_SERVER['REQUEST_URI']; if (!is_file($file)) {{ http_response_code(404); return; }} require $file;",
                site.docroot.display()
            )
        })
    }

    fn running(router: impl FnOnce(&Site, &Path) -> String) -> Web {
        let site = Site::shared();
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let socket = dir.path().join("redeem.sock");
        let agent = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(dir.path().join("router.php"), router(&site, &socket)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = site.php();
        command.args(["-S", &format!("127.0.0.1:{port}")]).arg(dir.path().join("router.php"));
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the web server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Web { server, port, agent, socket, _dir: dir, site }
    }

    /// A request to the redeemer `location`.
    pub(crate) fn request(&self, method: &str, headers: &str, body: &str) -> Answer {
        self.request_to("/.well-known/latchkey-sso", method, headers, body)
    }

    /// A request to any path.
    pub(crate) fn request_to(&self, path: &str, method: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        // Sent as one: a request that arrives in pieces is more than this server can be trusted with.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:8081\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Posts a token while the agent answers as told; returns the page and what the agent was told.
    pub(crate) fn redeem(&self, answers: Vec<Value>) -> (Answer, Vec<Value>) {
        self.redeem_at("/.well-known/latchkey-sso", answers)
    }

    /// The same at another path.
    pub(crate) fn redeem_at(&self, path: &str, answers: Vec<Value>) -> (Answer, Vec<Value>) {
        let listener = self.agent.try_clone().unwrap();
        let agent = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve_agent(stream, answers)
        });
        let answer = self.request_to(path, "POST", &format!("Origin: {GATEWAY}\r\n"), &format!("token={TOKEN}"));
        (answer, agent.join().unwrap())
    }

    pub(crate) fn session_count(&self) -> String {
        self.site.wordpress("echo '|', count(WP_Session_Tokens::get_instance(2)->get_all());")
    }

    /// Nobody may have spoken to the agent.
    pub(crate) fn check_not_presented(&self, answer: &Answer, status: u16) {
        self.agent.set_nonblocking(true).unwrap();
        assert!(self.agent.accept().is_err(), "the token was presented");
        self.agent.set_nonblocking(false).unwrap();
        check_page(answer, status);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn serve_agent(stream: UnixStream, answers: Vec<Value>) -> Vec<Value> {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut heard = Vec::new();
    for answer in answers {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        heard.push(serde_json::from_str(&line).unwrap());
        writeln!(stream, "{answer}").unwrap();
    }
    heard
}

/// What the agent answers when it takes a token.
pub(crate) fn granted(id: u32, login: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"ok": true, "user": {"id": id, "login": login}, "mark": MARK, "expires_at": now + 600})
}

/// The page that says why nobody was signed in.
#[track_caller]
pub(crate) fn check_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.head);
    assert!(!answer.head.to_lowercase().contains("set-cookie"), "{}", answer.head);
    assert!(answer.body.starts_with("<!doctype html>") && answer.body.contains(GATEWAY), "{}", answer.body);
    assert!(!answer.body.contains(TOKEN) && !answer.head.contains(TOKEN));
}
