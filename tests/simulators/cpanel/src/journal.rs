//! What was asked for, in order, and what came of it.

/// One request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `Module::function`.
    pub function: String,
    /// Its arguments, in order of their names.
    pub arguments: Vec<(String, String)>,
    /// Whether the function changes something.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the whole answer was sent in time.
    pub answered: bool,
}

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Read,
    /// It changes something, whichever method it is called with.
    Change,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// cPanel refused it: status 200 and words.
    Refused,
    /// It was lost before anything happened.
    Lost,
}

impl Entry {
    /// Whether it asks for the same as another.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        (&self.function, &self.arguments) == (&other.function, &other.arguments)
    }
}

/// The first change that was asked for once more after it had taken effect, or, if it had not and its sender could not
/// know that, without anything having been read in between.
#[must_use]
pub fn blind_repeat(entries: &[Entry]) -> Option<&Entry> {
    let changes = entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::Change);
    changes.into_iter().find_map(|(at, first)| {
        let after = entries.get(at + 1..).unwrap_or_default();
        let again = after.iter().position(|later| later.is_same_as(first))?;
        let between = after.get(..again).unwrap_or_default();
        let has_looked = between.iter().any(|entry| entry.kind == Kind::Read && entry.answered);
        let is_blind = first.outcome == Outcome::Done || (!first.answered && !has_looked);
        if is_blind { after.get(again) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: &str, kind: Kind, outcome: Outcome, answered: bool) -> Entry {
        Entry { function: function.to_owned(), arguments: vec![], kind, outcome, answered }
    }

    #[test]
    fn a_change_that_is_repeated_without_a_look_is_blind() {
        let lost = entry("make", Kind::Change, Outcome::Lost, false);
        let done = entry("make", Kind::Change, Outcome::Done, false);
        let look = entry("list", Kind::Read, Outcome::Done, true);
        let no_look = entry("list", Kind::Read, Outcome::Done, false);
        let blind = |entries: &[&Entry]| blind_repeat(&entries.iter().copied().cloned().collect::<Vec<_>>()).is_some();
        assert!(blind(&[&lost, &lost]));
        assert!(blind(&[&lost, &no_look, &lost]));
        assert!(blind(&[&done, &look, &lost]));
        assert!(!blind(&[&lost, &look, &lost]));
        assert!(!blind(&[&look, &done, &look, &look]));
    }
}
