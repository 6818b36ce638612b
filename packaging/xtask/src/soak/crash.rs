//! kill -9 of serve, the broker and PHP workers while several clients change shares. After each round every acknowledged
//! change is there, no other is there by half, no dead share lives, and the audit holds together.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::exchange::at_agent;
use super::guest::{Guest, Tally};
use super::killer::{self, Kills};
use crate::build::Build;
use crate::clock::Stopwatch;
use crate::mutex::lock;
use crate::node::{Node, Options, packages};
use crate::random;

/// Clients side by side.
const CLIENTS: usize = 4;

/// The arguments.
#[derive(Args, Debug)]
pub struct Crash {
    /// How many rounds.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// How many changes the clients try in a round, all of them together.
    #[arg(long, default_value_t = 1000)]
    changes: u32,
    /// Begins the random numbers: the same one gives the same requests, though not the same moments.
    #[arg(long)]
    seed: Option<u64>,
    /// Directory with the programs of the agent, built already.
    #[arg(long, value_name = "DIR", hide = true)]
    built: Option<PathBuf>,
}

impl Crash {
    /// Starts a node and runs the rounds on its instance `live`. Needs root.
    ///
    /// # Errors
    /// When something is not as it must be after a round.
    pub fn run(self) -> Result<()> {
        packages::require_root()?;
        let build = self.built.clone().map_or(Build::Release, Build::Ready);
        let node = Node::start(Options { build, ..Options::demo() })?;
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        println!("seed {seed}");
        let mut rounds = Rounds::begin(&node, seed)?;
        for round in 1..=self.rounds {
            let watch = Stopwatch::start();
            if let Err(error) = rounds.run(self.changes) {
                let kept = keep_logs(&node, seed)?;
                return Err(
                    error.context(format!("in round {round} of seed {seed}; the logs are in {}", kept.display()))
                );
            }
            println!("round {round}, {:.1} s: {}", watch.elapsed().as_secs_f64(), rounds.summary());
        }
        drop(rounds);
        let leftovers = node.take_down()?;
        ensure!(leftovers.is_empty(), "left behind: {leftovers:#?}");
        Ok(())
    }
}

/// Keeps what serve and the broker said: the node's own directory goes with it.
fn keep_logs(node: &Node, seed: u64) -> Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("latchkey-soak-{seed}"));
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    for daemon in [node.serve()?, node.broker()?] {
        let kept = directory.join(daemon.name()).with_extension("log");
        fs::copy(daemon.log(), &kept).with_context(|| format!("copy {}", daemon.log().display()))?;
    }
    Ok(directory)
}

/// Rounds on a node, whose clients keep their shares from one to the next.
pub struct Rounds<'n> {
    node: &'n Node,
    guests: Vec<Guest<'n>>,
    random: fastrand::Rng,
    audit: Audit,
    kills: Kills,
}

impl<'n> Rounds<'n> {
    /// Clients of the instance `live` without shares yet.
    ///
    /// # Errors
    /// When the node runs without the agent.
    pub fn begin(node: &'n Node, seed: u64) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        let live = node.instances().into_iter().find(|instance| instance.id == "live").context("no instance live")?;
        let agent = node.agent()?;
        let run = random::word(6)?;
        let guest = |number: usize| {
            let name = format!("crash-{run}-{number}");
            let (socket, gateway) = (agent.paths().cli_socket.as_path(), agent.urls().gateway.as_str());
            Guest::new(name, socket, gateway, live.clone(), random.fork())
        };
        let guests = (0..CLIENTS).map(guest).collect();
        Ok(Self { node, guests, random, audit: Audit::default(), kills: Kills::default() })
    }

    /// One round: changes by all clients while things are killed, then a look at everything.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub fn run(&mut self, changes: u32) -> Result<()> {
        let one_less = |left: u32| left.checked_sub(1);
        let (left, done) = (AtomicU32::new(changes), AtomicBool::new(false));
        let refused = Mutex::new(None);
        let mut random = self.random.fork();
        let node = self.node;
        let kills = thread::scope(|scope| {
            let killer = scope.spawn(|| killer::kill_until(node, &done, &mut random));
            let clients: Vec<_> = self
                .guests
                .iter_mut()
                .map(|guest| {
                    scope.spawn(|| {
                        while left.load(Ordering::Relaxed) > 0 {
                            match guest.change_something() {
                                Ok(true) => drop(left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)),
                                // Nobody listens at the moment.
                                Ok(false) => thread::sleep(Duration::from_millis(5)),
                                Err(error) => {
                                    *lock(&refused) = Some(error);
                                    return;
                                }
                            }
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| drop(client.join()));
            done.store(true, Ordering::Relaxed);
            killer.join()
        });
        let kills = kills.map_err(|_| anyhow::anyhow!("the killer panicked"))??;
        self.kills.serve += kills.serve;
        self.kills.broker += kills.broker;
        self.kills.php += kills.php;
        if let Some(error) = lock(&refused).take() {
            return Err(error);
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<()> {
        let socket = &self.node.agent()?.paths().cli_socket;
        let verified = read(socket, "/v1/audit/verify")?;
        ensure!(verified.get("ok") == Some(&Value::Bool(true)), "the audit is broken: {verified}");
        self.audit.read_on(socket)?;
        let audit = &self.audit;
        self.guests.iter_mut().try_for_each(|guest| guest.settle(|share| audit.last_word.get(share).cloned()))
    }

    /// What was done so far, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut all = Tally::default();
        for Tally { acknowledged, unanswered, happened, opened, out } in self.guests.iter().map(|guest| guest.tally) {
            all.acknowledged += acknowledged;
            all.unanswered += unanswered;
            all.happened += happened;
            all.opened += opened;
            all.out += out;
        }
        let Kills { serve, broker, php } = self.kills;
        let Tally { acknowledged, unanswered, happened, opened, out } = all;
        format!(
            "{acknowledged} changes acknowledged, {unanswered} without an answer ({happened} had happened); \
             {opened} sessions opened, {out} of dead shares, all out; killed: serve {serve}, broker {broker}, PHP {php}"
        )
    }
}

/// What the audit says last about the state of each share.
#[derive(Default)]
struct Audit {
    seq: u64,
    last_word: HashMap<String, String>,
}

impl Audit {
    fn read_on(&mut self, socket: &std::path::Path) -> Result<()> {
        loop {
            let page = read(socket, &format!("/v1/audit?after={}&limit=1000", self.seq))?;
            let rows = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.seq = row.get("seq").and_then(Value::as_u64).context("a row without a number")?;
                let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let state = match text("operation").as_str() {
                    "share.invite" => "pending",
                    "share.accept" | "share.reinstate" => "active",
                    "share.suspend" => "suspended",
                    "share.revoke" => "revoked",
                    _ => continue,
                };
                if text("outcome") == "allowed" {
                    self.last_word.insert(text("share"), state.to_owned());
                }
            }
        }
    }
}

fn read(socket: &std::path::Path, path: &str) -> Result<Value> {
    match at_agent(socket, "panel", "GET", path, None) {
        Ok(answer) if answer.status == 200 => Ok(answer.json()),
        other => bail!("GET {path}: {other:?}"),
    }
}
