//! How many of something may go on at a time, in total and under one name.

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
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.values().sum::<usize>() >= self.total {
            return Err(Full::Total);
        }
        let count = in_use.entry(name.to_owned()).or_default();
        if *count >= self.per_name {
            return Err(Full::Name);
        }
        *count += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

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
