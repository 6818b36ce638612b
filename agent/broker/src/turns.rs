//! Things that are done one after the other under one name, and side by side under others.

use std::{
    collections::HashSet,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<String>>,
    given_back: Condvar,
}

/// A turn; given back on drop.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    name: String,
}

impl Turns {
    /// Takes the turn under a name; `None` when whoever has it did not give it back in that time. Blocks.
    pub(crate) fn take(&self, name: &str, patience: Duration) -> Option<Turn<'_>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_timeout_while(taken, patience, |taken| taken.contains(name));
        let (mut taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        taken.insert(name.to_owned());
        Some(Turn { turns: self, name: name.to_owned() })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.turns.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn one_has_the_turn_under_a_name_and_the_next_gets_it_then() {
        let turns = Turns::default();
        let first = turns.take("a", AT_ONCE).unwrap();
        assert!(turns.take("a", AT_ONCE).is_none());
        let _other = turns.take("b", AT_ONCE).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| turns.take("a", Duration::from_secs(20)).is_some());
            drop(first);
            assert!(second.join().unwrap());
        });
        assert!(turns.take("a", AT_ONCE).is_some());
    }
}
