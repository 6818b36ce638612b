//! The same transfer at each server, in rounds.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use latchkey_bench::figures::{median, print};

use crate::servers::Server;

const ROUNDS: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// Seconds of the clock and of the server's processor, of each server.
#[derive(Default)]
pub(crate) struct Rounds(BTreeMap<&'static str, Vec<(f64, f64)>>);

/// What is printed beside ours.
pub(crate) struct Beside {
    pub(crate) protocol: &'static str,
    pub(crate) others: &'static [&'static str],
}

/// Transfers at all servers, in the order that `shuffled` says for each round. A transfer says how many seconds it took.
pub(crate) fn rounds<'a, const N: usize>(
    shuffled: impl Fn() -> Result<[&'a Server; N]>,
    mut transfer: impl FnMut(&Server) -> Result<f64>,
) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        for server in shuffled()? {
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
    pub(crate) fn print(&self, beside: &Beside, what: &str, bytes: u64) {
        let (size, protocol) = (bytes as f64, beside.protocol);
        let (clock, processor) = self.clock_and_processor("latchkey");
        for other in beside.others {
            let (others_clock, others_processor) = self.clock_and_processor(other);
            let speed = |clock: f64| size / MIB / clock;
            let figures = (speed(clock), *other, speed(others_clock));
            print(&format!("{protocol} {other} {what}"), figures, "MiB/s", others_clock / clock);
            let per_gib = |seconds: f64| seconds * 1000.0 * 1024.0 * MIB / size;
            let figures = (per_gib(processor), *other, per_gib(others_processor));
            print(&format!("{protocol}-cpu {other} {what}"), figures, "ms/GiB", processor / others_processor);
        }
    }
}
