//! Counts test results, from the output of `cargo test` and of `node --test`.

use std::fmt;
use std::process::ExitCode;

use crate::build::setting;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, and test programs that did not get as far as counting.
    pub failed: u64,
    /// Tests that did not run for want of something.
    pub skipped: u64,
}

impl Results {
    /// Counts one more.
    pub fn count_one(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Counts what a line of a test program's output says, if it is one that says something.
    pub fn count_line(&mut self, line: &str) {
        if let Some((_, counts)) = line.split_once("test result: ") {
            self.passed += number_before(counts, " passed");
            self.failed += number_before(counts, " failed");
            self.skipped += number_before(counts, " ignored");
        } else if line.contains("SKIPPED (needs") {
            self.skipped += 1;
        }
    }

    /// Counts what a line of the TAP of `node --test` says, if it is one that says something.
    pub fn count_tap_line(&mut self, line: &str) {
        let number = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.trim().parse().ok()).unwrap_or(0);
        self.passed += number("# pass ");
        self.failed += number("# fail ");
        self.failed += number("# cancelled ");
        self.skipped += number("# skipped ");
        self.skipped += number("# todo ");
    }

    /// Adds another set-up's results; `succeeded` says how its program ended. A program that failed without a failed
    /// test (it was not built, or crashed) counts as one failure.
    pub fn add(&mut self, other: Self, succeeded: bool) {
        self.passed += other.passed;
        self.failed += if succeeded { other.failed } else { other.failed.max(1) };
        self.skipped += other.skipped;
    }

    /// Failure if anything failed, nothing ran, or in CI anything was skipped.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        let in_ci = setting("CI").is_some_and(|value| value == "true");
        if self.failed > 0 || self.passed == 0 || (in_ci && self.skipped > 0) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.skipped > 0 {
            writeln!(formatter, "{} SKIPPED (a failure where CI=true)", self.skipped)?;
        }
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number that stands before `word` in `text`, or 0.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().filter(|before| before.len() < text.len()).unwrap_or_default();
    before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(passed: u64, failed: u64, skipped: u64) -> Results {
        Results { passed, failed, skipped }
    }

    #[track_caller]
    fn check(lines: &str, expected: Results) {
        let mut counted = Results::default();
        lines.lines().for_each(|line| counted.count_line(line));
        assert_eq!(counted, expected);
    }

    #[test]
    fn the_summaries_of_cargo_test_are_added_up() {
        check(
            "test a ... ok\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s\n\
             test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            results(15, 2, 1),
        );
    }

    #[test]
    fn a_test_that_needs_something_absent_counts_as_skipped() {
        check("SKIPPED (needs a kernel with Landlock)", results(0, 0, 1));
    }

    #[test]
    fn other_lines_count_nothing() {
        check("test the_result: passed ... ok\n3 passed, 1 failed\n", results(0, 0, 0));
    }

    #[test]
    fn the_summary_of_node_is_counted() {
        let mut counted = Results::default();
        "ok 1 - opens\n# tests 4\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 1".lines().for_each(|line| {
            counted.count_tap_line(line);
        });
        assert_eq!(counted, results(2, 1, 1));
    }

    #[test]
    fn a_test_program_that_ended_early_counts_as_a_failure() {
        let mut all = results(5, 0, 0);
        all.add(results(0, 0, 0), false);
        all.add(results(1, 2, 0), false);
        assert_eq!(all, results(6, 3, 0));
    }

    #[test]
    fn the_last_line_is_exactly_the_counts() {
        assert_eq!(results(7, 1, 2).to_string().lines().last(), Some("7 passed, 1 failed"));
        assert_eq!(results(7, 1, 0).to_string(), "7 passed, 1 failed");
    }
}
