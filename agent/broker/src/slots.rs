//! How many of something may go on at a time, in total and under one name, with a part kept for what is urgent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A bounded number of slots.
#[derive(Debug, Clone)]
pub struct Slots {
    in_use: Arc<Mutex<HashMap<String, usize>>>,
    total: usize,
    per_name: usize,
}

/// One slot in use; given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    name: String,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The one for all names together.
    Total,
    /// The one for this name.
    Name,
}

impl Slots {
    /// Slots for `total` in all, and `per_name` under one name.
    pub fn new(total: usize, per_name: usize) -> Slots {
        Slots { in_use: Arc::default(), total, per_name }
    }

    /// Takes a slot under `name`, at once or not at all.
    pub fn take(&self, name: &str) -> Result<Slot, Full> {
        self.take_of(name, self.total, self.per_name)
    }

    /// Takes a slot under `name`, unless it is one of those that are kept for [`Slots::take`]: the last quarter of each.
    pub fn take_leaving_some(&self, name: &str) -> Result<Slot, Full> {
        self.take_of(name, all_but_a_quarter(self.total), all_but_a_quarter(self.per_name))
    }

    fn take_of(&self, name: &str, total: usize, per_name: usize) -> Result<Slot, Full> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.values().sum::<usize>() >= total {
            return Err(Full::Total);
        }
        if in_use.get(name).copied().unwrap_or_default() >= per_name {
            return Err(Full::Name);
        }
        *in_use.entry(name.to_owned()).or_default() += 1;
        Ok(Slot { slots: self.clone(), name: name.to_owned() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut in_use = self.slots.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_use.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                in_use.remove(&self.name);
            }
        }
    }
}

/// At least one of a count that is not zero.
fn all_but_a_quarter(count: usize) -> usize {
    (count - count.div_ceil(4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_slots_is_kept_in_total_and_by_name() {
        let slots = Slots::new(8, 4);
        let _ordinary: Vec<Slot> = (0..3).map(|_| slots.take_leaving_some("a").unwrap()).collect();
        assert_eq!(slots.take_leaving_some("a").unwrap_err(), Full::Name);
        let _more: Vec<Slot> = (0..3).map(|_| slots.take_leaving_some("b").unwrap()).collect();
        assert_eq!(slots.take_leaving_some("c").unwrap_err(), Full::Total);
        let _urgent = slots.take("a").unwrap();
        let _last = slots.take("c").unwrap();
        assert_eq!(slots.take("d").unwrap_err(), Full::Total);
        // What may be ordinary at all is never nothing.
        assert!(Slots::new(1, 1).take_leaving_some("a").is_ok());
    }

    #[test]
    fn slots_are_bounded_in_total_and_by_name_and_come_back() {
        let slots = Slots::new(3, 2);
        let first = slots.take("a").unwrap();
        let _second = slots.take("a").unwrap();
        assert_eq!(slots.take("a").unwrap_err(), Full::Name);
        let _third = slots.take("b").unwrap();
        assert_eq!(slots.take("c").unwrap_err(), Full::Total);
        drop(first);
        slots.take("c").unwrap();
        slots.take("a").unwrap();
    }
}
