//! What sessions cost that do nothing, or do it badly, and how fast they end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::{Api, Node};
use russh::keys::load_secret_key;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clients::Local;
use crate::processes::{self, Running};
use crate::servers::{Server, account};
use crate::session::{Session, Visit, Window};

const IDLE: usize = 100;
const READERS: usize = 20;
const OTHERS: usize = 1000;
/// Sessions of the share that is revoked.
const OWN: usize = 10;
const REVOCATIONS: usize = 3;
/// Fewer than one source may have.
const OF_ONE_SOURCE: usize = 80;
/// As many sign in at a time; fewer than one source may have that have not signed in.
const AT_ONCE: usize = 8;
/// How long readers read before they are looked at.
const READING: Duration = Duration::from_secs(4);
const FLOOD: Duration = Duration::from_secs(5);
const READ_BYTES: u32 = 256 << 10;
const READS: u64 = 64;
const IDLE_GOAL_KIB: f64 = 128.0;
const READER_GOAL_KIB: f64 = 2048.0;
/// What may be queued before the gate closes, and as much again for everything else.
const FLOOD_GOAL_MIB: f64 = 16.0;
const REVOKED_GOAL_MS: f64 = 50.0;

/// Everything, in this order.
pub(crate) async fn measure(node: &Node, api: &Api, server: &Server, local: &Local) -> Result<()> {
    raise_own_limits();
    let key = load_secret_key(local.path("key"), None).context("read the key")?;
    let visit =
        Visit { address: server.address, from: Ipv4Addr::LOCALHOST, login: server.login.clone(), key: Arc::new(key) };
    // What the first session brings along stays.
    drop(Session::begin(&visit, Window::Refilled).await?);
    idle(node, &visit).await?;
    slow(node, server, local).await?;
    stuck(node, server, &visit).await?;
    flood(node, server, &visit).await?;
    revoke(node, api, local, &visit).await
}

async fn idle(node: &Node, visit: &Visit) -> Result<()> {
    let before = processes::memory_kib(node.pids.serve)?;
    let sessions = many(visit, IDLE).await?;
    let each = (processes::memory_kib(node.pids.serve)? - before) / IDLE as f64;
    drop(sessions);
    print("sftp idle session", (each, "goal", IDLE_GOAL_KIB), "KiB", each / IDLE_GOAL_KIB);
    Ok(())
}

/// Readers that take their time: `sftp` with a limit of 100 KB a second.
async fn slow(node: &Node, server: &Server, local: &Local) -> Result<()> {
    let before = processes::memory_kib(node.pids.serve)?;
    let command = format!("get {}/big /dev/null\n", server.remote);
    let reader = |number| {
        // Each from an address of its own, of which several may be signing in.
        let from = format!("BindAddress=127.0.8.{}", number + 1);
        let more = ["-l", "800", "-o", &from];
        local.sftp(server, server.address, "aes128-gcm@openssh.com", &more, &command).map(Running)
    };
    let readers = (0..READERS).map(reader).collect::<Result<Vec<_>>>()?;
    sleep(READING).await;
    let each = (processes::memory_kib(node.pids.serve)? - before) / READERS as f64;
    drop(readers);
    print("sftp slow reader", (each, "goal", READER_GOAL_KIB), "KiB", each / READER_GOAL_KIB);
    Ok(())
}

/// Readers that ask for 16 MiB, and allow the server to send no more than their first window.
async fn stuck(node: &Node, server: &Server, visit: &Visit) -> Result<()> {
    let before = processes::memory_kib(node.pids.serve)?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Session::begin(visit, Window::Stuck).await?;
        let handle = reader.open(&format!("{}/big", server.remote)).await?;
        for number in 0..READS {
            reader.ask_for(&handle, number * u64::from(READ_BYTES), READ_BYTES).await?;
        }
        readers.push(reader);
    }
    sleep(READING).await;
    let each = (processes::memory_kib(node.pids.serve)? - before) / READERS as f64;
    drop(readers);
    print("sftp stuck reader", (each, "goal", READER_GOAL_KIB), "KiB", each / READER_GOAL_KIB);
    Ok(())
}

