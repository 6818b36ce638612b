//! How long a decision takes on 100,000 shares, with `cedar-policy` on the same data and the same questions beside it.
//!
//! The comparison favours Cedar where it can: its policies are few and static, its entities, its authorizer and even
//! its requests are made before the clock starts. Every answer is compared first.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

mod cedar;
mod model;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::cedar::Cedar;
use crate::model::{Model, Question};

const QUESTIONS: usize = 20_000;
const RUNS: usize = 11;

/// So few questions that both sides keep what they need in the processor's caches.
const FEW: usize = 200;

fn main() -> anyhow::Result<()> {
    let model = Model::generate(QUESTIONS)?;
    let table = model.table();
    let cedar = Cedar::new(&model).context("build the Cedar model")?;
    let requests = model.questions.iter().map(Cedar::request).collect::<anyhow::Result<Vec<_>>>()?;

    let mut allowed = Vec::new();
    for (question, request) in model.questions.iter().zip(&requests) {
        let ours = question.decide(&table);
        ensure!(ours == cedar.allows(request), "the answers differ (ours: {ours}) on {question:?}");
        allowed.push(ours);
    }
    let allows = allowed.iter().filter(|allowed| **allowed).count();
    println!("{} shares, {QUESTIONS} questions, {allows} allowed; both give the same answers", model.shares.len());

    let pick = |wanted: bool| {
        let both = model.questions.iter().zip(&requests).zip(&allowed);
        both.filter(move |(_, allowed)| **allowed == wanted).map(|(pair, _)| pair).unzip()
    };
    let all = (model.questions.iter().collect(), requests.iter().collect());
    let few = (
        model.questions.iter().take(FEW).cycle().take(QUESTIONS).collect(),
        requests.iter().take(FEW).cycle().take(QUESTIONS).collect(),
    );
    let sets = [("allowed", pick(true)), ("refused", pick(false)), ("in cache", few), ("decide", all)];
    for (what, (questions, requests)) in sets {
        let (questions, requests): (Vec<&Question>, Vec<_>) = (questions, requests);
        let ours = median_ns(&questions, |question| question.decide(black_box(&table)));
        let theirs = median_ns(&requests, |request| cedar.allows(black_box(request)));
        println!("{what}: latchkey {ours:.0} ns, cedar-policy {theirs:.0} ns, ratio {:.1}", theirs / ours);
    }
    Ok(())
}

/// Nanoseconds per item: the median of several runs over all of them, after one run that only warms up.
fn median_ns<T>(items: &[T], mut ask: impl FnMut(&T) -> bool) -> f64 {
    let mut run = || {
        let start = Instant::now();
        black_box(items.iter().filter(|item| ask(item)).count());
        start.elapsed().as_secs_f64() * 1e9 / items.len() as f64
    };
    run();
    let mut times: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    times.sort_by(f64::total_cmp);
    times.get(RUNS / 2).copied().unwrap_or(f64::NAN)
}
