//! How many authorised reads a second the panel API answers over mTLS, with a bare axum and rustls handler beside it that
//! checks the same client certificate and returns as many bytes.
//!
//! The same client, the same run, turn about. The client and one server share the processors, which draws the ratio of
//! the rates towards 1; so what the servers themselves used of the processor for a request is printed, too.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

mod bare;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use latchkey_bench::client::{Connection, Credentials, port_of};
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::{Api, Node};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const CONNECTIONS: [usize; 2] = [1, 16];
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(500);
const PERSON: &str = "reader@example.org";

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("bare") {
        return bare::serve();
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let node = Node::running()?;
    let live = &node.live()?.id;
    let api = Api::of(&node)?;
    let share = api.share(&node, PERSON, json!({"id": 2, "login": "editor"})).await?;
    let request = format!("GET /v1/instances/{live} HTTP/1.1\r\nHost: 127.0.0.1\r\nLatchkey-Actor: {PERSON}\r\n\r\n")
        .into_bytes();
    let credentials = node.credentials()?;
    let port = port_of(&node.panel.url)?;
    let (head, body) = {
        let mut connection = credentials.connect(port).await?;
        let answer = connection.exchange(&request).await?;
        ensure!(answer.status == 200, "the read was answered with {}", answer.status);
        (answer.head.len(), answer.body.len())
    };
    println!("reads of {body} bytes with {head} bytes of headers");
    let bare = Bare::start(&node, body)?;
    for connections in CONNECTIONS {
        let mut ours = Side::open(&credentials, port, node.pids.serve, connections).await?;
        let mut theirs = Side::open(&credentials, bare.port, bare.child.id(), connections).await?;
        for side in [&mut ours, &mut theirs] {
            side.round(&request).await?;
            side.forget();
        }
        for round in 0..ROUNDS {
            let mut sides = [&mut ours, &mut theirs];
            sides.rotate_left(round % 2);
            for side in sides {
                side.round(&request).await?;
            }
        }
        let ratio = median(ours.rates.iter().zip(&theirs.rates).map(|(one, other)| one / other).collect());
        let name = format!("read, {connections} connections");
        print(&name, (median(ours.rates.clone()), "bare axum", median(theirs.rates.clone())), "/s", ratio);
        let (one, other) = (ours.processor_us(), theirs.processor_us());
        print(&format!("{name}, processor"), (one, "bare axum", other), "us", other / one);
    }
    api.call(&node.owner, "DELETE", &format!("/v1/instances/{live}/shares/{share}"), &json!({})).await?;
    Ok(())
}

/// One of the two servers, with connections to it.
struct Side {
    connections: Vec<Connection<TlsStream<TcpStream>>>,
    pid: u32,
    rates: Vec<f64>,
    requests: usize,
    processor_ticks: u64,
}

impl Side {
    async fn open(credentials: &Credentials, port: u16, pid: u32, count: usize) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(credentials.connect(port).await?);
        }
        Ok(Self { connections, pid, rates: Vec::new(), requests: 0, processor_ticks: 0 })
    }

    async fn round(&mut self, request: &[u8]) -> Result<()> {
        let before = processor_ticks(self.pid)?;
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for mut connection in std::mem::take(&mut self.connections) {
            let request = request.to_vec();
            tasks.spawn(async move {
                let mut done = 0_usize;
                while start.elapsed() < ROUND {
                    let answer = connection.exchange(&request).await?;
                    ensure!(answer.status == 200, "a read was answered with {}", answer.status);
                    done += 1;
                }
                Ok((connection, done))
            });
        }
        let mut requests = 0;
        while let Some(task) = tasks.join_next().await {
            let (connection, done) = task.context("wait for a connection")??;
            self.connections.push(connection);
            requests += done;
        }
        self.rates.push(requests as f64 / start.elapsed().as_secs_f64());
        self.requests += requests;
        self.processor_ticks += processor_ticks(self.pid)?.saturating_sub(before);
        Ok(())
    }

    fn forget(&mut self) {
        self.rates.clear();
        (self.requests, self.processor_ticks) = (0, 0);
    }

    /// Microseconds of the processor that one request took the server. (The kernel counts in hundredths of a second.)
    fn processor_us(&self) -> f64 {
        self.processor_ticks as f64 * 10_000.0 / self.requests as f64
    }
}

fn processor_ticks(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read the time that a server used")?;
    let fields = text.rsplit_once(')').context("expected a name in brackets")?.1.split_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// The bare server, in a process of its own.
struct Bare {
    child: Child,
    port: u16,
}

impl Drop for Bare {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bare {
    fn start(node: &Node, body: usize) -> Result<Self> {
        let (certificate, key) = node.server_certificate();
        let mut child = Command::new(std::env::current_exe().context("find our own program")?)
            .arg("bare")
            .args([&certificate, &key, &node.panel.ca])
            .arg(body.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the bare server")?;
        let output = child.stdout.take().context("the bare server has no output")?;
        let mut bare = Self { child, port: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("read the bare server's port")?;
        bare.port = line.trim().parse().context("the bare server said no port")?;
        Ok(bare)
    }
}
