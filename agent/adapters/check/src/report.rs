//! What a check found: as data with names that stay, and as lines for people.

use serde::Serialize;

use crate::{
    checks::{Check, Group, Row, Verdict},
    interface::Function,
};

/// The number goes up when something in the shape is removed or gets another meaning.
pub const FORMAT: u32 = 1;

/// People are shown so many findings of a check; programs all.
const SHOWN: usize = 3;

/// A finding keeps so many; the next ones are of the same kind.
const FINDINGS_MAX: usize = 50;

/// What came of all checks.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Whether no check failed.
    pub passed: bool,
    /// How many checks passed.
    pub checks_passed: usize,
    /// How many failed.
    pub checks_failed: usize,
    /// How many had nothing to look at.
    pub checks_not_applicable: usize,
    /// How many calls were made.
    pub calls: u32,
    /// What was checked.
    pub component: Facts,
    /// Every check, in order.
    pub checks: Vec<Checked>,
}

/// What is known of the component.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// Its length.
    pub bytes: u64,
    /// The length of what it was compiled to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiled_bytes: Option<u64>,
    /// How long compiling took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<u64>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The interfaces of the agent that it uses.
    pub imports: Vec<String>,
}

/// A check and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// Its name, which stays.
    pub check: &'static str,
    /// What it proves when it passes.
    pub proves: &'static str,
    /// `passed`, `failed` or `not_applicable`.
    pub result: Mark,
    /// In a sentence.
    pub what: String,
    /// What the author can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_do: Option<&'static str>,
    /// Where exactly, if it failed in calls; 50 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    #[serde(skip)]
    group: Group,
}

/// One call in which a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `databases.create-database`.
    pub function: String,
    /// With which arguments or under which circumstances.
    pub with: String,
    /// What came.
    pub found: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is as it has to be.
    Passed,
    /// It is not.
    Failed,
    /// There was nothing to look at.
    NotApplicable,
}

/// A line for people. Text of the component's is in it as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How the line begins, if it is about a check.
    pub mark: Option<Mark>,
    /// The rest.
    pub text: String,
}

impl Finding {
    /// What a call of a function showed.
    #[must_use]
    pub fn new(function: &Function, with: &str, found: impl Into<String>) -> Self {
        Self { function: function.full_name(), with: with.to_owned(), found: found.into() }
    }
}

impl Report {
    /// With nothing checked yet.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self {
            format: FORMAT,
            passed: true,
            checks_passed: 0,
            checks_failed: 0,
            checks_not_applicable: 0,
            calls: 0,
            component: Facts { bytes, ..Facts::default() },
            checks: Vec::new(),
        }
    }

    /// Adds what came of a check in calls.
    pub fn add(&mut self, check: &Check, verdict: Verdict) {
        self.add_row(&check.row, verdict);
    }

    /// Adds what came of a check.
    pub fn add_row(&mut self, row: &Row, verdict: Verdict) {
        let (result, what, mut findings) = match verdict {
            Verdict::Passed(what) => (Mark::Passed, what, Vec::new()),
            Verdict::NotApplicable(why) => (Mark::NotApplicable, why, Vec::new()),
            Verdict::Failed { what, findings } => (Mark::Failed, what, findings),
        };
        findings.truncate(FINDINGS_MAX);
        match result {
            Mark::Passed => self.checks_passed += 1,
            Mark::NotApplicable => self.checks_not_applicable += 1,
            Mark::Failed => {
                self.checks_failed += 1;
                self.passed = false;
            }
        }
        let to_do = (result == Mark::Failed).then_some(row.to_do);
        self.checks.push(Checked {
            check: row.id,
            proves: row.proves,
            result,
            what,
            to_do,
            findings,
            group: row.group,
        });
    }

    /// For people: groups of checks, what failed with examples and advice, and the sum.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let Facts { bytes, exports, imports, .. } = &self.component;
        let mut lines = vec![Line::plain(format!(
            "{}, exports {}, uses {}",
            size(*bytes),
            listed(exports, "nothing"),
            listed(imports, "nothing")
        ))];
        let mut group = None;
        // What cannot be called has failed above; that nothing of it was called need not be said for each check.
        for checked in self.checks.iter().filter(|checked| self.calls > 0 || checked.group == Group::Component) {
            if group.replace(checked.group) != Some(checked.group) {
                lines.push(Line::plain(""));
                lines.push(Line::plain(checked.group.title()));
            }
            checked.add_to(&mut lines);
        }
        lines.push(Line::plain(""));
        let mut sum = format!("{} passed, {} failed", self.checks_passed, self.checks_failed);
        if self.checks_not_applicable > 0 {
            sum += &format!(", {} not applicable", self.checks_not_applicable);
        }
        lines.push(Line::plain(format!("{sum}; {} calls.", self.calls)));
        lines
    }
}

impl Checked {
    fn add_to(&self, lines: &mut Vec<Line>) {
        lines.push(Line { mark: Some(self.result), text: format!("{:24} {}", self.check, self.what) });
        let indent = " ".repeat(8);
        for Finding { function, with, found } in self.findings.iter().take(SHOWN) {
            lines.push(Line::plain(format!("{indent}{function}, {with}: {found}")));
        }
        if let Some(more) = self.findings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            lines.push(Line::plain(format!("{indent}and {more} more, which --json lists")));
        }
        if let Some(to_do) = self.to_do {
            lines.push(Line::plain(format!("{indent}To do: {to_do}")));
        }
    }
}

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self { mark: None, text: text.into() }
    }
}

/// Bytes for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Names for people.
#[must_use]
pub fn listed(names: &[String], none: &str) -> String {
    match names {
        [] => none.to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
