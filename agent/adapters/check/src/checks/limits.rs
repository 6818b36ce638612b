//! What all calls used up, and which were ended for that.

use latchkey_adapters::Limits;

use super::Verdict;
use crate::{bench::Bench, report::size};

/// What came of one limit, over all calls that were made.
pub(super) fn of(bench: &Bench, limit: &str) -> Verdict {
    let findings = bench.broken(limit).to_vec();
    if !findings.is_empty() {
        return Verdict::Failed { what: format!("{} calls were ended", findings.len()), findings };
    }
    match bench.most(limit) {
        _ if bench.calls() == 0 => Verdict::NotApplicable("nothing was called".into()),
        None => Verdict::Passed("no call was ended".into()),
        Some(most) if most.used == 0 => Verdict::Passed("none used".into()),
        Some(most) => {
            let unit = |value: u64| match limit.rsplit_once('_') {
                Some((_, "bytes")) => size(value),
                Some((_, "ms")) => format!("{value} ms"),
                _ => value.to_string(),
            };
            let allowed = allowed(bench.options().limits, limit).map(|most| format!(" of {}", unit(most)));
            Verdict::Passed(format!("{}{}, in {}", unit(most.used), allowed.unwrap_or_default(), most.function))
        }
    }
}

fn allowed(limits: Limits, limit: &str) -> Option<u64> {
    serde_json::to_value(limits).ok()?.get(limit)?.as_u64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checks::CALLED;

    #[test]
    fn every_limit_is_judged() {
        // `component.starts` is about the one, `api.too_long` about the other.
        let elsewhere = ["instances", "response_bytes"];
        let judged: BTreeSet<_> = CALLED.iter().filter_map(|check| check.row.id.strip_prefix("limits.")).collect();
        let named = Limits::TABLE.iter().map(|row| row.name).filter(|name| !elsewhere.contains(name));
        assert_eq!(judged, named.chain(["stack"]).collect());
    }
}