/// One that sends READs as fast as it can and lets nothing come back.
async fn flood(node: &Node, server: &Server, visit: &Visit) -> Result<()> {
    let before = processes::memory_kib(node.pids.serve)?;
    let mut session = Session::begin(visit, Window::Stuck).await?;
    let handle = session.open(&format!("{}/big", server.remote)).await?;
    let mut count = 0_u64;
    let flooding = async {
        while session.ask_for(&handle, 0, READ_BYTES).await.is_ok() {
            count += 1;
        }
    };
    // It never ends by itself: sooner or later nothing is taken any more.
    let _ = timeout(FLOOD, flooding).await;
    let grown = (processes::memory_kib(node.pids.serve)? - before) / 1024.0;
    println!("READ flood: {count} READs of 256 KiB were sent in {FLOOD:?}");
    print("sftp READ flood", (grown, "goal", FLOOD_GOAL_MIB), "MiB", grown / FLOOD_GOAL_MIB);
    Ok(())
}

/// From the request to the end of the last session of the share, with many of somebody else beside them.
async fn revoke(node: &Node, api: &Api, local: &Local, visit: &Visit) -> Result<()> {
    let mut others = many(visit, OTHERS).await?;
    let (mut took, mut first) = (Vec::new(), Vec::new());
    for number in 0..REVOCATIONS {
        let person = format!("leaving{number}@example.org");
        let (share, login) = account(node, api, &person, local).await?;
        let own = many(&Visit { login, ..visit.clone() }, OWN).await?;
        let mut ends = JoinSet::new();
        for session in own {
            ends.spawn(async move {
                session.ended().await;
                Instant::now()
            });
        }
        let begin = Instant::now();
        let reply = api.call(&node.owner, "DELETE", &share, &json!({})).await?;
        let closed = reply.pointer("/ended/closed/sftp").cloned().unwrap_or_default();
        ensure!(closed == OWN, "the reply counts {closed} sessions: {reply}");
        let mut ended: Vec<f64> =
            ends.join_all().await.iter().map(|end| end.duration_since(begin).as_secs_f64() * 1000.0).collect();
        ended.sort_by(f64::total_cmp);
        first.extend(ended.first());
        took.extend(ended.last());
    }
    let mut living = 0;
    for session in &mut others {
        living += usize::from(session.lives().await);
    }
    println!(
        "revoke: {living} of {OTHERS} sessions of others live; the first of its own ended after {:.1} ms",
        median(first)
    );
    ensure!(living == OTHERS, "sessions of others have ended");
    let took = median(took);
    print("sftp revoke, last session ended", (took, "goal", REVOKED_GOAL_MS), "ms", took / REVOKED_GOAL_MS);
    Ok(())
}

/// Sessions of one account, from as many addresses as it takes.
async fn many(visit: &Visit, count: usize) -> Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(count);
    let mut beginning = JoinSet::new();
    for number in 0..count {
        if beginning.len() == AT_ONCE {
            sessions.push(beginning.join_next().await.context("several are beginning")???);
        }
        let source = u8::try_from(number / OF_ONE_SOURCE).context("too many sessions")?;
        let visit = Visit { from: Ipv4Addr::new(127, 0, 7, 1 + source), ..visit.clone() };
        beginning.spawn(async move { Session::begin(&visit, Window::Refilled).await });
    }
    while let Some(begun) = beginning.join_next().await {
        sessions.push(begun??);
    }
    Ok(sessions)
}

/// A thousand sessions are more descriptors than a process has by default.
fn raise_own_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let is = getrlimit(Resource::Nofile);
    // What fails for want of descriptors says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: is.maximum, maximum: is.maximum });
}
