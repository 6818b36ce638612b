//! What processes cost, from `/proc`.

use std::collections::BTreeMap;
use std::process::Child;

use anyhow::{Context, Result};

/// The kernel counts in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is killed and waited for on drop.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of `/proc/<pid>/stat`.
struct Stat {
    parent: u32,
    seconds: f64,
}

/// Processor time of processes and of all their descendants, ended ones included, in seconds.
pub(crate) fn processor_s(roots: &[u32]) -> Result<f64> {
    let all = all()?;
    let is_theirs = |mut pid: u32| loop {
        if roots.contains(&pid) {
            break true;
        }
        match all.get(&pid) {
            Some(stat) => pid = stat.parent,
            None => break false,
        }
    };
    Ok(all.iter().filter(|(pid, _)| is_theirs(**pid)).map(|(_, stat)| stat.seconds).sum())
}

/// How many descendants a process has.
pub(crate) fn children(of: u32) -> Result<usize> {
    Ok(all()?.values().filter(|stat| stat.parent == of).count())
}

/// Memory of a process and its children that is its own, shares of shared pages included, in KiB.
pub(crate) fn memory_kib(root: u32) -> Result<f64> {
    let own = all()?.into_iter().filter(|(pid, stat)| *pid == root || stat.parent == root);
    let mut sum = 0.0;
    for (pid, _) in own {
        // It may have ended meanwhile.
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0 kB");
        sum += line.trim().trim_end_matches("kB").trim().parse::<f64>().context("expected a number of kB")?;
    }
    Ok(sum)
}

fn all() -> Result<BTreeMap<u32, Stat>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("list the processes")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        all.extend(parse(&text).map(|stat| (pid, stat)));
    }
    Ok(all)
}

fn parse(text: &str) -> Option<Stat> {
    // The name before the parenthesis may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let times = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<f64>().ok()).sum::<Option<f64>>()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, seconds: times / TICKS_PER_SECOND })
}
