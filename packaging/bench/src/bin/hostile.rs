//! What a good client feels of hostile ones at the same doors, beside what it feels without them, in the same run; and how
//! much memory serve came to.
//!
//! The good client comes from the address of the hostile ones. Hostile are, one after the other: 1,000 idle connections,
//! 200 that send headers and 200 that send a body bit by bit (these stay), then a flood of handshakes, then 10,000 wrong
//! tokens. Each loop is bounded; everything is on loopback.
//!
//! Hostile clients have machines of their own, and here they share the node's: so theirs is a thread of the lowest
//! priority, which takes what processor time the agent and the good client leave. It still does as much as it can.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use latchkey_bench::client::{Connection, Credentials, port_of};
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::Node;
use rustix::process::{Resource, getrlimit, setpriority_process, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

const IDLE: usize = 1000;
const SLOW: usize = 200;
const WRONG_TOKENS: usize = 10_000;
const GUESSERS: usize = 64;
const FLOODERS: usize = 64;
/// Places that one address has: more come from the next.
const OF_ONE_ADDRESS: usize = 200;
const ROUND: Duration = Duration::from_secs(5);
const LOWEST_PRIORITY: i32 = 19;
/// Between two requests of the good client.
const BREATH: Duration = Duration::from_millis(2);

fn main() -> Result<()> {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum.map(|most| most.min(16_384)).or(Some(16_384));
    setrlimit(Resource::Nofile, files).context("allow more open files")?;
    let hostile = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        // Of this thread only: so it is with Linux.
        .on_thread_start(|| {
            let _ = setpriority_process(None, LOWEST_PRIORITY);
        })
        .enable_all()
        .build()?;
    let outcome =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(hostile.handle()));
    hostile.shutdown_background();
    outcome
}

/// Where everything connects to, and with what.
#[derive(Clone)]
struct Doors {
    credentials: Credentials,
    panel: u16,
    gateway: u16,
    person: String,
    live: String,
}

/// The good client's waits: with a connection that lasts, and with a new one each time.
#[derive(Default)]
struct Waits {
    lasting_ms: Vec<f64>,
    new_ms: Vec<f64>,
}

async fn measure(hostile: &Handle) -> Result<()> {
    let node = Node::running()?;
    let doors = Doors {
        credentials: node.credentials()?,
        panel: port_of(&node.panel.url)?,
        gateway: port_of(&node.gateway.url)?,
        person: node.owner.clone(),
        live: node.live()?.id.clone(),
    };
    let calm = doors.good_client(Until::Time(ROUND)).await?;
    let idle = hostile.spawn(doors.clone().hold(IDLE, Hold::Idle)).await??;
    let headers = hostile.spawn(doors.clone().hold(SLOW, Hold::Headers)).await??;
    let bodies = hostile.spawn(doors.clone().hold(SLOW, Hold::Body)).await??;
    println!("{} idle, {} with slow headers, {} with slow bodies", idle.len(), headers.len(), bodies.len());
    let beside_slow = doors.good_client(Until::Time(ROUND)).await?;
    print_ratio("beside idle and slow clients", &calm, &beside_slow);
    let (flood, beside_flood) = doors.beside(hostile, doors.clone().flood()).await?;
    println!("{flood} handshakes within the flood");
    print_ratio("beside a flood of handshakes", &calm, &beside_flood);
    let (guesses, beside_guesses) = doors.beside(hostile, doors.clone().guess()).await?;
    println!("{WRONG_TOKENS} wrong tokens, {guesses} of them looked up");
    print_ratio("beside wrong tokens", &calm, &beside_guesses);
    drop((idle, headers, bodies));
    let peak_mib = peak_memory_mib(node.pids.serve)?;
    print("peak memory beside hostile clients", (peak_mib, "goal", 128.0), "MiB", peak_mib / 128.0);
    Ok(())
}

fn print_ratio(what: &str, calm: &Waits, beside: &Waits) {
    for (kind, calm, beside) in
        [("lasting", &calm.lasting_ms, &beside.lasting_ms), ("new", &calm.new_ms, &beside.new_ms)]
    {
        let (ours, normal) = (median(beside.clone()), median(calm.clone()));
        print(&format!("{what}, {kind} connection"), (ours, "without them", normal), "ms", ours / normal);
    }
}

/// How long the good client goes on.
enum Until {
    Time(Duration),
    Done(Arc<AtomicBool>),
}

