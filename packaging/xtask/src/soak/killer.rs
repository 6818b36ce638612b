//! Kills serve, the broker and PHP workers at random moments.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Pid, Signal};

use crate::node::Node;

/// How often each was killed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    /// `latchkey serve`.
    pub serve: u32,
    /// `latchkey-broker`.
    pub broker: u32,
    /// `latchkey-php`, each in the middle of a call.
    pub php: u32,
}

/// Kills until there is nothing to do any more, serve and the broker at least once. Blocks.
///
/// # Errors
/// When one of them does not come back.
pub(crate) fn kill_until(node: &Node, done: &AtomicBool, random: &mut fastrand::Rng) -> Result<Kills> {
    let mut kills = Kills::default();
    loop {
        thread::sleep(Duration::from_millis(random.u64(20..700)));
        match random.u8(0..4) {
            0 => crash(node, &mut kills)?,
            1 => {
                node.broker()?.crash()?;
                kills.broker += 1;
            }
            _ => kills.php += kill_workers(node.root()),
        }
        if done.load(Ordering::Relaxed) && kills.serve > 0 && kills.broker > 0 {
            return Ok(kills);
        }
        if done.load(Ordering::Relaxed) && kills.serve == 0 {
            crash(node, &mut kills)?;
        }
    }
}

fn crash(node: &Node, kills: &mut Kills) -> Result<()> {
    node.serve()?.crash()?;
    kills.serve += 1;
    Ok(())
}

/// Kills the PHP workers of this node that run at this moment.
fn kill_workers(root: &Path) -> u32 {
    let worker = root.join("bin/latchkey-php");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| {
        let is_ours = fs::read_link(entry.path().join("exe")).is_ok_and(|program| program == worker);
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        is_ours.then(|| Pid::from_raw(pid)).flatten()
    });
    let killed = pids.filter(|pid| rustix::process::kill_process(*pid, Signal::KILL).is_ok());
    u32::try_from(killed.count()).unwrap_or(u32::MAX)
}
