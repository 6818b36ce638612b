//! Every function, called as the agent would call it, and with what people may type.

use serde_json::{Value, json};

use super::{Verdict, broke_down, judged};
use crate::{
    bench::Bench,
    interface::Function,
    report::Finding,
    runner::{Came, RunnerError},
    samples::{self, Variation},
    world::World,
};

/// As the agent calls, with every case of every variant.
pub(super) fn answer(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let (mut returned, mut answered) = (0, 0);
    let mut count = |came: &Came| match came {
        Came::Returned(_) => returned += 1,
        Came::Failed(_) => answered += 1,
        _ => {}
    };
    let (looked, findings) = each(
        bench,
        |bench, function| {
            let usual = bench.arguments(function);
            let mut calls = samples::with_other_cases(function, &usual);
            calls.insert(0, Variation { what: "as usual".into(), arguments: usual });
            calls
        },
        &mut count,
    )?;
    let passed = || format!("{looked} calls: {returned} returned, {answered} answered with an error");
    Ok(judged(looked, findings, passed, "no function can be called"))
}

/// With odd text in each place where there is text.
pub(super) fn odd_text(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let odd = |bench: &Bench, function: &Function| samples::with_odd_texts(function, &bench.arguments(function));
    let (looked, findings) = each(bench, odd, &mut |_| {})?;
    let passed = || format!("{looked} calls with text that is empty, long or odd");
    Ok(judged(looked, findings, passed, "no function takes text"))
}

/// Without settings, and with each given one missing or empty.
pub(super) fn settings(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let (looked, findings) = each(
        bench,
        |bench, function| {
            let usual = bench.arguments(function);
            let with = |what: String, settings: Value| {
                let mut arguments = usual.clone();
                if let Some(there) = arguments.pointer_mut("/hosting/settings") {
                    *there = settings;
                }
                Variation { what, arguments }
            };
            let all: Vec<Value> =
                usual.pointer("/hosting/settings").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut calls = vec![with("without settings".into(), json!([]))];
            for (name, _) in &bench.options().settings {
                let others = all.iter().filter(|one| one.get(0).and_then(Value::as_str) != Some(name));
                let mut others: Vec<Value> = others.cloned().collect();
                calls.push(with(format!("without the setting {name}"), json!(others)));
                others.push(json!([name, ""]));
                calls.push(with(format!("with the setting {name} empty"), json!(others)));
            }
            calls
        },
        &mut |_| {},
    )?;
    let passed = || format!("{looked} calls without settings, or with empty ones");
    Ok(judged(looked, findings, passed, "no function can be called"))
}

/// Of all calls before: an error has words.
pub(super) fn words(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    let calls = usize::try_from(bench.calls()).unwrap_or(usize::MAX);
    let passed = || "all errors of all calls have words".to_owned();
    Ok(judged(calls, bench.unclear().to_vec(), passed, "nothing was called"))
}

/// Makes the calls that `calls` names of every function, each in a world of its own. How many, and what broke down.
fn each(
    bench: &mut Bench,
    calls: impl Fn(&Bench, &Function) -> Vec<Variation>,
    seen: &mut dyn FnMut(&Came),
) -> Result<(usize, Vec<Finding>), RunnerError> {
    let (mut looked, mut findings) = (0, Vec::new());
    for function in bench.functions() {
        for Variation { what, arguments } in calls(bench, &function) {
            let came = bench.call(&function, (&arguments, &what), &mut World::default())?;
            looked += 1;
            seen(&came);
            findings.extend(broke_down(&came).map(|why| Finding::new(&function, &what, why)));
            if !bench.functions().contains(&function) {
                break;
            }
        }
    }
    Ok((looked, findings))
}
