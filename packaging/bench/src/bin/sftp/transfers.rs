//! Large files: there and back, several at once, over a long way, and off the disk.

use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::fs::Advice;
use tokio::runtime::Runtime;

use crate::clients::{BIG_BYTES, FAR_BYTES, Local, ended_well};
use crate::relay::Relay;
use crate::rounds::{Beside, rounds};
use crate::servers::{Server, Servers};

const GCM: &str = "aes128-gcm@openssh.com";
const CHACHA: &str = "chacha20-poly1305@openssh.com";
const AT_ONCE: usize = 4;
const SFTP: Beside = Beside { protocol: "sftp", others: &["OpenSSH", "rclone"] };

/// One at a time, cached, in both directions.
pub(crate) fn measure_fast(servers: &Servers, local: &Local) -> Result<()> {
    for (cipher, name) in [(GCM, "aes128-gcm"), (CHACHA, "chacha20")] {
        let gets = rounds(|| servers.shuffled(), |server| get(server, local, cipher, "big"))?;
        gets.print(&SFTP, &format!("get {name}"), BIG_BYTES);
        let puts = rounds(|| servers.shuffled(), |server| put(server, local, cipher))?;
        puts.print(&SFTP, &format!("put {name}"), BIG_BYTES);
    }
    Ok(())
}

/// Several at once, far away, and cold.
pub(crate) fn measure_slow(servers: &Servers, local: &Local, runtime: &Runtime) -> Result<()> {
    let several = rounds(|| servers.shuffled(), |server| four_gets(server, local))?;
    several.print(&SFTP, "4 gets at once", BIG_BYTES * AT_ONCE as u64);
    let far = rounds(|| servers.shuffled(), |server| far_get(server, local, runtime))?;
    far.print(&SFTP, "far get (100 ms)", FAR_BYTES);
    let far = rounds(|| servers.shuffled(), |server| far_put(server, local, runtime))?;
    far.print(&SFTP, "far put (100 ms)", FAR_BYTES);
    let cold = rounds(|| servers.shuffled(), |server| cold_get(server, local))?;
    cold.print(&SFTP, "cold get", BIG_BYTES);
    Ok(())
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
pub(crate) fn new_name() -> Result<String> {
    Ok(format!("sent-{:016x}", getrandom::u64().context("ask the kernel for a random number")?))
}

/// Removes what was sent, before the kernel writes it to the disk, if all of it came.
pub(crate) fn remove_sent(server: &Server, name: &str, bytes: u64) -> Result<()> {
    let sent = server.directory.join(name);
    ensure!(std::fs::metadata(&sent).context("look at what was sent")?.len() == bytes, "not all of it came");
    std::fs::remove_file(&sent).context("remove what was sent")
}
