//! Room for connections: so many in all and so many of one origin, so that nobody keeps the others out.
//!
//! When it is full, whoever has been unfinished for longest makes place for the next; whoever is at work never does.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many places a room has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) in_all: usize,
    pub(crate) of_one: usize,
}

/// A bounded number of places.
#[derive(Debug)]
pub(crate) struct Room<K: Eq + Hash> {
    guests: Arc<Mutex<Guests<K>>>,
    places: Places,
}

/// A place that is taken; given back on drop.
#[derive(Debug)]
pub(crate) struct Place<K: Clone + Eq + Hash> {
    guests: Arc<Mutex<Guests<K>>>,
    origin: K,
    /// Since when, as a number that grows. Changed under the lock of `guests` only.
    since: Mutex<u64>,
    displaced: Arc<Notify>,
}

#[derive(Debug)]
struct Guests<K> {
    next: u64,
    unfinished: BTreeMap<u64, (K, Arc<Notify>)>,
    at_work: HashSet<u64>,
    of: HashMap<K, OfOne>,
}

#[derive(Debug, Default)]
struct OfOne {
    places: usize,
    unfinished: BTreeSet<u64>,
}

impl<K: Clone + Eq + Hash> Room<K> {
    /// An empty room.
    pub(crate) fn new(places: Places) -> Self {
        let guests = Guests { next: 0, unfinished: BTreeMap::new(), at_work: HashSet::new(), of: HashMap::new() };
        Self { guests: Arc::new(Mutex::new(guests)), places }
    }

    /// Takes a place, unfinished at first. `None` if all that could make place are at work.
    pub(crate) fn enter(&self, origin: K) -> Option<Place<K>> {
        let mut guests = lock(&self.guests);
        let of_one = guests.of.get(&origin);
        if of_one.is_some_and(|one| one.places >= self.places.of_one) {
            let oldest = of_one.and_then(|one| one.unfinished.first().copied())?;
            guests.displace(oldest);
        } else if guests.unfinished.len() + guests.at_work.len() >= self.places.in_all {
            let oldest = guests.unfinished.first_key_value().map(|(since, _)| *since)?;
            guests.displace(oldest);
        }
        let displaced = Arc::new(Notify::new());
        let since = guests.begin(&origin, &displaced);
        guests.of.entry(origin.clone()).or_default().places += 1;
        Some(Place { guests: self.guests.clone(), origin, since: Mutex::new(since), displaced })
    }
}

impl<K: Clone + Eq + Hash> Place<K> {
    /// From here on nobody displaces it. False if somebody has already.
    pub(crate) fn begin_work(&self) -> bool {
        let mut guests = lock(&self.guests);
        let since = *lock(&self.since);
        if guests.unfinished.remove(&since).is_none() {
            return guests.at_work.contains(&since);
        }
        if let Some(one) = guests.of.get_mut(&self.origin) {
            one.unfinished.remove(&since);
        }
        guests.at_work.insert(since)
    }

    /// The work is done; what comes next is unfinished.
    pub(crate) fn end_work(&self) {
        let mut guests = lock(&self.guests);
        let mut since = lock(&self.since);
        if guests.at_work.remove(&since) {
            *since = guests.begin(&self.origin, &self.displaced);
        }
    }

    /// Waits until somebody newer needs the place.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut guests = lock(&self.guests);
        let since = *lock(&self.since);
        if guests.unfinished.remove(&since).is_some() || guests.at_work.remove(&since) {
            guests.leave(&self.origin, since);
        }
    }
}

impl<K: Clone + Eq + Hash> Guests<K> {
    fn begin(&mut self, origin: &K, displaced: &Arc<Notify>) -> u64 {
        let since = self.next;
        self.next += 1;
        self.unfinished.insert(since, (origin.clone(), displaced.clone()));
        self.of.entry(origin.clone()).or_default().unfinished.insert(since);
        since
    }

    fn displace(&mut self, since: u64) {
        if let Some((origin, displaced)) = self.unfinished.remove(&since) {
            self.leave(&origin, since);
            displaced.notify_one();
        }
    }

    fn leave(&mut self, origin: &K, since: u64) {
        if let Some(one) = self.of.get_mut(origin) {
            one.unfinished.remove(&since);
            one.places -= 1;
            if one.places == 0 {
                self.of.remove(origin);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn room(in_all: usize, of_one: usize) -> Room<&'static str> {
        Room::new(Places { in_all, of_one })
    }

    /// Whether the place was needed by somebody newer.
    fn is_displaced(place: &Place<&'static str>) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::ZERO, place.displaced()).await.is_ok() })
    }

    #[test]
    fn one_origin_displaces_its_own_and_not_the_others() {
        let room = room(3, 2);
        let (other, first, second) = (room.enter("b").unwrap(), room.enter("a").unwrap(), room.enter("a").unwrap());
        let _third = room.enter("a").unwrap();
        assert_eq!([&other, &first, &second].map(is_displaced), [false, true, false]);
        assert!(!first.begin_work());
    }

    #[test]
    fn a_full_room_displaces_whoever_is_unfinished_for_longest() {
        let room = room(2, 2);
        let (first, second) = (room.enter("a").unwrap(), room.enter("b").unwrap());
        // Back from work it is the newest of the unfinished.
        assert!(first.begin_work());
        first.end_work();
        let _third = room.enter("c").unwrap();
        assert_eq!([&first, &second].map(is_displaced), [false, true]);
    }

    #[test]
    fn nobody_at_work_is_displaced() {
        let room = room(2, 1);
        let (first, second) = (room.enter("a").unwrap(), room.enter("b").unwrap());
        assert!(first.begin_work() && first.begin_work() && second.begin_work());
        assert!(room.enter("a").is_none());
        assert!(room.enter("c").is_none());
        assert_eq!([&first, &second].map(is_displaced), [false, false]);
        first.end_work();
        assert!(room.enter("a").is_some());
        assert!(is_displaced(&first));
    }

    #[test]
    fn a_place_is_given_back_once() {
        let room = room(1, 1);
        let first = room.enter("a").unwrap();
        let second = room.enter("a").unwrap();
        drop(first);
        assert!(second.begin_work());
        assert!(room.enter("a").is_none());
        drop(second);
        let _third = room.enter("a").unwrap();
        assert_eq!(lock(&room.guests).of.len(), 1);
    }
}
