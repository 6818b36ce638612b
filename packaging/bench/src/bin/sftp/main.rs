//! SFTP through serve and the confined worker, with OpenSSH's `internal-sftp` and `rclone serve sftp` beside it: the same
//! client, the same cipher, files on the same file system, the order of the servers shuffled in each round. Then FTP over TLS
//! with vsftpd beside it.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, starts programs, and prints what it saw"
)]

mod clients;
mod ftps;
mod held;
mod processes;
mod relay;
mod rounds;
mod servers;
mod session;
mod small_files;
mod transfers;

use anyhow::{Context, Result};
use latchkey_bench::node::{Api, Node};

use crate::clients::Local;
use crate::servers::Servers;

fn main() -> Result<()> {
    let node = Node::running()?;
    let load = std::fs::read_to_string("/proc/loadavg").context("read the load")?;
    println!("load of this machine before: {}", load.trim());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let api = Api::of(&node)?;
    let local = Local::make()?;
    let servers = runtime.block_on(Servers::start(&node, &api, &local))?;
    // First, while serve has kept no memory of anything else.
    runtime.block_on(held::measure(&node, &api, &servers.ours, &local))?;
    small_files::measure(&servers, &local)?;
    transfers::measure_fast(&servers, &local)?;
    transfers::measure_slow(&servers, &local, &runtime)?;
    drop(servers);
    runtime.block_on(ftps::measure(&node, &api, &local))
}
