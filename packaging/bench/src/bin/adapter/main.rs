//! A call of an adapter through its runner (instance, call, one host function, drop) beside a static program that is started
//! for each call and does nothing: turn about, for the template of each language. And the runner's memory, before and after
//! ten thousand calls; and how long it takes from a component to its first answer. Last, what others feel of adapters that
//! never stop (`beside`).
//!
//! The runner and the compiler are those that stand beside this program, confined as on a node; host functions are answered
//! by the conformance kit's models, in memory.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, starts what it compares with and prints what it saw"
)]

mod beside;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use latchkey_adapters::{Call, Limits};
use latchkey_bench::figures::{median, print};
use latchkey_check::Programs;
use latchkey_check::runner::{Came, Runner};
use latchkey_check::world::World;
use serde_json::json;

const ROUNDS: usize = 20;
const CALLS: usize = 100;
const MANY: usize = 10_000;

fn main() -> Result<()> {
    let programs = Programs::find(None)?;
    let components = PathBuf::from(env::var("LATCHKEY_COMPONENTS").context("LATCHKEY_COMPONENTS names no folder")?);
    let peer = components.join("static");
    for language in ["rust", "js"] {
        measure(language, &programs, &fs::read(components.join(format!("{language}.wasm")))?, &peer)?;
    }
    beside::measure()
}

fn measure(language: &str, programs: &Programs, component: &[u8], peer: &Path) -> Result<()> {
    let began = Instant::now();
    let compiled = programs.compile(component)?.map_err(anyhow::Error::msg)?;
    let compiling = began.elapsed().as_secs_f64() * 1e3;
    let mut runner = Runner::start(programs, &compiled)?;
    runner.describe(Limits::default())??;
    call(&mut runner)?;
    let whole = began.elapsed().as_secs_f64() * 1e3;
    print(&format!("adapter {language} first answer"), (whole, "compiling alone", compiling), "ms", whole / compiling);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(each(|| call(&mut runner))?);
        theirs.push(each(|| start(peer))?);
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(one, other)| one / other).collect());
    print(&format!("adapter {language} call"), (median(ours), "a static program", median(theirs)), "us", ratio);

    let before = resident(&runner)?;
    (0..MANY).try_for_each(|_| call(&mut runner))?;
    let after = resident(&runner)?;
    print(&format!("adapter {language} memory"), (after, "before 10,000 calls", before), "MiB", after / before);
    Ok(())
}

/// Microseconds that each of a round takes.
fn each(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    (0..CALLS).try_for_each(|_| work())?;
    Ok(began.elapsed().as_secs_f64() * 1e6 / CALLS as f64)
}

fn call(runner: &mut Runner) -> Result<()> {
    let hosting = json!({ "id": "h1", "system-user": "h1", "home": "/home/h1", "db-prefix": "h1_", "settings": [] });
    let call = Call {
        interface: "databases".into(),
        function: "list-databases".into(),
        arguments: json!({ "hosting": hosting }).to_string(),
        limits: Limits::default(),
    };
    let mut world = World::default();
    let came = runner.call(call, &mut world)?;
    ensure!(came == Came::Returned(json!([])) && world.asked().len() == 1, "the adapter answered {came:?}");
    Ok(())
}

fn start(program: &Path) -> Result<()> {
    let status = Command::new(program).env_clear().status().context("start the static program")?;
    ensure!(status.success(), "the static program ended with {status}");
    Ok(())
}

/// What of the runner is in memory, in MiB.
fn resident(runner: &Runner) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", runner.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
