//! Large files: there and back, several at once, over a long way, and off the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use latchkey_bench::figures::{median, print};
use rustix::fs::Advice;
use tokio::runtime::Runtime;

use crate::clients::{BIG_BYTES, FAR_BYTES, Local, ended_well};
use crate::relay::Relay;
use crate::servers::{Server, Servers};

const ROUNDS: usize = 3;
const GCM: &str = "aes128-gcm@openssh.com";
const CHACHA: &str = "chacha20-poly1305@openssh.com";
const AT_ONCE: usize = 4;
const MIB: f64 = 1024.0 * 1024.0;

/// Seconds of the clock and of the server's processor, of each server.
#[derive(Default)]
struct Rounds(BTreeMap<&'static str, Vec<(f64, f64)>>);

/// One at a time, cached, in both directions.
pub(crate) fn measure_fast(servers: &Servers, local: &Local) -> Result<()> {
    for (cipher, name) in [(GCM, "aes128-gcm"), (CHACHA, "chacha20")] {
        let gets = rounds(servers, |server| get(server, local, cipher, "big"))?;
        gets.print_speed(&format!("get {name}"), BIG_BYTES);
        let puts = rounds(servers, |server| put(server, local, cipher))?;
        puts.print_speed(&format!("put {name}"), BIG_BYTES);
    }
    Ok(())
}

/// Several at once, far away, and cold.
pub(crate) fn measure_slow(servers: &Servers, local: &Local, runtime: &Runtime) -> Result<()> {
    let several = rounds(servers, |server| four_gets(server, local))?;
    several.print_speed("4 gets at once", BIG_BYTES * AT_ONCE as u64);
    let far = rounds(servers, |server| far_get(server, local, runtime))?;
    far.print_speed("far get (100 ms)", FAR_BYTES);
    let far = rounds(servers, |server| far_put(server, local, runtime))?;
    far.print_speed("far put (100 ms)", FAR_BYTES);
    let cold = rounds(servers, |server| cold_get(server, local))?;
    cold.print_speed("cold get", BIG_BYTES);
    Ok(())
}

fn rounds(servers: &Servers, mut transfer: impl FnMut(&Server) -> Result<f64>) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        for server in servers.shuffled()? {
            let before = server.processor_s()?;
            let took =
                transfer(server).with_context(|| format!("against {}: {}", server.name(), server.last_words()))?;
            rounds.0.entry(server.name()).or_default().push((took, server.processor_s()? - before));
        }
    }
    Ok(rounds)
}

impl Rounds {
    fn clock_and_processor(&self, of: &str) -> (f64, f64) {
        let rounds = self.0.get(of).map(Vec::as_slice).unwrap_or_default();
        (median(rounds.iter().map(|round| round.0).collect()), median(rounds.iter().map(|round| round.1).collect()))
    }

    /// Speeds, and how long a processor was busy with each GiB.
    fn print_speed(&self, what: &str, bytes: u64) {
        let size = bytes as f64;
        let (clock, processor) = self.clock_and_processor("latchkey");
        for other in ["OpenSSH", "rclone"] {
            let (others_clock, others_processor) = self.clock_and_processor(other);
            let speed = |clock: f64| size / MIB / clock;
            let figures = (speed(clock), other, speed(others_clock));
            print(&format!("sftp {other} {what}"), figures, "MiB/s", others_clock / clock);
            let per_gib = |seconds: f64| seconds * 1000.0 * 1024.0 * MIB / size;
            let figures = (per_gib(processor), other, per_gib(others_processor));
            print(&format!("sftp-cpu {other} {what}"), figures, "ms/GiB", processor / others_processor);
        }
    }
}

fn get(server: &Server, local: &Local, cipher: &str, name: &str) -> Result<f64> {
    local.timed_sftp(server, cipher, &format!("get {}/{name} /dev/null\n", server.remote))
}

fn put(server: &Server, local: &Local, cipher: &str) -> Result<f64> {
    let name = new_name()?;
    let command = format!("put {} {}/{name}\n", local.path("big").display(), server.remote);
    let took = local.timed_sftp(server, cipher, &command)?;
    remove_sent(server, &name, BIG_BYTES)?;
    Ok(took)
}

fn four_gets(server: &Server, local: &Local) -> Result<f64> {
    let command = format!("get {}/big /dev/null\n", server.remote);
    let begin = Instant::now();
    let clients: Result<Vec<_>> =
        (0..AT_ONCE).map(|_| local.sftp(server, server.address, GCM, &[], &command)).collect();
    clients?.into_iter().try_for_each(ended_well)?;
    Ok(begin.elapsed().as_secs_f64())
}

fn far_get(server: &Server, local: &Local, runtime: &Runtime) -> Result<f64> {
    far(server, local, runtime, &format!("get {}/far /dev/null\n", server.remote))
}

fn far_put(server: &Server, local: &Local, runtime: &Runtime) -> Result<f64> {
    let name = new_name()?;
    let command = format!("put {} {}/{name}\n", local.path("far").display(), server.remote);
    let took = far(server, local, runtime, &command)?;
    remove_sent(server, &name, FAR_BYTES)?;
    Ok(took)
}

fn far(server: &Server, local: &Local, runtime: &Runtime, command: &str) -> Result<f64> {
    let relay = runtime.block_on(Relay::to(server.address))?;
    let begin = Instant::now();
    ended_well(local.sftp(server, relay.address, GCM, &[], command)?)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// A get of a file of which the kernel remembers nothing.
fn cold_get(server: &Server, local: &Local) -> Result<f64> {
    let file = File::open(server.directory.join("big")).context("open the file")?;
    file.sync_all().context("write the file to the disk")?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).context("have the kernel forget the file")?;
    get(server, local, GCM, "big")
}

/// A name of which rclone's server remembers nothing.
fn new_name() -> Result<String> {
    Ok(format!("sent-{:016x}", getrandom::u64().context("ask the kernel for a random number")?))
}

/// Removes what was sent, before the kernel writes it to the disk, if all of it came.
fn remove_sent(server: &Server, name: &str, bytes: u64) -> Result<()> {
    let sent = server.directory.join(name);
    ensure!(std::fs::metadata(&sent).context("look at what was sent")?.len() == bytes, "not all of it came");
    std::fs::remove_file(&sent).context("remove what was sent")
}
