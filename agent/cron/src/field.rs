//! One of the five fields: which values it lets through.

use crate::schedule::ScheduleError;

/// What a field is about.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name in an error.
    pub(crate) name: &'static str,
    low: u8,
    high: u8,
    /// Names for the values from `low` on.
    names: &'static [&'static str],
}

pub(crate) const MINUTE: Kind = Kind { name: "minute", low: 0, high: 59, names: &[] };
pub(crate) const HOUR: Kind = Kind { name: "hour", low: 0, high: 23, names: &[] };
pub(crate) const DAY: Kind = Kind { name: "day of the month", low: 1, high: 31, names: &[] };
pub(crate) const MONTH: Kind = Kind {
    name: "month",
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Both 0 and 7 are Sunday.
pub(crate) const WEEKDAY: Kind =
    Kind { name: "day of the week", low: 0, high: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// A field that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// A bit for each value.
    values: u64,
    /// Whether it begins with `*`, which counts for more than what it lets through.
    pub(crate) is_star: bool,
    /// Of `*/n` alone the n, of `*` alone 1.
    pub(crate) every: Option<u8>,
}

impl Field {
    /// Reads a list of values, ranges and `*`, the latter two with a step if wanted.
    pub(crate) fn parse(kind: &Kind, text: &str) -> Result<Self, ScheduleError> {
        let mut values = 0;
        for part in text.split(',') {
            values |= part_of(kind, part)?;
        }
        let every = text.strip_prefix('*').and_then(|rest| match rest.strip_prefix('/') {
            Some(step) => step.parse().ok(),
            None => rest.is_empty().then_some(1),
        });
        Ok(Self { values, is_star: text.starts_with('*'), every })
    }

    /// Whether a value is let through.
    pub(crate) const fn has(&self, value: u8) -> bool {
        value < 64 && self.values & (1 << value) != 0
    }

    /// Whether everything is.
    pub(crate) fn is_everything(&self) -> bool {
        self.every == Some(1)
    }

    /// What is let through, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = u8> + '_ {
        (0..64).filter(|value| self.has(*value))
    }

    /// The same with one Sunday, which is 0.
    pub(crate) const fn with_one_sunday(mut self) -> Self {
        if self.values & (1 << 7) != 0 {
            self.values = self.values & !(1 << 7) | 1;
        }
        self
    }
}

fn part_of(kind: &Kind, part: &str) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Value {
        field: kind.name,
        part: part.chars().take(20).collect(),
        low: kind.low,
        high: kind.high,
    };
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(number(step).ok_or_else(wrong)?)),
        None => (part, None),
    };
    let (low, high) = match range.split_once('-') {
        _ if range == "*" => (kind.low, kind.high),
        Some((low, high)) => (value(kind, low).ok_or_else(wrong)?, value(kind, high).ok_or_else(wrong)?),
        // cron takes no step after one value.
        None if step.is_some() => return Err(wrong()),
        None => value(kind, range).map(|value| (value, value)).ok_or_else(wrong)?,
    };
    let step = step.unwrap_or(1);
    // cron takes a range that is turned round and never runs it, and a step that goes nowhere.
    if low > high || step == 0 || step > high.saturating_sub(low).max(1) {
        return Err(wrong());
    }
    Ok((low..=high).step_by(usize::from(step)).fold(0, |values, value| values | 1 << value))
}

fn value(kind: &Kind, text: &str) -> Option<u8> {
    let named = kind.names.iter().zip(kind.low..).find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, value)| value).or_else(|| number(text)).filter(|value| (kind.low..=kind.high).contains(value))
}

/// Digits alone, no more than are needed.
fn number(text: &str) -> Option<u8> {
    let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}
