//! serve with 1,000 instances and 10,000 shares: how long until it is ready, how much memory it keeps, and how long a
//! change of one share takes.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

mod agent;
mod seed;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use latchkey_bench::client::Connection;
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::{Node, request};
use serde_json::json;
use tokio::net::UnixStream;

use crate::agent::Agent;

const STARTS: usize = 7;
const CHANGES: usize = 60;
const GOAL_MEMORY_MIB: f64 = 60.0;
const GOAL_START_MS: f64 = 1000.0;

fn main() -> Result<()> {
    let node = Node::running()?;
    let agent = Agent::prepare(&node)?;
    drop(agent.start().context("start serve to make its database")?);
    seed::fill(&agent.database())?;
    let (mut starts, mut memory, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let running = agent.start()?;
        starts.push(running.took.as_secs_f64() * 1e3);
        running.settle();
        memory.push(running.memory_mib("VmRSS")?);
        peak.push(running.memory_mib("VmHWM")?);
    }
    goal("start, exec to ready", median(starts), GOAL_START_MS, "ms");
    goal("memory after the start", median(memory), GOAL_MEMORY_MIB, "MiB");
    goal("memory, most so far", median(peak), GOAL_MEMORY_MIB, "MiB");

    let running = agent.start()?;
    let changes =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(change_shares(&agent))?;
    println!("share.suspend and share.reinstate: median {:.2} ms of {CHANGES} each, written to disk", median(changes));
    goal("memory after the changes", running.memory_mib("VmRSS")?, GOAL_MEMORY_MIB, "MiB");
    Ok(())
}

fn goal(name: &str, value: f64, goal: f64, unit: &str) {
    print(name, (value, "goal", goal), unit, value / goal);
}

/// Suspends and reinstates shares through the socket of the command line; milliseconds each.
async fn change_shares(agent: &Agent) -> Result<Vec<f64>> {
    let stream = UnixStream::connect(agent.cli_socket()).await.context("connect to the agent")?;
    let mut connection = Connection::on(stream);
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let share = number * 97;
        for what in ["suspend", "reinstate"] {
            let path = format!("/v1/instances/{}/shares/{}/{what}", seed::instance_of(share), seed::share(share));
            let request = request("panel", "POST", &path, &json!({}))?;
            let start = Instant::now();
            let answer = connection.exchange(&request).await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(answer.status == 200, "{what}: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
    }
    Ok(times)
}
