//! What a client of the panel API feels of adapters that never stop, beside what it feels without them.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use latchkey_bench::client::port_of;
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::Node;

const ROUND: Duration = Duration::from_secs(2);
/// Between two requests of the client.
const BREATH: Duration = Duration::from_millis(2);
/// In which a call surely has begun.
const BEGINNING: Duration = Duration::from_millis(500);
/// The same component under two names.
const ADAPTERS: [&str; 2] = ["first", "second"];

pub(crate) fn measure() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let calm = waits().await?;
        for (what, named) in [("loop", "computes"), ("asks", "asks")] {
            let mut calls = ADAPTERS.into_iter().map(|adapter| call(adapter, what)).collect::<Result<Vec<_>>>()?;
            tokio::time::sleep(BEGINNING).await;
            let beside = waits().await?;
            for call in &mut calls {
                ensure!(call.try_wait()?.is_none(), "an adapter that never stops ({what}) was over too early");
            }
            calls.iter_mut().try_for_each(|call| call.wait().map(drop))?;
            let (ours, normal) = (median(beside), median(calm.clone()));
            let name = format!("read beside two adapters without end, each {named}");
            print(&name, (ours, "without them", normal), "ms", ours / normal);
        }
        Ok(())
    })
}

/// How long a client waits for each of many answers, on a connection that lasts.
async fn waits() -> Result<Vec<f64>> {
    let node = Node::running()?;
    let (person, live) = (&node.owner, &node.live()?.id);
    let request = format!("GET /v1/instances/{live} HTTP/1.1\r\nHost: x\r\nLatchkey-Actor: {person}\r\n\r\n");
    let mut connection = node.credentials()?.connect(port_of(&node.panel.url)?).await?;
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < ROUND {
        let begun = Instant::now();
        let answer = connection.exchange(request.as_bytes()).await?;
        ensure!(answer.status == 200, "the client was answered with {}", answer.status);
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(BREATH).await;
    }
    Ok(waits)
}

/// A call that lasts until its limits end it.
fn call(adapter: &str, what: &str) -> Result<Child> {
    let latchkey = env::current_exe()?.with_file_name("latchkey");
    let config = env::var("LATCHKEY_CONFIG").map(PathBuf::from).context("LATCHKEY_CONFIG names no file")?;
    let mut command = Command::new(latchkey);
    command.args(["adapter", "run", adapter, "demo", "databases", "create-database", &format!("name={what}")]);
    command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("call an adapter")
}
