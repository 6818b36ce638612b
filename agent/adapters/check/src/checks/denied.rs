//! What a function does when the operator has not granted a host interface.

use super::{Verdict, broke_down, judged, told};
use crate::{
    bench::{Bench, case, words},
    report::Finding,
    runner::{Came, RunnerError},
    world::World,
};

/// Interfaces that a function may do without.
const DISPENSABLE: &[&str] = &["state"];

/// Calls every function where nothing of that interface is granted.
pub(super) fn of(bench: &mut Bench, interface: &str) -> Result<Verdict, RunnerError> {
    if !bench.imports(interface) {
        return Ok(Verdict::NotApplicable(format!("the component does not use {interface}")));
    }
    let with = format!("{interface} denied");
    let (mut looked, mut findings) = (0, Vec::new());
    for function in bench.functions() {
        let mut world = World::denying(interface);
        let came = bench.call(&function, (&bench.arguments(&function), &with), &mut world)?;
        if !world.asked().iter().any(|asked| asked.interface() == interface) || broke_down(&came).is_some() {
            continue;
        }
        looked += 1;
        let is_well = match &came {
            Came::Failed(error) => case(error) == "denied" && words(error).contains(&World::denial(interface)),
            Came::Returned(_) => DISPENSABLE.contains(&interface),
            Came::Ended(_) | Came::Cut => true,
        };
        if !is_well {
            findings.push(Finding::new(&function, &with, told(&came)));
        }
    }
    let passed = || format!("{looked} functions tell what was denied, or do without");
    Ok(judged(looked, findings, passed, &format!("no function came as far as {interface}")))
}
