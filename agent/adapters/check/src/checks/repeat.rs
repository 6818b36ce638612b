//! Calls that are repeated under their key: the agent does so when it does not know how a call ended.

use super::{Verdict, broke_down, judged, told};
use crate::{
    bench::Bench,
    report::Finding,
    runner::{Came, RunnerError},
    world::{Cut, Moment, World},
};

/// A call is cut off at so many of its host calls.
const CUTS: usize = 8;

/// Twice the same, in one world.
pub(super) fn same(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let (mut looked, mut findings) = (0, Vec::new());
    for function in bench.functions().iter().filter(|function| function.is_change()) {
        let (mut world, arguments) = (World::default(), bench.arguments(function));
        let first = bench.call(function, (&arguments, "once"), &mut world)?;
        if !matches!(first, Came::Returned(_)) {
            continue;
        }
        let kept = world.kept();
        let second = bench.call(function, (&arguments, "twice under one key"), &mut world)?;
        if broke_down(&second).is_some() {
            continue;
        }
        looked += 1;
        if first != second {
            let found = format!("first {}, then {}", told(&first), told(&second));
            findings.push(Finding::new(function, "twice under one key", found));
        } else if kept != world.kept() {
            let found = format!("there was {kept}, then {}", world.kept());
            findings.push(Finding::new(function, "twice under one key", found));
        }
    }
    let passed = || format!("{looked} functions, each called twice under one key");
    Ok(judged(looked, findings, passed, "no change succeeds without a platform"))
}

/// Cut off at a host call, before and after it was carried out, and called again.
pub(super) fn after_cut(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let (mut looked, mut findings) = (0, Vec::new());
    for function in bench.functions() {
        let (mut world, arguments) = (World::default(), bench.arguments(&function));
        let whole = bench.call(&function, (&arguments, "as usual"), &mut world)?;
        let cuts = world.asked().len().min(CUTS);
        let moments = [(Moment::Before, "before"), (Moment::After, "after")];
        for (at, (moment, says)) in (0..cuts).flat_map(|at| moments.map(|moment| (at, moment))) {
            let arguments = bench.arguments(&function);
            let mut world = World::default();
            world.begin(Some(Cut { at, moment }));
            let with = format!("cut off {says} host call {}", at + 1);
            if bench.call(&function, (&arguments, &with), &mut world)? != Came::Cut {
                continue;
            }
            world.begin(None);
            let again = bench.call(&function, (&arguments, &with), &mut world)?;
            looked += 1;
            let is_as_well = matches!(again, Came::Returned(_)) || !matches!(whole, Came::Returned(_));
            if !is_as_well && broke_down(&again).is_none() {
                findings.push(Finding::new(&function, &with, format!("then {}", told(&again))));
            }
        }
    }
    let passed = || format!("{looked} calls, each cut off at a host call and repeated");
    Ok(judged(looked, findings, passed, "no function asks the agent for anything"))
}