impl Doors {
    /// Asks the panel, in turns on a connection that lasts and on a new one. Each answer must be a good one.
    async fn good_client(&self, until: Until) -> Result<Waits> {
        let request =
            format!("GET /v1/instances/{} HTTP/1.1\r\nHost: x\r\nLatchkey-Actor: {}\r\n\r\n", self.live, self.person);
        let mut lasting = self.credentials.connect(self.panel).await?;
        let (start, mut waits) = (Instant::now(), Waits::default());
        loop {
            waits.lasting_ms.push(timed(&mut lasting, &request, Instant::now()).await?);
            let begun = Instant::now();
            let mut new = self.credentials.connect(self.panel).await.context("a good client did not get in")?;
            waits.new_ms.push(timed(&mut new, &request, begun).await?);
            tokio::time::sleep(BREATH).await;
            let done = match &until {
                Until::Time(time) => start.elapsed() >= *time,
                Until::Done(done) => done.load(Ordering::Relaxed),
            };
            if done {
                return Ok(waits);
            }
        }
    }

    /// The good client beside something that ends.
    async fn beside(
        &self,
        hostile: &Handle,
        work: impl Future<Output = Result<usize>> + Send + 'static,
    ) -> Result<(usize, Waits)> {
        let done = Arc::new(AtomicBool::new(false));
        let ended = done.clone();
        let hostile = hostile.spawn(async move {
            let outcome = work.await;
            ended.store(true, Ordering::Relaxed);
            outcome
        });
        let waits = self.good_client(Until::Done(done)).await?;
        Ok((hostile.await.context("the hostile client")??, waits))
    }

    /// Opens connections to the gateway and keeps them as they are, from as many addresses as that takes.
    async fn hold(self, count: usize, hold: Hold) -> Result<JoinSet<()>> {
        let mut held = JoinSet::new();
        for number in 0..count {
            let address = Ipv4Addr::new(127, 0, hold as u8, u8::try_from(number / OF_ONE_ADDRESS + 2)?);
            let mut connection = self.shaken(address, self.gateway).await?;
            held.spawn(async move {
                let (start, more) = hold.bytes();
                if connection.write_all(start).await.is_err() {
                    return;
                }
                // Longer than this it is not let.
                for _ in 0..600 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if !more.is_empty() && connection.write_all(more).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(held)
    }

    /// Shakes hands with both doors as often as it can, from the good client's address, and leaves half of them unfinished.
    async fn flood(self) -> Result<usize> {
        let (end, count) = (Instant::now() + ROUND, Arc::new(AtomicUsize::new(0)));
        let mut flooders = JoinSet::new();
        for number in 0..FLOODERS {
            let (doors, count) = (self.clone(), count.clone());
            flooders.spawn(async move {
                let port = if number % 2 == 0 { doors.gateway } else { doors.panel };
                while Instant::now() < end {
                    if number % 4 < 2 {
                        // A handshake that is never begun: dropped with the next.
                        let _silent = connect(Ipv4Addr::LOCALHOST, port).await;
                    } else {
                        let _shaken = doors.shaken(Ipv4Addr::LOCALHOST, port).await;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        flooders.join_all().await;
        Ok(count.load(Ordering::Relaxed))
    }

    /// Presents wrong tokens at the gateway, from the good client's address. Answers how many were looked up.
    async fn guess(self) -> Result<usize> {
        let mut guessers = JoinSet::new();
        for guesser in 0..GUESSERS {
            let doors = self.clone();
            guessers.spawn(async move {
                let mut connection = doors.shaken(Ipv4Addr::LOCALHOST, doors.gateway).await.map(Connection::on)?;
                let mut looked_up = 0;
                for number in 0..WRONG_TOKENS / GUESSERS {
                    let token = format!("{guesser:021}{number:021}A");
                    let request = format!("GET /i/{token} HTTP/1.1\r\nHost: x\r\n\r\n");
                    let status = connection.exchange(request.as_bytes()).await?.status;
                    ensure!(status == 404 || status == 429, "a wrong token was answered with {status}");
                    looked_up += usize::from(status == 404);
                }
                Ok(looked_up)
            });
        }
        guessers.join_all().await.into_iter().sum()
    }

    async fn shaken(&self, from: Ipv4Addr, port: u16) -> Result<TlsStream<TcpStream>> {
        self.credentials.shake_hands(connect(from, port).await?).await
    }
}

async fn timed(connection: &mut Connection<TlsStream<TcpStream>>, request: &str, begun: Instant) -> Result<f64> {
    let answer = connection.exchange(request.as_bytes()).await?;
    ensure!(answer.status == 200, "a good client was answered with {}", answer.status);
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

async fn connect(from: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0))).context("take an address")?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.context("connect")
}

/// What a connection does that is held.
#[derive(Clone, Copy)]
enum Hold {
    Idle = 10,
    Headers = 20,
    Body = 30,
}

impl Hold {
    /// What it sends at first, and then each second.
    const fn bytes(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Idle => (b"", b""),
            Self::Headers => (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-More: 1\r\n"),
            Self::Body => (b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 16000\r\n\r\nemail=", b"a"),
        }
    }
}

fn peak_memory_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read serve's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("serve's memory is not told")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("serve's memory is no number")?;
    Ok(kib / 1024.0)
}
