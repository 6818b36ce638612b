//! Room for connections: so many in all and so many of one origin, so that nobody keeps the others out.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// A bounded number of places.
#[derive(Debug, Clone)]
pub(crate) struct Room<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    places: usize,
    places_of_one: usize,
}

/// A place that is taken; given back on drop.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    origin: K,
}

impl<K: Clone + Eq + Hash> Room<K> {
    /// An empty room.
    pub(crate) fn new(places: usize, places_of_one: usize) -> Self {
        Self { taken: Arc::default(), places, places_of_one }
    }

    /// Takes a place, at once or not at all.
    pub(crate) fn enter(&self, origin: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = taken.get(&origin).copied().unwrap_or_default();
        if of_origin >= self.places_of_one || taken.values().sum::<usize>() >= self.places {
            return None;
        }
        taken.insert(origin.clone(), of_origin + 1);
        Some(Place { taken: self.taken.clone(), origin })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn one_origin_does_not_take_the_places_of_the_others() {
        let room = Room::new(3, 2);
        let first = room.enter("a").unwrap();
        let _second = room.enter("a").unwrap();
        assert!(room.enter("a").is_none());
        let _third = room.enter("b").unwrap();
        assert!(room.enter("c").is_none());
        drop(first);
        let _fourth = room.enter("c").unwrap();
        assert!(room.enter("a").is_none());
    }
}
