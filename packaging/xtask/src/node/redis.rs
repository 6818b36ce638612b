//! A Redis of the node's own for object caches of sites: in memory only, on one Unix socket that every system user reaches.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::ground::Ground;
use super::readiness::Readiness;
use super::system_user;
use crate::process::Program;

/// Starts it and waits until it serves; its socket. Blocks for a fraction of a second.
pub(crate) fn start(ground: &Arc<Ground>) -> Result<PathBuf> {
    let owner = system_user::named("redis")?;
    let home = ground.root().directory("redis", 0o755)?;
    owner.own(&home)?;
    let (socket, pid) = (home.join("redis.sock"), home.join("redis.pid"));
    let program = Program::new("/usr/bin/redis-server")
        .args(["--port", "0", "--save", "", "--unixsocketperm", "777", "--unixsocket"])
        .arg(&socket)
        .arg("--pidfile")
        .arg(&pid)
        .run_as(owner.identity())
        .directory(&home);
    ground.launch("redis", program, Readiness::PidFile(pid))?.wait_ready()?;
    Ok(socket)
}
